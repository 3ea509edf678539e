"""The ledger: counts and file positions, committed together in one SQLite file.

It knows nothing of how files are followed, and nothing of the configuration.

- `ledger`: what a commit is, and what is known of a log; read it first
- `schema`, `rows`: the tables, the steps from one schema to the next, and how values stand in them
- `database`: SQLite, so set up that a commit outlasts the power
- `writer`: the service's commits, also while the ledger takes nothing
- `outbox`: what waits for the ledger, in bounded memory
- `retention`: how old windows are merged and dropped, so that the file stays bounded
"""
