"""Turns the standing of sources, drifts and holds into alerts, raised once and resolved when they heal."""

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Protocol

from reconcilerd.daemon.breakers import Tripped, tripped
from reconcilerd.daemon.circuits import Circuits
from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.lasting import lasting
from reconcilerd.daemon.passes import Passes, held_for_a_person
from reconcilerd.daemon.surroundings import Surroundings
from reconcilerd.domain.alerts import kind_named
from reconcilerd.domain.announcements import LargeOrder
from reconcilerd.domain.discrepancies import Missing, missing_orders, unmapped_that_sold
from reconcilerd.domain.facts import EXTENSIV, FindingKind, FindingRaised, JobEnded
from reconcilerd.domain.feeds import EXTENSIV_ORDERS
from reconcilerd.domain.latches import CIRCUIT, INVARIANT, QUARANTINE, TUG
from reconcilerd.domain.mirrors import frozen_mirrors
from reconcilerd.domain.names import ChannelName, FeedName, Instant, Sku, after, count_of, format_span
from reconcilerd.domain.registry import RESETS
from reconcilerd.domain.verdicts import LATCHED, MEANS, Verdict
from reconcilerd.errors import Denied, ReconcilerdError
from reconcilerd.transport.progress import rest

CHECK_EVERY_S = 15.0
EXPOSURE_AFTER_MS = 120_000
OFFLINE_AFTER_MS = 300_000
CLOCK_ALERT_MS = 900_000
SOLD_WITHIN_MS = 86_400_000
READ_WITHIN_MS = 3_600_000
SEVERITY: Mapping[str, str] = MappingProxyType({TUG: "error", QUARANTINE: "error", CIRCUIT: "error"})
"""Of rails that end by themselves; all others wait for a person."""
WAKING_UNITS = 5
"""Units shown beyond what can ship from which somebody is woken; fewer can wait for the morning."""
NAMED = 5
REASONS = 2
STALLED_MS = 120_000
MIRRORS_EVERY_MS = 600_000
"""Every order that is kept is looked at for it."""
"""Whoever looks or plans no more for so long has stopped."""


def _named(names: Sequence[str]) -> str:
    """The first of them, each once, and how many more there are."""
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return ", ".join(known[:NAMED]) + more


def kind_of(rail: str) -> str:
    """The kind of alert that a tripped rail is."""
    return "tug_of_war" if rail == TUG else "rail_tripped"


class Alerts(Protocol):
    """Where alerts go: one stable key per kind and subject."""

    async def raise_(
        self, kind: str, subject: str, severity: str, summary: str, details: Mapping[str, str]
    ) -> None: ...

    async def resolve(self, kind: str, subject: str) -> None: ...

    async def keep_only(self, known: Set[tuple[str, str]]) -> None:
        """Resolve every alert that fires for none of these (kind, subject): nobody speaks for it any more."""
        ...


class Nobody:
    """Where a person is present and asks: nobody else is told."""

    async def raise_(
        self, kind: str, subject: str, severity: str, summary: str, details: Mapping[str, str]
    ) -> None: ...

    async def resolve(self, kind: str, subject: str) -> None: ...

    async def keep_only(self, known: Set[tuple[str, str]]) -> None: ...


class Health:
    """Looks at the desk and the last plans every few seconds."""

    def __init__(
        self,
        desk: Desk,
        passes: Passes,
        alerts: Alerts,
        feeds: Mapping[FeedName, int],
        drift_after_ms: int,
        circuits: Circuits,
        surroundings: Surroundings,
    ) -> None:
        """``feeds``: how old (ms) the last complete reading of each feed may be."""
        self._desk = desk
        self._passes = passes
        self._alerts = alerts
        self._feeds = feeds
        self._drift_after_ms = drift_after_ms
        self.began = desk.clock()
        self._exposed_since: Instant | None = None
        self._denied: dict[str, dict[str, str]] = {}
        """By system: which of its readings or writes are refused, and why."""
        self._accepted: set[str] = set()
        """Systems that took our credentials since the start."""
        self.surroundings = surroundings
        self._circuits = circuits
        self._tripped_before: set[str] = set()
        """Groups of rails that held at the last look."""
        self._looked: Instant | None = None
        """When everything was last looked at."""
        self._calm: set[tuple[str, str]] = set()
        """Those that were resolved already and have not fired since."""
        self._spoken: set[tuple[str, str]] = set()
        """Every (kind, subject) that a look at everything speaks for."""
        self.missing: dict[ChannelName, tuple[Missing, ...]] = {}
        """Orders that Extensiv lacked at the last look, the oldest first."""
        self.reload_refused: str | None = None
        """Why the configuration as it stands on disk is not in force, if so."""
        self.jobs: Mapping[str, JobEnded | None] = {}
        """Jobs that are done by the clock, and how each ended last."""
        self._mirrors_at = Instant(0)
        self._large: dict[str, dict[Sku, LargeOrder]] = {}
        """Large orders that people were told of, by subject: what each takes of each component."""
        passes.announce = self.announce
        desk.on_turned_back.append(self._turn_back)

    def _turn_back(self, now: Instant) -> None:
        """The clock went back: what is exposed, and whoever looks no more, is told as late as ever and no later."""
        self._mirrors_at = min(self._mirrors_at, now)
        if self._exposed_since is not None:
            self._exposed_since = min(self._exposed_since, now)
        if self._looked is not None:
            self._looked = min(self._looked, now)

    @property
    def _runs_since(self) -> Instant:
        """Since when we run, by the clock that goes now."""
        return self.began if self._desk.turned_back is None else self._desk.turned_back

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await rest(CHECK_EVERY_S)
            await self.check()

    def watches(self, feed: FeedName) -> bool:
        """Whether a reading of this feed may be too old."""
        return feed in self._feeds

    def judge_by(self, max_age_ms: int, drift_after_ms: int) -> None:
        """How old the last complete reading of any feed, and a drift, may be from here on."""
        self._feeds = dict.fromkeys(self._feeds, max_age_ms)
        self._drift_after_ms = drift_after_ms

    async def on_trouble(self, feed: FeedName, error: ReconcilerdError | None) -> None:
        """A reading of a feed succeeded (None) or failed. Only refused credentials alert at once."""
        if error is None or isinstance(error, Denied):
            await self.denied(feed.partition(".")[0], feed, None if error is None else str(error))

    async def denied(self, system: str, what: str, why: str | None) -> None:
        """Whether a system refuses our credentials for one reading, or for writing (``why``), or takes them."""
        refused = self._denied.setdefault(system, {})
        if why is None:
            refused.pop(what, None)
            if not refused:
                self._accepted.add(system)
        else:
            refused[what] = why
        await self._credentials(system)

    @property
    def limits(self) -> Mapping[FeedName, int]:
        """How old (ms) the last complete reading of each watched feed may be."""
        return self._feeds

    def stale(self) -> dict[FeedName, int]:
        """The watched feeds whose last complete reading is older than that, with its age (ms); since our own start
        where there was none.
        """
        now = self._desk.clock()
        ages = {feed: self._age(feed, now) for feed in self._feeds}
        return {feed: age for feed, age in ages.items() if age > self._feeds[feed]}

    def refused(self, system: str) -> str | None:
        """Why a system refuses our credentials, if it does."""
        return next(iter(self._denied.get(system, {}).values()), None)

    def why_not(self) -> str:
        """Why this moment must not count as alive; empty while everything is read, planned and sound."""
        now = self._desk.clock()
        if self._looked is None:
            return "it starts"
        if now - self._looked > STALLED_MS:
            return f"nobody looked for {(now - self._looked) // 1000} s"
        waits_since = self._passes.under_way or (self._desk.busy_since if self._desk.busy else now)
        waits = now - max(waits_since, self._passes.finished)
        if waits > STALLED_MS:
            return f"nothing was planned for {waits // 1000} s"
        stale = self.stale()
        if stale:
            return f"not read completely for too long: {', '.join(stale)}"
        if self._desk.book.words.breaches:
            return "an invariant was broken; nothing is written"
        if self._passes.broken or self._desk.broken:
            return "something met a bug and is left out"
        return ""

    def _age(self, feed: FeedName, now: Instant) -> int:
        """How old (ms) the last complete reading of a feed is; of one never read, how long we run.

        Nor was one read by this clock that was read before it was set back.
        """
        return now - (self._desk.book.read_at(feed) or self._runs_since)

    async def check(self) -> None:
        """One look at everything."""
        first = self._looked is None
        for system in (EXTENSIV, *self._desk.book.policy.channels):
            await self._credentials(system)
        await self._offline()
        await self._stale()
        await self._exposure()
        await self._drift()
        await self._held()
        await self._tripped()
        await self._unmapped()
        await self._orders_differ()
        await self._past_zero()
        await self._large_orders()
        await self._unreadable()
        await self._broken()
        await self._bugs()
        await self._clock()
        await self._reload()
        await self._jobs()
        await self._around()
        await self._mirrors()
        self._looked = self._desk.clock()
        if first:
            # What fired before this start for something that is no more: a channel taken out, a bug mended.
            await self._alerts.keep_only(self._spoken)

    def _standing(self, kind: FindingKind) -> Collection[FindingRaised]:
        return self._desk.book.findings.standing(kind).values()

    async def _say(
        self,
        on: bool,
        kind: str,
        subject: str,
        summary: str,
        details: Mapping[str, str] = MappingProxyType({}),
        severity: str | None = None,
    ) -> None:
        about = (kind, subject)
        if not on and about in self._calm:
            return
        self._spoken.add(about)
        if on:
            self._calm.discard(about)
            await self._alerts.raise_(kind, subject, severity or kind_named(kind).severity, summary, details)
        else:
            await self._alerts.resolve(kind, subject)
            self._calm.add(about)

    async def _credentials(self, system: str) -> None:
        refused = self._denied.get(system, {})
        if not refused and ("credentials_refused", system) in self._calm:
            return
        before = "; it took them before, so somebody revoked or replaced them"
        text = f"{system} refuses our credentials for {', '.join(sorted(refused))}"
        text += before if system in self._accepted else ""
        do = "put the right secret where the configuration names it, then systemctl restart reconcilerd"
        details = {"why": next(iter(refused.values()), ""), "do": do}
        await self._say(bool(refused), "credentials_refused", system, text, details)

    def _systems(self) -> list[str]:
        """Whose feeds are watched."""
        return list(dict.fromkeys(feed.partition(".")[0] for feed in self._feeds))

    def _silent(self, system: str) -> tuple[Instant, str] | None:
        """Since when nothing of a system was read completely, though it was tried, and why; None where something is."""
        if self.refused(system):
            return None  # it answers; what it says has an alert of its own
        book, feeds = self._desk.book, [each for each in self._feeds if each.partition(".")[0] == system]
        read = max(
            (book.sweeps[each].ended for each in feeds if each in book.sweeps), default=self._runs_since
        )
        tried = (book.tried[each] for each in feeds if each in book.tried)
        why = next((each.why for each in tried if not each.complete and each.ended > read), None)
        return None if why is None else (read, why)

    async def _offline(self) -> None:
        """One alert where it is not a system that is not read, but all of them: it has one cause, most likely here."""
        systems = self._systems()
        silent = {system: found for system in systems if (found := self._silent(system))}
        last = max((read for read, _ in silent.values()), default=self._runs_since)
        ago = self._desk.clock() - last
        on = 1 < len(systems) == len(silent) and ago > OFFLINE_AFTER_MS
        text = f"none of {len(systems)} systems is read, the last one was {format_span(ago)} ago: "
        details = {
            "why": "; ".join(f"{system}: {why[:120]}" for system, (_, why) in list(silent.items())[:NAMED]),
            "do": "reconcilerd doctor; look at the network, the proxy and the name service of this machine",
        }
        await self._say(on, "offline", "systems", text + _named(systems), details)

    async def _stale(self) -> None:
        """One alert a system: what keeps one of its feeds from being read keeps most of them."""
        stale: dict[str, list[tuple[FeedName, int]]] = {}
        for feed, age in self.stale().items():
            stale.setdefault(feed.partition(".")[0], []).append((feed, age))
        for system in self._systems():
            feeds = stale.get(system, [])
            if not feeds:
                await self._say(False, "stale_source", system, "")
                continue
            oldest, age = max(feeds, key=lambda each: each[1])
            # A reading that still waits for an answer has not failed yet: what another met is why, then.
            tried = (self._desk.book.tried.get(feed) for feed in (oldest, *(feed for feed, _ in feeds)))
            why = next((each.why for each in tried if each and each.why), "")
            why = why or self.surroundings.met(system) or "no complete reading"
            limit = format_span(self._feeds[oldest])
            text = f"{oldest} was last read completely {format_span(age)} ago (limit {limit}): {why}"
            details = {
                "what": "; ".join(f"{feed} {format_span(each)} ago" for feed, each in feeds),
                "do": "reconcilerd status; look at the status page of the system, and at the network of this machine",
            }
            await self._say(True, "stale_source", system, text, details)

    async def _mirrors(self) -> None:
        """A warehouse whose count Extensiv only copies, and that is not heard of though orders are shipped from it."""
        now = self._desk.clock()
        if now - self._mirrors_at < MIRRORS_EVERY_MS:
            return
        self._mirrors_at = now
        for name, frozen in frozen_mirrors(self._desk.book, now).items():
            subject = f"{EXTENSIV} {name}"
            if frozen is None:
                await self._say(False, "stale_source", subject, "")
                continue
            late, known = format_span(now - frozen.first), self._desk.book.locations.get(name)
            called = f"{known.name} ({name})" if known is not None else name
            text = (
                f"the copied stock of {called} has not changed for {format_span(now - frozen.since)}, "
                f"though {count_of(frozen.shipped, 'order')} were shipped from there, the first {late} ago"
            )
            details = {
                "why": "once a copy should have been renewed, what was shipped counts as stock again: it is sold twice",
                "do": f"in Extensiv, look at the integration of {called} and have it renew its inventory; until then "
                f"hold stock back there by a reserve",
            }
            await self._say(True, "stale_source", subject, text, details, "error")

    async def _exposure(self) -> None:
        """What a dead band lets be is none; few units are no reason to wake anybody unless their SKU is protected."""
        now, exposed = self._desk.clock(), self._passes.standing.alarming
        if not exposed:
            self._exposed_since = None
        elif self._exposed_since is None:
            self._exposed_since = now
        on = self._exposed_since is not None and now - self._exposed_since > EXPOSURE_AFTER_MS
        worst = sorted(exposed, key=lambda sku: (-exposed[sku].units, sku))
        units = sum(each.units for each in exposed.values())
        text = f"{count_of(units, 'unit')} shown beyond what can ship, on {count_of(len(worst), 'SKU')}"
        wakes = units >= WAKING_UNITS or any(each.protected for each in exposed.values())
        drifts = [
            each
            for sku in worst
            for each in self._passes.standing.drifts.get(sku, ())
            if each[0].difference < 0
        ]
        channels = sorted({drift.slot.channel for drift, _ in drifts})
        deaf = [f"{each} refuses our credentials" for each in channels if self.refused(each)]
        held = self._held_by(verdict for _, verdict in drifts)
        details = {
            "what": ", ".join(f"{sku} {exposed[sku].units}" for sku in worst[:NAMED]),
            "names": ", ".join(channels),
            "why": "; ".join([*deaf, *([held] if held else [])]),
            "do": "reconcile --all says what holds each lower; reconcilerd runbook exposure how to end it",
        }
        await self._say(on, "exposure", "stock", text, details, None if wakes else "error")

    async def _drift(self) -> None:
        old = await lasting(self._passes.standing, self._desk.clock(), self._drift_after_ms)
        for channel in self._desk.book.policy.channels:
            found = old.get(channel, [])
            differ = "differs" if len(found) == 1 else "differ"
            text = f"{count_of(len(found), 'listing')} of {channel} {differ} for more than "
            text += format_span(self._drift_after_ms)
            details = {
                "what": _named([str(drift.sku) for drift, _ in found]),
                "why": self._held_by(verdict for _, verdict in found),
                "do": f"reconcile --all --channel {shlex.quote(channel)}",
            }
            await self._say(bool(found), "unresolved_drift", channel, text, details)

    def _held_by(self, verdicts: Iterable[Verdict]) -> str:
        """What holds corrections, the commonest first, and how many each."""
        counted = Counter(verdict for verdict in verdicts if verdict is not Verdict.SEND)
        return "; ".join(f"{MEANS[verdict]} ({count})" for verdict, count in counted.most_common(REASONS))

    async def _held(self) -> None:
        held: dict[ChannelName, list[str]] = {}
        for drift, verdict in held_for_a_person(self._passes.standing):
            if verdict not in LATCHED:
                held.setdefault(drift.slot.channel, []).append(f"{drift.sku} ({verdict})")
        for channel in self._desk.book.policy.channels:
            skus = held.get(channel, [])
            wait = "waits" if len(skus) == 1 else "wait"
            text = f"{count_of(len(skus), 'correction')} of {channel} {wait} for an approval: {_named(skus)}"
            do = f"reconcilerd plan --channel {shlex.quote(channel)}; then reconcilerd approve held --reason TEXT"
            await self._say(bool(skus), "held_plan", channel, text, {"do": do})

    async def _tripped(self) -> None:
        """One alert a rail that holds (of single listings one a channel), until it is released."""
        await self._desk.take(self._circuits.news())
        groups: dict[str, list[Tripped]] = {}
        for each in tripped(self._desk.book, self._circuits, self._desk.clock()):
            if each.rail == INVARIANT:
                continue  # it has an alert of its own
            groups.setdefault(each.group, []).append(each)
        for group, held in groups.items():
            first = held[0]
            many = f" ({len(held)} of them)" if len(held) > 1 else ""
            text = f"{group}: {first.why}{many}; {first.evidence}"[:400]
            details = {
                "what": _named([sku for each in held for sku in self._skus_of(each)]),
                "names": ", ".join(each.name for each in held[:5]),
                "reset_means": RESETS[first.rail],
                "do": f"reconcilerd breaker reset {shlex.quote(group)} --reason TEXT",
            }
            kind = kind_of(first.rail)
            await self._say(True, kind, group, text, details, SEVERITY.get(first.rail))
        for group in self._tripped_before - groups.keys():
            await self._say(False, kind_of(group.partition(":")[0]), group, "")
        self._tripped_before = set(groups)

    def _skus_of(self, held: Tripped) -> list[str]:
        """The SKU of a rail that is about a single listing: the name of a slot tells nobody what is in it."""
        if held.rail not in {TUG, QUARANTINE}:
            return []
        sku_of = self._desk.book.joins().sku_of
        return [str(sku) for slot, sku in sku_of.items() if slot.path == held.subject]

    async def _unmapped(self) -> None:
        """What sells and is mapped to nothing: its orders take units that nobody subtracts."""
        found: dict[str, list[str]] = {}
        yesterday = after(self._desk.clock(), -SOLD_WITHIN_MS)
        unmapped = self._standing(FindingKind.UNMAPPED_SKU)
        for channel, code in unmapped_that_sold(self._desk.book, unmapped, yesterday):
            found.setdefault(channel, []).append(code)
        for channel in self._desk.book.policy.channels:
            codes = sorted(found.get(channel, []))
            are = "sells and is" if len(codes) == 1 else "sell and are"
            text = f"{count_of(len(codes), 'listing')} of {channel} {are} mapped to no SKU: {_named(codes)}"
            do = "map each to its SKU in Extensiv (Listings), or take it down in the store: its sales come off no stock"
            await self._say(bool(codes), "unmapped_sku", channel, text, {"do": do})

    async def _orders_differ(self) -> None:
        """Orders of which Extensiv says more units than their channel ever did, and those that it does not show."""
        book, now = self._desk.book, self._desk.clock()
        more: dict[str, list[FindingRaised]] = {}
        for finding in self._standing(FindingKind.ORDER_DIFFERS):
            more.setdefault(finding.subject.partition(":")[0], []).append(finding)
        for channel in book.policy.channels:
            said = more.get(channel, [])
            lost = self.missing[channel] = tuple(missing_orders(book, channel, now))
            text = f"{count_of(len(said), 'order')} of {channel}: more units in {EXTENSIV_ORDERS} than were ever sold"
            details = {each.subject: each.detail[:200] for each in said[:5]}
            details["what"] = _named([each.subject for each in said])
            details["do"] = "compare their lines in the store and in Extensiv; correct Extensiv"
            await self._say(bool(said), "order_differs", channel, text, details)
            age = format_span(now - lost[0].placed if lost else 0)
            text = f"{count_of(len(lost), 'order')} of {channel}, up to {age} old, not in {EXTENSIV_ORDERS}: "
            text += _named([each.order.key.number for each in lost])
            do = "look for these numbers in Extensiv; import them again, or enter them by hand"
            await self._say(bool(lost), "missing_orders", channel, text, {"do": do})

    async def announce(self, orders: Sequence[LargeOrder]) -> None:
        """Tell people of large orders at once: their channels are about to be lowered. An order is one alert."""
        told: set[str] = set()
        for order in orders:
            subject = f"{order.channel}/{order.order}"
            self._large.setdefault(subject, {})[order.component] = order
            told.add(subject)
        for subject in sorted(told):
            taken = list(self._large[subject].values())
            parts = [f"{each.units} of the {each.available} units of {each.component}" for each in taken]
            text = (
                f"order {taken[0].order} of {taken[0].channel} takes {_named(parts)} that were available; "
                "every channel that shares them follows"
            )
            details = {"do": "nothing where it is sound; else cancel it in the store"}
            await self._say(True, "large_order", subject, text, details)

    async def _large_orders(self) -> None:
        """An announcement ends when its order is shipped, cancelled, or large no longer."""
        standing = {each.identity for group in self._passes.standing.large.values() for each in group}
        for subject, taken in list(self._large.items()):
            if standing.isdisjoint(each.identity for each in taken.values()):
                del self._large[subject]
                await self._say(False, "large_order", subject, "")

    async def _past_zero(self) -> None:
        """Where zero does not stop sales though nobody declared that it should not."""
        found: dict[str, list[str]] = {}
        policy = self._desk.book.policy
        for finding in self._standing(FindingKind.SELLS_PAST_ZERO):
            channel, _, code = finding.subject.partition(":")
            known = channel in policy.channels
            skus = self._desk.book.skus_of_code(ChannelName(channel), code) if known else ()
            if not all(policy.offer_rule(sku, ChannelName(channel)).preorder for sku in skus) or not skus:
                found.setdefault(channel, []).append(code)
        for channel in policy.channels:
            codes = sorted(found.get(channel, []))
            sell = "sells" if len(codes) == 1 else "sell"
            text = (
                f"{count_of(len(codes), 'listing')} of {channel} {sell} past zero, showing 0 does not stop it: "
                f"{_named(codes)}"
            )
            do = "switch that off in the store, or say preorder = yes in the rules"
            await self._say(bool(codes), "sells_past_zero", channel, text, {"do": do})

    async def _unreadable(self) -> None:
        """Rows that were there and could not be read lately: what they say is known to nobody."""
        found: dict[str, list[FindingRaised]] = {}
        since = after(self._desk.clock(), -READ_WITHIN_MS)
        for finding in self._standing(FindingKind.REJECTED_ROW):
            if finding.as_of > since:
                found.setdefault(finding.subject.partition(":")[0], []).append(finding)
        for system in (EXTENSIV, *self._desk.book.policy.channels):
            bad = found.get(system, [])
            text = f"{count_of(len(bad), 'row')} of {system} cannot be read"
            details = {each.subject: each.detail[:200] for each in bad[:5]}
            details["what"] = "; ".join(f"{each.subject}: {each.detail[:80]}" for each in bad[:3])
            details["do"] = f"correct the row in {system}; if all fail, report it with the log"
            await self._say(bool(bad), "unreadable_rows", system, text, details)

    async def _clock(self) -> None:
        since = self._desk.turned_back
        on = since is not None and self._desk.clock() - since < CLOCK_ALERT_MS
        text = "the clock of this machine went back; nothing is raised until everything is read again"
        await self._say(on, "clock_went_back", "clock", text)

    async def _reload(self) -> None:
        """Somebody changed the configuration and thinks that it is in force."""
        why = self.reload_refused
        text = "the changed configuration is not in force; the one before is kept"
        details = {
            "why": (why or "")[:500],
            "do": "correct it and reload, or restart; reconcilerd check-config",
        }
        await self._say(why is not None, "reload_failed", "configuration", text, details)

    async def _jobs(self) -> None:
        """What is done by the clock and failed last, until it succeeds."""
        for name, ended in self.jobs.items():
            why = "" if ended is None or ended.ok else ended.why
            text = f"the {name} failed; it is tried again when it is due next"
            details = {"why": why, "do": f"reconcilerd {name}{' --send' if name == 'digest' else ''}"}
            await self._say(bool(why), "job_failed", name, text, details)

    async def _broken(self) -> None:
        """A bug of ours, caught before it was sent. Nothing is written until a person lifts it, restarted or not."""
        breaches = self._desk.book.words.breaches
        first = next(iter(breaches.values()), None)
        names = sorted({name for each in breaches.values() for name, _ in each.broken})
        text = f"{', '.join(names)} broken {len(breaches)} times; nothing was sent of it and nothing is written now"
        details = {
            "what": f"{first.subject}: {first.broken[0][1]}"[:500] if first and first.broken else "",
            "evidence": f"ledger, breach {first.id}" if first else "",
            "do": "keep the ledger for a report; once you know why: reconcilerd breaker list",
        }
        await self._say(bool(breaches), "invariant_broken", "plans", text, details)

    async def _bugs(self) -> None:
        """What met a bug is left out, and everything else goes on: somebody must know."""
        groups, fact = self._passes.broken, self._desk.broken
        told = [f"{group}: {bug}" for group, bug in sorted(groups.items())] + ([fact] if fact else [])
        met = f"{count_of(len(groups), 'pool group')} met a bug"
        text = f"{met}{', and facts were left out' if fact else ''}"
        details = {
            "what": "; ".join(told)[:500],
            "do": "report this with the log; these SKUs may not be corrected until it is mended",
        }
        await self._say(bool(told), "bug", "daemon", text, details)

    async def _around(self) -> None:
        """What is around the daemon: the answers of its systems, pauses, files, disk, and who tries to get in."""
        book, now = self._desk.book, self._desk.clock()
        for each in self.surroundings.look(now, book.words.freezes.values()):
            await self._say(each.on, each.kind, each.subject, each.text, {"do": each.do}, each.severity)
