"""Alerts go to public hosts, to this machine by its own names, and to hosts that the configuration names."""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import anyio
import httpcore2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from typing_extensions import override

from reconcilerd.config.fields import LOOPBACK
from reconcilerd.config.hosts import plain, why_private, why_unreachable
from reconcilerd.config.settings import AlertsSection
from reconcilerd.errors import TryLater
from reconcilerd.simulator.serve import serve
from reconcilerd.transport.post import Poster
from reconcilerd.transport.reach import Guarded, addresses_of

PRIVATE = [
    "10.0.0.1", "172.16.9.9", "192.168.1.1", "169.254.169.254", "100.64.0.1", "127.0.0.2", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_not_reachable_unless_it_is_named(address: str) -> None:
    assert why_private(ip_address(address))
    if address not in LOOPBACK:
        assert why_unreachable(address, ())
        assert why_unreachable(address, {plain(address)}) == ""


@pytest.mark.parametrize(
    ("named", "spelled"),
    [
        ("fd00::5", "FD00:0:0::0005"),
        ("FD00:0::5", "fd00::5"),
        ("10.0.0.7", "10.0.0.7"),
        ("AM.Internal", "am.internal."),
    ],
)
def test_what_may_be_named_in_the_configuration_is_reached_however_it_is_spelled(
    named: str, spelled: str
) -> None:
    allowed = AlertsSection(allow_hosts=[named]).allow_hosts
    assert why_unreachable(spelled, allowed) == ""
    assert plain(spelled) in allowed


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reachable(address: str) -> None:
    assert why_private(ip_address(address)) == ""
    assert why_unreachable(address, ()) == ""


@pytest.mark.parametrize(
    "host", ["127.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "Metadata.Google.Internal."]
)
def test_no_spelling_hides_an_address(host: str) -> None:
    assert why_unreachable(host, ())


@given(st.ip_addresses() | st.ip_addresses(v=4).map(lambda each: IPv6Address(f"::ffff:{each}")))
def test_a_mapped_address_is_judged_as_the_one_it_leads_to(address: IPv4Address | IPv6Address) -> None:
    inner = getattr(address, "ipv4_mapped", None) or address
    assert why_private(address) == why_private(inner)
    if address.is_private and str(address) not in LOOPBACK and not getattr(address, "sixtofour", None):
        assert why_private(address)


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Have every name lead to these addresses; the names that were looked up."""
    asked: list[str] = []

    async def found(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in addresses
        ]

    monkeypatch.setattr(anyio, "getaddrinfo", found)
    return asked


@pytest.mark.parametrize("inwards", [*PRIVATE, "fe80::1%eth0"])
async def test_a_name_that_leads_inwards_by_any_of_its_addresses_is_not_spoken_to(
    inwards: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, "8.8.8.8", inwards)
    with pytest.raises(TryLater, match=r"rebind\.example .*alerts\.allow_hosts"):
        await addresses_of("rebind.example", 443, ())
    assert inwards in await addresses_of("rebind.example", 443, {"rebind.example"})


class Line(httpcore2.AsyncMockBackend):
    """Remembers where it was to connect; ``dead`` addresses answer nobody."""

    def __init__(self, dead: Iterable[str]) -> None:
        super().__init__([])
        self.dead, self.asked = set(dead), list[str]()

    @override
    async def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        self.asked.append(host)
        if host in self.dead:
            raise httpcore2.ConnectError("nobody there")
        return await super().connect_tcp(host, 443)


async def test_the_addresses_that_were_judged_are_the_ones_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = names(monkeypatch, "2606:4700:4700::1111", "8.8.8.8")
    guarded, line = Guarded(frozenset()), Line({"8.8.8.8"})
    guarded._inner = line  # type: ignore[assignment]
    await guarded.connect_tcp("hooks.example", 443)
    assert asked == ["hooks.example"]
    assert line.asked == ["8.8.8.8", "2606:4700:4700::1111"]
    line.dead.add("2606:4700:4700::1111")
    with pytest.raises(httpcore2.ConnectError):
        await guarded.connect_tcp("hooks.example", 443)


@pytest.mark.parametrize(("allowed", "taken"), [((), 0), (("am.internal",), 1)])
async def test_an_alert_reaches_a_private_host_only_where_it_is_named(
    allowed: tuple[str, ...], taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []

    async def take(request: Request) -> Response:
        heard.append(await request.body())
        return PlainTextResponse("ok")

    async with anyio.create_task_group() as group:
        port = await group.start(serve, Starlette(routes=[Route("/", take, methods=["POST"])]), 0)
        names(monkeypatch, "127.0.0.1")
        poster = Poster(allowed)
        if taken:
            assert (await poster.post(f"http://am.internal:{port}/", {}))[0] == 200
        else:
            with pytest.raises(TryLater, match="nothing is sent there unless"):
                await poster.post(f"http://am.internal:{port}/", {})
        await poster.aclose()
        group.cancel_scope.cancel()
    assert len(heard) == taken
