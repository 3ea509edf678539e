"""One log's counts: what the scanner found becomes routes, windows and totals, within bounds.

Pure. What goes in comes out once, in one window and in the totals.

- `aggregator`: windows and totals of a log; read it first
- `routes`: a target becomes a route, by rules, collapses and a bounded cache
- `rules`: what rules are, and what limits them
- `ambiguity`: whether a rule's pattern can take very long, and on what
- `admission`: which routes are told apart, and which are `other`
- `methods`: which methods are
- `statuses`: which statuses are for certain
- `rows`: which rows are, in the log's share of the process's `budget`
"""
