"""Whether the books balance: the ledger's totals against its own accounts, and against the files still there.

- `audit`: one log's books; read it first
- `recount`: finds a generation's text, and counts its lines again
"""
