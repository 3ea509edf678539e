"""Counting the lines of blocks: in C where that was built, else in Python."""
