"""Names and sockets that both transports have alike."""

import errno
import os
import socket
from collections.abc import Callable

import pytest

from qps_service.network.resolver import AGAIN, Resolver
from qps_service.network.tcp import Stream
from qps_service.network.udp import Datagrams
from tests.limits import Doubled
from tests.promised import Promise, promises
from tests.unit.receiving import NOW, Names, Sending, until


def test_ipv4_comes_first() -> None:
    names = Names(("::1", 1), ("127.0.0.1", 1), ("::1", 1))
    resolver = names.resolver("localhost", 1)
    resolver.addresses(NOW)
    names.finish()
    assert [address.sockaddr[0] for address in resolver.addresses(NOW)] == ["127.0.0.1", "::1"]
    for host in ("127.0.0.1", "::1"):  # which needs no lookup
        resolver = names.resolver(host, 1)
        assert [address.sockaddr[0] for address in resolver.addresses(NOW)] == [host]
        assert resolver.addresses(NOW + AGAIN)
    assert names.begun == 1


def check_a_name_is_looked_up_again() -> None:
    """After a minute, as names move."""
    names = Names(("127.0.0.1", 1))
    resolver = names.resolver("metrics.example", 1)
    begun = []
    for now in (NOW, NOW + AGAIN - 1, NOW + AGAIN):
        resolver.addresses(now)
        names.finish()
        resolver.addresses(now)
        begun.append(names.begun)
    assert begun == [1, 1, 2]


test_promise, test_twin = promises(
    Promise(check_a_name_is_looked_up_again, None, [Doubled("network.resolver:AGAIN")])
)


def test_a_thread_that_cannot_be_had_is_a_failed_lookup() -> None:
    def begin(_task: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver("metrics.example", 1, socket.SOCK_DGRAM, begin=begin)
    assert resolver.addresses(NOW) == ()
    assert resolver.error == "can't start new thread"


@pytest.mark.parametrize("host", ["a..b", "a" * 70, "localhost"])
def test_real_lookups(host: str) -> None:
    resolver = Resolver(host, 1, socket.SOCK_DGRAM)
    until(lambda: resolver.addresses(NOW) or resolver.error)
    assert bool(resolver.addresses(NOW)) == (host == "localhost")


@pytest.mark.parametrize("transport", [Datagrams, Stream])
def test_a_sandbox_without_sockets_is_said(
    transport: type[Datagrams | Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    site = Sending(transport, 8125)
    monkeypatch.setattr(socket, "socket", refuse)
    site.window(b"a")
    assert site.texts == ["cannot send to 127.0.0.1:8125: Address family not supported by protocol"]
