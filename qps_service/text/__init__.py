"""How things are written for people: bytes escaped, a caret under a mistake, sizes and durations with units,
a host with its port.

Pure, and knows nobody. `escape` is the one to read first: every byte of a log passes it before it is shown.
"""
