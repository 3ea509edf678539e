"""Log files as bytes by offset. System calls on a log are made here and nowhere else.

- `kernel`: those system calls; read it first
- `mounts`: what the kernel tells of mounts
- `sources`: a file that is followed, plain or compressed, read by offset
- `pipe`: a pipe, likewise
- `compressed`: the text of a compressed file, by offset
- `compression`: the table of compressions
- `whole`: a file or pipe from start to end, for `summarize`
- `fingerprint`: whether two texts are the same, from a few digests
- `recognition`: whether that proves anything, and how much of a copy was read before
- `rotated_names`: what rotations make of a log's name
"""
