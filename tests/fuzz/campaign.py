"""A long run of the fuzzer, over what earlier ones found too: python -m tests.fuzz.campaign RUNS."""

import secrets
import sys

from tests.fuzz.building import CORPUS, ROOT, build_fuzzer, fuzz

CACHE = ROOT / ".cache" / "fuzz"

if __name__ == "__main__":
    CACHE.mkdir(parents=True, exist_ok=True)
    build_fuzzer(CACHE / "fuzzer")
    seed = secrets.randbelow(1 << 31) + 1
    result = fuzz(CACHE / "fuzzer", [CORPUS], int(sys.argv[1]), CACHE / "found", seed)
    sys.stderr.write(result.stderr[-5000:] if result.returncode else "")
    stats = [line for line in result.stderr.splitlines() if "number_of_executed_units" in line]
    sys.stdout.write(f"seed {seed}: {'; '.join(stats) or 'no statistics'}; exit status {result.returncode}\n")
    sys.exit(result.returncode != 0)
