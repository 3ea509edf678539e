"""Lines counted by method, target and status, fast: two scanners that find the same.

- `scanner`: the protocol, and which of the two is used; read it first
- `options`: what a scanner is made for
- `pure`: the one in Python, by regular expressions and `formats.line`
- `built`: whether what is compiled is wanted, and there
- `native`: the one in C (`c/`), compiled as `_scan`
- `auto`: waits for lines that tell which format they have
"""
