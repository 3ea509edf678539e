"""What is configured: flag, variable, file, default, in this order and alike for every setting.

- `settings`: the table of all settings; read it first
- `parsers`: what a setting's text may be
- `types`: what comes of them, as frozen values
- `outputs`: a row for each output that can be configured: add one there
- `loader`: reads flags, environment and file
"""
