"""The service: everything put together, and kept running, at home in systemd.

- `assembly`: who is handed what
- `daemon`: the loop: wait, read, count, commit, report, tell systemd; read it first
- `pipeline`: one log's way from file to counts; `pipelines`: all logs, and what the ledger is told of them
- `rule_time`: how long route rules may take
- `process`: clocks, signals, standard streams
- `systemd`: readiness, watchdog, status, descriptors that systemd hands over
- `descriptor_store`: log files that systemd keeps open for the next process
- `state_directory`: where the ledger is, and that one process at a time has it
"""
