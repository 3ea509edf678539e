"""The page: what a browser is shown of the ledger.

Promise: it reads and never writes, each answer is of one commit and bounded, and what takes long is cut off.
What a route is called has no effect on the page: names travel as JSON and become text nodes. Nobody but who
reaches the socket, by an address or a name that was allowed, gets an answer.

- `view`: what the browser asks for, as the page's address spells it; read it first
- `answers`: the page's own JSON, of what the ledger answered; pure
- `page`: the WSGI application: paths, headers, what is remembered
- `assets`: the files that are served, by an explicit list
- `server`: waitress on an address, or on systemd's socket; its end after some idle minutes
"""
