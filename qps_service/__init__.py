"""qps-reporter: requests per second of a web service, read from its access log."""

__version__ = "0.1.0"
