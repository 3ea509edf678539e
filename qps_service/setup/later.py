"""Where the logs of virtual hosts that are added later will be, by where those of today are.

Who adds a virtual host names its log as the others are named: shop.access.log beside blog.access.log, or
/srv/shop.example/logs/access.log beside that of blog.example. What tells these from the servers' other logs
is the word `access`, or the host's own directory; where there is neither, nothing is proposed.
"""

import re
from collections.abc import Iterable

from qps_service.setup.found import FoundLog, escaped

# What stands behind the word in the name of a log, before the end that all of them have.
_ACCESS = re.compile(r".*access(?P<host>.*?)(?P<end>\.(?:log|json|txt)|[._-]log|)")


def patterns_for(logs: Iterable[FoundLog]) -> list[str]:
    """Paths with wildcards that later logs will match, each once."""
    patterns = dict.fromkeys(pattern for each in logs if (pattern := _pattern(each)))
    wider = {each: each.replace("*access", "*access*") for each in patterns}
    return [each for each in patterns if wider[each] == each or wider[each] not in patterns]


def _pattern(log: FoundLog) -> str | None:
    hosts = {name.removeprefix("www.") for name in log.served}
    *directories, base = log.path.split("/")
    above = ["*" if each.removeprefix("www.") in hosts else escaped(each) for each in directories]
    found = _ACCESS.fullmatch(base)
    if found and (found["end"] or not found["host"]):
        base = f"*access{'*' if found['host'] else ''}{found['end']}"
    elif "*" in above:
        base = escaped(base)
    else:
        return None
    return "/".join((*above, base))
