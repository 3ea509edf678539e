"""`python -m qps_service` is `qps-reporter`."""

from qps_service.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
