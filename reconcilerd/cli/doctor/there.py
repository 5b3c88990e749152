"""Checks of the other systems: can they be reached, do they know us, may we do what we must, do their feeds answer.

One call for each question and no more. While a daemon runs, its own readings answer for the feeds.
"""

import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

import anyio
from anyio.streams.tls import TLSAttribute

from reconcilerd.assemble import SHOPIFY_TOKEN, Endpoint, client_of
from reconcilerd.cli.doctor.line import Line, Lines, Scene, fail, ok, warn
from reconcilerd.cli.wiring import Plan
from reconcilerd.connectors.extensiv.account import WHOLE
from reconcilerd.connectors.extensiv.walk import LANES, ORDERS, PAGINGS, Walker
from reconcilerd.connectors.shopify.client import NEEDED
from reconcilerd.connectors.shopify.graphql import LANE, GraphQL
from reconcilerd.domain.policy import Mode
from reconcilerd.errors import Denied, ReconcilerdError, TryLater
from reconcilerd.transport.client import Client
from reconcilerd.transport.credentials import ClientCredentials, TokenHeader
from reconcilerd.transport.lane import Priority
from reconcilerd.transport.pool import tls_context

PATIENCE_S: Final = 20.0
SKEW_WARN_MS: Final = 2_000
SKEW_FAIL_MS: Final = 60_000
"""Tokens and the ages of readings go by the clock; a minute is as old as stock may be for a raise."""
EXPIRES_DAYS: Final = 14
DAY_S: Final = 86_400
SLOWEST_PER_S: Final = 0.1
"""A bucket that fills more slowly is the daemon's alone."""

Told = AsyncGenerator[tuple[str, Line], None]


@dataclass(frozen=True, slots=True)
class Site:
    """One other system."""

    name: str
    endpoint: Endpoint
    scene: Scene
    plan: Plan

    @property
    def is_extensiv(self) -> bool:
        return self.name == "extensiv"


async def examine(scene: Scene, plan: Plan) -> list[tuple[str, Line]]:
    """Every system at once; what is found is told system by system."""
    sites = [Site("extensiv", plan.wiring.extensiv, scene, plan)]
    sites += [Site(name, endpoint, scene, plan) for name, endpoint in plan.wiring.channels.items()]
    found: list[list[tuple[str, Line]]] = [[] for _ in sites]

    async def one(number: int) -> None:
        found[number] = await of_site(sites[number])

    async with anyio.create_task_group() as group:
        for number in range(len(sites)):
            group.start_soon(one, number)
    return [each for lines in found for each in lines]


async def of_site(site: Site) -> list[tuple[str, Line]]:
    """Findings of one system; after one that explains the rest nothing more is asked."""
    reached = await reach(site)
    found = [("network", reached)]
    return found if reached.exit_code else found + await asked(site)


async def asked(site: Site) -> list[tuple[str, Line]]:
    """What a system that can be reached says."""
    if site.is_extensiv and site.scene.status is not None:
        # A second token of the same client might end the one that the daemon has.
        return [("read", line) for line in by_daemon(site)]
    client = client_for(site)
    try:
        async with aclosing(extensiv(site, client) if site.is_extensiv else shopify(site, client)) as told:
            return [each async for each in told]
    finally:
        await client.aclose()


async def reach(site: Site) -> Line:
    """Name, connection and certificate."""
    parts = urlsplit(site.endpoint.base_url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    try:
        with anyio.fail_after(PATIENCE_S):
            await anyio.getaddrinfo(host, port)
            stream = await (
                anyio.connect_tcp(
                    host, port, tls=True, ssl_context=tls_context(), tls_standard_compatible=False
                )
                if tls
                else anyio.connect_tcp(host, port)
            )
    except socket.gaierror as error:
        return fail(
            f"{host}: no such name ({error.strerror})", "check base_url and this machine's DNS", site.name, 5
        )
    except ssl.SSLError as error:
        return fail(
            f"{host}: {getattr(error, 'verify_message', '') or error.reason or error}",
            "check base_url, the clock and the trusted authorities",
            site.name,
            5,
        )
    except (OSError, TimeoutError) as error:
        text = str(error) or f"no answer within {PATIENCE_S:.0f} s"
        return fail(
            f"{host}:{port}: {text}", "check base_url, the firewall, or whether it is down", site.name, 5
        )
    async with stream:
        if not tls:
            return ok(f"{host}:{port} answers, without TLS on this machine", site.name)
        shown = stream.extra(TLSAttribute.peer_certificate, None) or {}
        return certificate(
            site.name, f"{host}:{port}", str(shown.get("notAfter", "")), site.scene.now // 1000
        )


def certificate(name: str, where: str, until: str, now_s: int) -> Line:
    """How long a certificate is valid that ends at ``until``, as the TLS library writes it."""
    if not until:
        return ok(f"{where} answers over TLS", name)
    days = (int(ssl.cert_time_to_seconds(until)) - now_s) // DAY_S
    if days < EXPIRES_DAYS:
        return warn(f"{where} answers; its certificate ends in {days} days", "tell who runs it", name)
    return ok(f"{where} answers over TLS, certificate for {days} days", name)


def client_for(site: Site) -> Client:
    """A client as the daemon has one."""
    wiring = site.plan.wiring
    lanes, header = (LANES, TokenHeader()) if site.is_extensiv else ((LANE,), SHOPIFY_TOKEN)
    return client_of(
        site.name,
        site.endpoint,
        lanes,
        header,
        transport=wiring.transport(),
        clock=wiring.clock,
        seed=wiring.seed,
    )


async def extensiv(site: Site, client: Client) -> Told:
    """Token, clock and one row of each feed."""
    walker = Walker(client, {})

    async def orders() -> None:
        await walker.glance_at(replace(PAGINGS[ORDERS], limit=1))

    refused = await tried(site, "", orders)
    yield "token", refused or token(site, client)
    if refused:
        return
    yield "clock", clock(site.name, walker.skew.ahead_ms)
    yield "read", ok("answered", ORDERS)
    for feed, paging in PAGINGS.items():
        if feed == ORDERS:
            continue
        if client.lane(paging.lane).spec.rate_per_s < SLOWEST_PER_S:
            yield "read", ok("not asked: its bucket is the daemon's alone", feed)
            continue

        async def page() -> None:
            await walker.glance_at(replace(paging, limit=1))  # noqa: B023 - awaited before the next one

        yield "read", await tried(site, feed, page) or ok("answered", feed)
    for feed, path in WHOLE.items():

        async def whole() -> None:
            await walker.whole(path)  # noqa: B023 - awaited before the next one

        yield "read", await tried(site, feed, whole) or ok("answered", feed)


async def shopify(site: Site, client: Client) -> Told:
    """Token, clock, scopes, and one row of each feed where no daemon reads them."""
    graph = GraphQL(client, site.name)
    granted: set[str] = set()

    async def installed() -> None:
        data, _ = await graph.run("access_scopes", {}, Priority.STOCK, guess=10)
        granted.update(each["handle"] for each in data["currentAppInstallation"]["accessScopes"])

    refused = await tried(site, "", installed)
    yield "token", refused or token(site, client)
    if refused:
        return
    yield "clock", clock(site.name, graph.skew.ahead_ms)
    for line in scopes(site.name, granted, observes=site.plan.wiring.policy.limits.mode is Mode.OBSERVE):
        yield "scopes", line
    if site.scene.status is not None:
        for line in by_daemon(site):
            yield "read", line
        return
    for feed, name in (("slots", "inventory_items"), ("orders", "orders")):

        async def one() -> None:
            await graph.run(name, {"first": 1, "after": None}, Priority.STOCK, guess=50)  # noqa: B023 - as above

        about = f"{site.name}.{feed}"
        yield "read", await tried(site, about, one) or ok("answered", about)


async def tried(site: Site, about: str, call: Callable[[], Awaitable[None]]) -> Line | None:
    """What went wrong with a call, if anything did."""
    about = about or site.name
    try:
        with anyio.fail_after(PATIENCE_S):
            await call()
    except Denied as denied:
        return fail(str(denied), "check the secrets that auth names, and what the app may do", about, 4)
    except TimeoutError:
        return fail(f"no answer within {PATIENCE_S:.0f} s", "try again later", about, 5)
    except TryLater as busy:
        return fail(str(busy), "try again later", about, 5)
    except (ReconcilerdError, LookupError, TypeError) as odd:
        return fail(f"{odd}", "is base_url that of the API?", about, 5)
    return None


def token(site: Site, client: Client) -> Line:
    """How long the token that was just used is good."""
    ends = client.auth.ends_at if isinstance(client.auth, ClientCredentials) else None
    if ends is None:
        return ok("accepted; it does not expire", site.name)
    left_s = (ends - site.plan.wiring.clock()) // 1000
    return ok(f"obtained, good for {f'{left_s} s' if left_s < 120 else f'{left_s // 60} minutes'}", site.name)


def clock(name: str, ahead_ms: int) -> Line:
    """How far this machine's clock is from a system's."""
    off = abs(ahead_ms)
    if off < SKEW_WARN_MS:
        return ok("agrees with ours within 2 s", name)
    said = f"ours is {off / 1000:.0f} s {'ahead' if ahead_ms > 0 else 'behind'}"
    fix = "have it set by the network: timedatectl set-ntp true"
    return fail(said, fix, name) if off >= SKEW_FAIL_MS else warn(said, fix, name)


def scopes(name: str, granted: set[str], *, observes: bool) -> Lines:
    """What the app may do beside what is needed: less stops us, more helps who steals the token.

    A write scope holds its read scope.
    """
    needed = NEEDED - {"write_inventory"} if observes else NEEDED
    can = granted | {each.replace("write_", "read_", 1) for each in granted}
    if missing := sorted(needed - can):
        yield fail(
            f"lacks {', '.join(missing)}",
            "grant them in the app's configuration, and install it anew",
            name,
            4,
        )
    if more := sorted(granted - NEEDED):
        yield warn(
            f"may do more than is needed: {', '.join(more)}", "take them out of the app's configuration", name
        )
    if not missing and not more:
        yield ok("what is needed and no more", name)


def by_daemon(site: Site) -> Lines:
    """How the feeds of a system stand with the running daemon; those it has not come to are told too."""
    assert site.scene.status is not None
    tried = {each["feed"]: each for each in site.scene.status.get("feeds", ())}
    for feed in site.plan.wiring.paces:
        if feed.partition(".")[0] == site.name:
            yield told_of(tried.get(feed, {"feed": feed}), site.plan.settings.ages.max_age_s)


def told_of(feed: Mapping[str, object], limit_s: float) -> Line:
    """One feed of the daemon's status: ``age_s`` is of its last whole reading, ``why`` none came since."""
    about, age, why = str(feed["feed"]), feed.get("age_s"), str(feed.get("why") or "")
    fix, since = "see why: reconcilerd status", f", and since then: {why}" if why else ""
    if not isinstance(age, int):
        return warn(f"not read whole yet by the daemon{f': {why}' if why else ''}", fix, about)
    # The catalogue and the totals are read rarely on purpose.
    if about.endswith((".stock", ".orders", ".slots")) and age > limit_s:
        return fail(f"read whole {age} s ago by the daemon, {limit_s:.0f} s is dark{since}", fix, about, 5)
    if why:
        return warn(f"read whole {age} s ago by the daemon{since}", fix, about)
    return ok(f"read {age} s ago by the daemon", about)
