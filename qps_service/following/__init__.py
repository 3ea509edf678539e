"""One log through rotation, truncation, compression, stops and kills: each whole line is handed out once.

It knows files and what was said of them; of formats, counts and the ledger it knows nothing.

- `follower`: a log, by its path; read it first
- `stream`: a log that is a pipe
- `generation`: one open file and how far it has been read
- `open_files`: which files stay open, and until when
- `resume`: what an earlier process left
- `start_position`: where reading begins in a file that was just opened; `read_texts`: how much of it was read
before
- `known_files`: what was read before; `ignored_files`: copies, and what is older than our time
- `discovery`: looks for files that were the log, and for copies; `search`: for those with strange names
- `classification`: says of such a file what it is
- `directories`: where the log and its rotated files may be; `log_places`: where other logs are
- `watcher`, `hints`, `lineage`: what inotify tells, and which names carry a file that was the log
- `change`: what became of a file since it was last read
- `announcer`: what is said about all this
"""
