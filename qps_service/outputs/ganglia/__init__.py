"""Sends to gmond, as gmetric does.

- `output`: the output; read it first
- `series`: which metrics there are, and when each is announced
- `names`: names that neither gmond's XML nor gmetad's files mind
- `gmetric`: the packets
- `gmond_conf`: where to send, by gmond's own configuration
"""
