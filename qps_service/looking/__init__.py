"""What the ledger's history and the last minutes look like: pure functions from an answer to a table, and
from a table to lines.

Promise: numbers are those of the periods that answered, which are never cut; a rate is requests by the time
that really passed; what is shown names the grain, the gaps and the stops in it. Whatever a route is called
has no effect on a terminal or a spreadsheet.

Of the history:

- `moments`: Unix time and the calendar of a place; which step an instant is in
- `table`: an answer of the ledger as rows; read it first
- `rendering`: a table as text, as JSON and as CSV
- `state`: how the service stands, for who was woken

Of the last minutes, for `top`:

- `recent`: the windows of a log as they come, and the numbers of now
- `order`: where rows stand, so that they do not jump
- `view`: what is chosen, and what each key changes of it
- `screen`: numbers and what is chosen as lines of a screen; `board` holds all this together
"""
