"""Which access logs the web servers of a machine write, by their configuration.

Nothing is run and nothing is opened here: whoever asks hands in a way to read files (`found.Reader`) and
what the servers say of the paths that are built into them (`built_in`). What can't be read or understood is
a problem with its place, and the rest goes on.

- `found`: what was found, what is left out and why, and what is wrong
- `nginx`, `apache`: their languages, and which requests end in which log
- `piped`: which files the programs write that Apache pipes a log into
- `built_in`: paths out of `nginx -V` and `apache2ctl -V`
- `customary`: where other servers write
- `later`: where the logs of virtual hosts will be that are added later
- `choosing`: whether a log's lines tell its format, or the configuration has to
"""
