"""What is said, and how often: in the journal, each entry with a MESSAGE_ID that never changes.

- `kinds`: every kind of notice, with its id and priority; read it first
- `throttle`: a repeating event, at most once an interval
- `trouble`: that something fails, and that it works again, once each
"""
