"""When a report is due, what it says, and how it reads.

Pure.

- `report`: a window becomes a report; read it first
- `text`: a report as text
- `schedule`: when windows end
- `summary`: the tables of `summarize`
"""
