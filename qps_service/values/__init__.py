"""The values that travel from the log to the report. Frozen, and free of files, clocks and sockets.

What came from the log stays bytes: two routes that differ in one invalid byte are two routes. `text.escape`
turns them into text where they are shown. Times are nanoseconds; a field says of which clock.

- `counts`: what is counted, under what, and what a scanner hands over; read it first
- `positions`: which file, and how far it has been read
- `entries`: what one commit adds to the ledger, and what a start gets back from it
- `history`: what bounds the ledger's history
- `past`: what is asked of the history, and what it answers
- `reports`: a window, a report, and how everything stands
"""
