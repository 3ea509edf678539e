"""Where reports go, and who asks how things stand: one module an output, or a package.

No output delays or stops the counting. An output is a pure renderer and a transport (`network`).

- `base`: what an output is, what each sees, and where a number goes; read it first
- `registry`: makes the outputs that are configured (`configuration.outputs` has a row for each)
- `group`: all that are on, through reloads
- `stdout` and `csv_rows` (`--output csv`), `journal`, `json_lines`, `textfile`, `statsd`, `graphite`,
  `prometheus`, `ganglia`: the outputs
- `metric_names`, `vanished`: what StatsD and Graphite share
"""
