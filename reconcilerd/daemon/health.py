"""Turns the standing of sources, drifts and holds into alerts, raised once and resolved when they heal."""

from collections.abc import Callable, Mapping
from typing import Protocol

import anyio

from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.passes import Passes, held_for_a_person
from reconcilerd.domain.facts import FindingKind
from reconcilerd.domain.names import ChannelName, FeedName, after
from reconcilerd.errors import Denied, ReconcilerdError

CHECK_EVERY_S = 5.0
EXPOSURE_AFTER_MS = 120_000
CLOCK_ALERT_MS = 900_000
SOLD_WITHIN_MS = 86_400_000


class Alerts(Protocol):
    """Where alerts go: one stable key per kind and subject."""

    async def raise_(
        self, kind: str, subject: str, severity: str, summary: str, details: Mapping[str, str]
    ) -> None: ...

    async def resolve(self, kind: str, subject: str) -> None: ...


class Health:
    """Looks at the desk and the last plans every few seconds."""

    def __init__(
        self, desk: Desk, passes: Passes, alerts: Alerts, feeds: Mapping[FeedName, int], drift_after_ms: int
    ) -> None:
        """``feeds``: how old (ms) the last complete reading of each feed may be."""
        self._desk = desk
        self._passes = passes
        self._alerts = alerts
        self._feeds = feeds
        self._drift_after_ms = drift_after_ms
        self._began = desk.clock()
        self._exposed_since: int | None = None

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await anyio.sleep(CHECK_EVERY_S)
            await self.check()

    async def on_trouble(self, feed: FeedName, error: ReconcilerdError | None) -> None:
        """A reading of a feed succeeded (None) or failed. Only refused credentials alert at once."""
        system = feed.partition(".")[0]
        if isinstance(error, Denied):
            await self.denied(system, str(error))
        elif error is None:
            await self._alerts.resolve("credentials_refused", system)

    async def denied(self, system: str, why: str) -> None:
        await self._alerts.raise_(
            "credentials_refused",
            system,
            "critical",
            f"{system} refuses our credentials; nothing is read from or written to it until they are replaced",
            {"why": why},
        )

    async def check(self) -> None:
        """One look at everything."""
        await self._stale()
        await self._exposure()
        await self._drift()
        await self._held()
        await self._unmapped()
        await self._broken()
        await self._clock()

    async def _say(self, on: bool, kind: str, subject: str, say: Callable[[], tuple[str, str]]) -> None:
        if on:
            severity, summary = say()
            await self._alerts.raise_(kind, subject, severity, summary, {})
        else:
            await self._alerts.resolve(kind, subject)

    async def _stale(self) -> None:
        now = self._desk.clock()
        for feed, limit_ms in self._feeds.items():
            read = self._desk.book.sweeps.get(feed)
            age = now - (read.began if read else self._began)
            tried = self._desk.book.tried.get(feed)
            why = tried.why if tried and tried.why else "no complete reading"
            text = f"{feed} was last read completely {age // 1000} s ago (limit {limit_ms // 1000} s): {why}"
            await self._say(age > limit_ms, "stale_source", feed, lambda text=text: ("error", text))  # type: ignore[misc]

    async def _exposure(self) -> None:
        now, exposed = self._desk.clock(), self._passes.standing.exposed
        if not exposed:
            self._exposed_since = None
        elif self._exposed_since is None:
            self._exposed_since = now
        on = self._exposed_since is not None and now - self._exposed_since > EXPOSURE_AFTER_MS
        worst = max(exposed, key=lambda sku: exposed[sku], default=None)
        text = (
            f"{sum(exposed.values())} units shown beyond what can ship, on {len(exposed)} SKUs; worst {worst}"
        )
        await self._say(on, "exposure", "stock", lambda: ("critical", text))

    async def _drift(self) -> None:
        now, standing = self._desk.clock(), self._passes.standing
        old: dict[ChannelName, int] = {}
        for slot, since in standing.since.items():
            if now - since > self._drift_after_ms:
                old[slot.channel] = old.get(slot.channel, 0) + 1
        for channel in self._desk.book.policy.channels:
            count = old.get(channel, 0)
            text = f"{count} listings of {channel} differ for more than {self._drift_after_ms // 60_000} min"
            await self._say(count > 0, "unresolved_drift", channel, lambda text=text: ("error", text))  # type: ignore[misc]

    async def _held(self) -> None:
        held: dict[ChannelName, list[str]] = {}
        for drift, verdict in held_for_a_person(self._passes.standing):
            held.setdefault(drift.slot.channel, []).append(f"{drift.sku} ({verdict})")
        for channel in self._desk.book.policy.channels:
            skus = held.get(channel, [])
            text = f"{len(skus)} corrections of {channel} wait for an approval: {', '.join(skus[:5])}"
            await self._say(bool(skus), "held_plan", channel, lambda text=text: ("warning", text))  # type: ignore[misc]

    async def _unmapped(self) -> None:
        """What sells and is mapped to nothing: its orders take units that nobody subtracts."""
        found: dict[str, list[str]] = {}
        yesterday = after(self._desk.clock(), -SOLD_WITHIN_MS)
        for finding in self._desk.book.findings.values():
            channel, _, code = finding.subject.partition(":")
            open_ = finding.what is FindingKind.UNMAPPED_SKU and not finding.cleared
            if open_ and self._desk.book.orders.taken_since(ChannelName(channel), code, yesterday):
                found.setdefault(channel, []).append(code)
        for channel in self._desk.book.policy.channels:
            codes = sorted(found.get(channel, []))
            text = f"{len(codes)} listings of {channel} sell and are mapped to no SKU: {', '.join(codes[:5])}"
            await self._say(bool(codes), "unmapped_sku", channel, lambda text=text: ("error", text))  # type: ignore[misc]

    async def _clock(self) -> None:
        since = self._desk.turned_back
        on = since is not None and self._desk.clock() - since < CLOCK_ALERT_MS
        text = "the clock of this machine went back; nothing is raised until everything is read again"
        await self._say(on, "clock_went_back", "clock", lambda: ("error", text))

    async def _broken(self) -> None:
        """A bug of ours, caught before it was sent. Never heals by itself: a person must look."""
        broken = self._passes.violations
        if broken:
            text = (
                f"{len(broken)} plans broke an invariant and were not sent; the first: {broken[0].invariant}"
            )
            details = {"what": broken[0].what[:500], "do": "stop the daemon and keep its ledger for a report"}
            await self._alerts.raise_("invariant_broken", "plans", "critical", text, details)
