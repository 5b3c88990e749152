"""What can be looked at: one list of views, shown as pages and as JSON."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import anyio
from starlette.requests import Request

from reconcilerd.daemon.answers import Answers
from reconcilerd.domain.drift import Cause
from reconcilerd.domain.facts import EXTENSIV
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault
from reconcilerd.web.app import role_in
from reconcilerd.web.configuration import ConfigPage, config_page
from reconcilerd.web.drifts import DriftPage, drift_page
from reconcilerd.web.heard import AlertsPage, alerts_page
from reconcilerd.web.leaves import UNKNOWN, number_of
from reconcilerd.web.lists import (
    DIFFERS,
    MAPPING,
    MappingPage,
    OrdersPage,
    PassesPage,
    mapping_page,
    orders_page,
    passes_page,
)
from reconcilerd.web.overview import Overview, overview
from reconcilerd.web.passed import PassedOf, PassPage, pass_page
from reconcilerd.web.roles import Role
from reconcilerd.web.sku import NotShown, Past, SkuPage, sku_page
from reconcilerd.web.sources import Sources
from reconcilerd.web.systems import SystemPage, system_page
from reconcilerd.web.waiting import WaitingPage, waiting_page

DENIED = 4
UNREADABLE = 5
"""Exit codes of the command line, as ``NotShown`` has them."""


class NotAllowed(NotShown):
    """It is there, and not for who asks."""


RECENT_MS = 2_000
"""What somebody was just shown is shown to the next one too: many who look cost no more than one."""

Look = Callable[[Request], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class View:
    """One of them. ``kind``: what ``look`` gives, a dataclass. ``page``: where it stands as HTML."""

    name: str
    says: str
    kind: type
    look: Look
    page: str
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Of its path and its query, with what each means."""
    role: Role = Role.READ
    """The least that sees it."""

    @property
    def json(self) -> str:
        """Where it stands as JSON."""
        return f"/api/v1/{self.name}" if self.page == "/" else f"/api/v1{self.page}"


def views_of(sources: Sources, answers: Answers, past: Past, passed: PassedOf) -> list[View]:
    """Every view. They raise NotShown. ``past``, ``passed``: what the ledger holds, read beside the loop."""
    daemon = sources.daemon

    async def drift(request: Request) -> DriftPage:
        channel = asked_for(request, "channel", daemon.desk.book.policy.channels)
        cause = asked_for(request, "cause", frozenset(map(str, Cause)))
        return drift_page(daemon, channel, cause, _page_in(request))

    async def alerts(_request: Request) -> AlertsPage:
        return alerts_page(sources.alerts)

    async def orders(request: Request) -> OrdersPage:
        channel = asked_for(request, "channel", {*daemon.desk.book.policy.channels, DIFFERS})
        return orders_page(daemon, channel, _page_in(request))

    async def mapping(request: Request) -> MappingPage:
        kind = asked_for(request, "kind", frozenset(map(str, MAPPING)))
        return mapping_page(daemon, kind, _page_in(request))

    async def waiting(request: Request) -> WaitingPage:
        return waiting_page(daemon, _page_in(request))

    async def one_pass(request: Request) -> PassPage:
        page, entry = _page_in(request), request.query_params.get("entry", "")
        found = await passed(request.path_params["id"], number_of(entry, "entry") if entry else None, page)
        return pass_page(daemon.desk.book, found, page)

    async def passes(request: Request) -> PassesPage:
        before = request.query_params.get("before", "")
        return await passes_page(past, number_of(before, "entry") if before else None)

    async def config(_request: Request) -> ConfigPage:
        if sources.config is None:
            raise NotShown("nobody here knows the configuration", UNREADABLE)
        return await config_page(sources.config)

    async def sku(request: Request) -> SkuPage:
        return await sku_page(answers, past, request.path_params["sku"], daemon.desk.clock())

    async def system(request: Request) -> SystemPage:
        name = request.path_params["name"]
        if name not in {EXTENSIV, *daemon.desk.book.policy.channels}:
            raise NotShown(f"there is no channel {name}", UNKNOWN)
        return await system_page(sources, name)

    page = {"page": "Which page of a long table, from 1; only where one table is asked for."}
    cause = {"channel": "Only listings of this channel.", "cause": "Only this cause.", **page}
    in_pass = {"id": "Its id, as /passes has it.", "entry": "Its entry, which finds it at once.", **page}
    before = {
        "before": "Only passes before that of this entry; older, as each answer has it, is the next to ask."
    }
    kind = {"kind": "Only this kind.", **page}
    missing = {
        "channel": f"Only orders that Extensiv lacks of this channel; {DIFFERS}: those that differ.",
        **page,
    }
    views = [
        View("overview", "How everything stands.", Overview, lambda _: overview(sources), "/"),
        View("drift", "Listings that differ, by cause.", DriftPage, drift, "/drift", cause),
        View("alerts", "Alerts, silences, receivers.", AlertsPage, alerts, "/alerts"),
        View("orders", "Orders of which two sides tell differently.", OrdersPage, orders, "/orders", missing),
        View("mapping", "What is mapped to nothing, or twice.", MappingPage, mapping, "/mapping", kind),
        View("passes", "The latest passes, and those before them.", PassesPage, passes, "/passes", before),
        View("pass", "One pass.", PassPage, one_pass, "/passes/{id}", in_pass),
        View("config", "The configuration in force.", ConfigPage, config, "/config", role=Role.ADMIN),
        View("waiting", "What waits for a person.", WaitingPage, waiting, "/waiting", page, Role.APPROVE),
        View("system", "A channel, or extensiv.", SystemPage, system, "/channels/{name}", {"name": "Its name."}),
        View("sku", "One SKU.", SkuPage, sku, "/sku/{sku:path}", {"sku": "Its code, or a listing's code or id."}),
    ]  # fmt: skip
    return [replace(view, look=shared(view, daemon.desk.clock)) for view in views]


def asked_for(request: Request, name: str, known: Collection[str]) -> str:
    """What a query names, if anything. Raises NotShown for what is not there."""
    value: str = request.query_params.get(name, "")
    if value and value not in known:
        raise NotShown(f"there is no {name} {value}; there are {', '.join(sorted(known))}", UNKNOWN)
    return value


def _page_in(request: Request) -> int:
    return number_of(request.query_params.get("page", ""))


def shared(view: View, clock: Callable[[], Instant]) -> Look:
    """The look of a view, one at a time; whoever asks for the same within ``RECENT_MS`` gets the same."""
    turn, last = anyio.Lock(), dict[tuple[str | None, ...], tuple[Instant, Any]]()

    async def look(request: Request) -> Any:
        asked = {**request.query_params, **request.path_params}
        key = tuple(asked.get(name) for name in view.parameters)
        async with turn:
            now = clock()
            if key in last and 0 <= now - last[key][0] < RECENT_MS:
                return last[key][1]
            last.clear()
            last[key] = now, (told := await view.look(request))
            return told

    return look


async def looked(view: View, request: Request) -> Any:
    """What a view gives. Raises NotAllowed, and NotShown for a ledger that cannot be read: that ends no daemon."""
    allow(request, view.role)
    try:
        return await view.look(request)
    except LedgerFault as fault:
        raise NotShown(str(fault), UNREADABLE) from fault


def allow(request: Request, role: Role = Role.READ) -> None:
    """Let in who has at least this role. Raises NotAllowed."""
    theirs = role_in(request)
    if theirs is None or theirs < role:
        raise NotAllowed(f"this takes the token of [web] {role.name.lower()}_token", DENIED)


def status_of(why: NotShown) -> int:
    """The HTTP status of what is not shown."""
    if isinstance(why, NotAllowed):
        return 403
    return 404 if why.code == UNKNOWN else 503
