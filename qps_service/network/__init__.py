"""Sockets of which none is ever waited for; they carry bytes, and outputs know what these mean.

- `udp`: datagrams, paced
- `tcp`: whole messages over a stream, with a bounded backlog
- `resolver`: addresses of names, looked up beside the loop
- `http_server`: takes in requests and gives answers, within bounds
- `http_exchange`: one request and its answer
"""
