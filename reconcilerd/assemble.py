"""The only place that builds things: clients, connectors, ledger, desk, daemon, from settings or by hand."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import httpx

from reconcilerd.config.secret import Secret
from reconcilerd.connectors.extensiv.client import OPERATIONS as EXTENSIV_OPERATIONS
from reconcilerd.connectors.extensiv.client import Extensiv
from reconcilerd.connectors.extensiv.walk import LANES
from reconcilerd.connectors.port import Channel
from reconcilerd.connectors.shopify.client import Shopify
from reconcilerd.connectors.shopify.graphql import LANE
from reconcilerd.connectors.shopify.graphql import OPERATIONS as SHOPIFY_OPERATIONS
from reconcilerd.daemon.circuits import Circuits
from reconcilerd.daemon.daemon import Daemon, Plugs
from reconcilerd.daemon.desk import Desk, Journal
from reconcilerd.daemon.health import Alerts, Health
from reconcilerd.daemon.passes import Passes
from reconcilerd.daemon.pollers import Pace
from reconcilerd.daemon.scopes import Ask
from reconcilerd.daemon.surroundings import Around, Calls, Surroundings
from reconcilerd.domain.book import Book
from reconcilerd.domain.change import Closed
from reconcilerd.domain.facts import CorrectionPlanned, Fact, FindingKind, OrderObserved, OrderStatus
from reconcilerd.domain.feeds import EXTENSIV_ORDERS
from reconcilerd.domain.names import ChannelName, FeedName, Instant
from reconcilerd.domain.policy import Policy
from reconcilerd.spans import Tracer, no_spans
from reconcilerd.transport.client import Client, RetryRule
from reconcilerd.transport.credentials import ClientCredentials, StaticToken, TokenHeader, TokenRequest
from reconcilerd.transport.lane import Lane, LaneSpec

Clock = Callable[[], Instant]
TransportFor = Callable[[], httpx.AsyncBaseTransport]
SHOPIFY_TOKEN = TokenHeader("X-Shopify-Access-Token", "")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a system is, and its token or how one is asked for."""

    base_url: str
    auth: TokenRequest | Secret


@dataclass(frozen=True, slots=True)
class Wiring:
    """Everything the daemon is built from."""

    policy: Policy
    extensiv: Endpoint
    channels: Mapping[ChannelName, Endpoint]
    paces: Mapping[FeedName, Pace]
    clock: Clock
    transport: TransportFor
    stop_file: Callable[[], bool]
    seed: int = 0
    drain_s: float = 20.0
    drift_after_ms: int = 900_000
    closed: Callable[[Instant], tuple[Closed, ...]] = lambda _: ()
    """The freeze windows that are open at a moment."""
    tracer: Tracer = no_spans
    around: Around = Around()
    """What can be seen of this machine."""
    looks_at_scopes: bool = False
    """Whether it is asked now and then what our credentials may do: a call of each channel."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A daemon ready to run, and the clients it speaks through (for traffic figures and closing)."""

    daemon: Daemon
    stock: Extensiv
    channels: dict[ChannelName, Channel]
    clients: Mapping[str, Client]


def assemble(
    wiring: Wiring,
    journal: Journal,
    alerts: Alerts,
    state: Iterable[Fact] = (),
    recent: Iterable[CorrectionPlanned] = (),
) -> Assembled:
    """Build a daemon. ``state``: what the ledger holds, in its order; ``recent``: see ``Daemon``."""
    book = Book(wiring.policy, awake_since=wiring.clock())
    book.load(state, book.awake_since)
    desk = Desk(book, journal, wiring.clock)
    clients = {"extensiv": _extensiv_client(wiring)}
    ids = {
        rule.sales_channel_id: name
        for name, rule in wiring.policy.channels.items()
        if rule.sales_channel_id is not None
    }
    stock = Extensiv(
        clients["extensiv"],
        wiring.clock,
        channels=ids,
        order_keys={name: rule.order_key for name, rule in wiring.policy.channels.items()},
        known_products=[each for each in book.products.values() if each.active],
        known_listings=[each for each in book.listings.values() if each.active],
        known_stock=[track.row for track in book.stock.values()],
        known_orders=_open_orders(book),
        spelling={sku: product.shown_sku for sku, product in book.products.items()},
        orders_poll_ms=wiring.paces[EXTENSIV_ORDERS].longest_ms,
    )
    channels: dict[ChannelName, Channel] = {}
    scopes: dict[ChannelName, Ask] = {}
    latched = book.latches.standing(wiring.clock())
    circuits = Circuits(wiring.policy.limits, wiring.clock, latched)
    for name, endpoint in wiring.channels.items():
        clients[name] = _shopify_client(name, endpoint, wiring, circuits.hear(name))
        rule = wiring.policy.channels[name]
        shopify = channels[name] = Shopify(
            clients[name],
            wiring.clock,
            name=name,
            places=tuple(rule.places),
            read_lag_ms=rule.read_lag_ms,
            order_lag_ms=rule.order_lag_ms,
            poll_ms=wiring.paces[FeedName(f"{name}.orders")].longest_ms,
            known={
                slot: track.seen
                for slot, track in book.slots.items()
                if slot.channel == name and track.seen is not None and not track.seen.gone
            },
            duplicates=_duplicates(book, name),
        )
        if wiring.looks_at_scopes:
            scopes[name] = shopify.more_scopes
    chance = Random(wiring.seed)
    plugs = Plugs(
        stock=stock,
        channels=channels,
        paces=wiring.paces,
        stop_file=wiring.stop_file,
        new_id=partial(_new_id, chance),
        chance=chance,
        circuits=circuits,
        closed=wiring.closed,
        scopes=scopes,
    )
    limits = dict.fromkeys(_watched(channels), wiring.policy.ages.max_age_ms)

    surroundings = Surroundings(wiring.around, lambda: {name: _calls(each) for name, each in clients.items()})

    def health(desk: Desk, passes: Passes) -> Health:
        return Health(desk, passes, alerts, limits, wiring.drift_after_ms, circuits, surroundings)

    daemon = Daemon(desk, plugs, health, wiring.drain_s, recent)
    daemon.passes.tracer = wiring.tracer
    return Assembled(daemon, stock, channels, clients)


def _calls(client: Client) -> Calls:
    traffic = client.traffic
    return Calls(traffic.sent, traffic.unanswered, traffic.throttled)


def _watched(channels: Mapping[ChannelName, Channel]) -> list[FeedName]:
    return [
        FeedName("extensiv.stock"),
        FeedName("extensiv.orders"),
        *(feed for channel in channels.values() for feed in channel.feeds),
    ]


def _new_id(chance: Random) -> str:
    """Ids come from the seeded chance, so that a run replays."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _open_orders(book: Book) -> list[OrderObserved]:
    """What Extensiv last showed as an order that is still to be shipped."""
    return [
        side
        for order in book.orders.orders.values()
        for side in order.parts
        if side.part and side.status in {OrderStatus.OPEN, OrderStatus.UNKNOWN}
    ]


def _duplicates(book: Book, channel: ChannelName) -> frozenset[str]:
    """SKUs that several items of a channel carried when the last reading of it ended."""
    return frozenset(
        finding.subject.partition(":")[2]
        for finding in book.findings.values()
        if finding.what is FindingKind.DUPLICATE_SKU
        and not finding.cleared
        and finding.subject.startswith(f"{channel}:")
    )


def _extensiv_client(wiring: Wiring) -> Client:
    return _client("extensiv", wiring.extensiv, LANES, TokenHeader(), wiring, EXTENSIV_OPERATIONS)


def _shopify_client(name: str, endpoint: Endpoint, wiring: Wiring, heard: Callable[[bool], None]) -> Client:
    return _client(name, endpoint, [LANE], SHOPIFY_TOKEN, wiring, SHOPIFY_OPERATIONS, heard)


def _client(
    name: str,
    endpoint: Endpoint,
    lanes: Sequence[LaneSpec],
    header: TokenHeader,
    wiring: Wiring,
    operations: Sequence[str],
    heard: Callable[[bool], None] = lambda _: None,
) -> Client:
    return client_of(
        name,
        endpoint,
        lanes,
        header,
        transport=wiring.transport(),
        clock=wiring.clock,
        seed=wiring.seed,
        heard=heard,
        operations=operations,
        tracer=wiring.tracer,
    )


def client_of(
    name: str,
    endpoint: Endpoint,
    lanes: Sequence[LaneSpec],
    header: TokenHeader,
    *,
    transport: httpx.AsyncBaseTransport,
    clock: Clock,
    seed: int = 0,
    heard: Callable[[bool], None] = lambda _: None,
    operations: Sequence[str] = (),
    tracer: Tracer = no_spans,
) -> Client:
    """A client of one system that asks for its own tokens, through the transport it sends by."""
    made: list[Client] = []

    async def fetch(request: httpx.Request) -> httpx.Response:
        return await made[0].fetch(request)

    client = Client(
        name,
        endpoint.base_url,
        transport=transport,
        auth=StaticToken(endpoint.auth, header)
        if isinstance(endpoint.auth, Secret)
        else ClientCredentials(endpoint.auth, fetch, clock, header),
        lanes=[Lane(spec, clock) for spec in lanes],
        clock=clock,
        retry=RetryRule(seed=seed),
        heard=heard,
        operations=operations,
        tracer=tracer,
    )
    made.append(client)
    return client
