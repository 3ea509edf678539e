"""What the ledger's history looks like: pure functions from an answer to a table, and from a table to lines.

Promise: numbers are those of the periods that answered, which are never cut; a rate is requests by the time
that really passed; what is shown names the grain, the gaps and the stops in it. Whatever a route is called
has no effect on a terminal or a spreadsheet.

- `moments`: Unix time and the calendar of a place; which step an instant is in
- `table`: an answer of the ledger as rows; read it first
- `rendering`: a table as text, as JSON and as CSV
- `state`: how the service stands, for who was woken
"""
