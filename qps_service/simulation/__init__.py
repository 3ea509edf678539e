"""A log with known truth: traffic drawn at random, written at a pace, rotated, with the counts beside it.

- `simulator`: pace, and the truth about what was written; read it first
- `traffic`: the requests, as lines of any format
- `log_file`: the log on disk, with its rotations and late writers
"""
