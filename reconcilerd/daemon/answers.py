"""Answers to a person: sheets, explanations, status, approvals, freezes. The same for the socket and offline.

Every answer is a plain value ready for JSON with an ``exit_code``; an error is ``{"error": {...}}`` with one too.
"""

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from heapq import nsmallest
from itertools import chain
from types import MappingProxyType
from typing import Any

import anyio
import anyio.lowlevel

from reconcilerd.connectors.port import Channel, StockSource
from reconcilerd.daemon.alarms import Alarms
from reconcilerd.daemon.approvals import Archive
from reconcilerd.daemon.breakers import matching, told, tripped
from reconcilerd.daemon.consents import ENVELOPE_MS, limits_of, limits_told
from reconcilerd.daemon.consents import told as half_approved
from reconcilerd.daemon.counts import Counts
from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.daily import Daily
from reconcilerd.daemon.desk import spelled
from reconcilerd.daemon.figures import figures
from reconcilerd.daemon.handover import Handover
from reconcilerd.daemon.naming import told_of
from reconcilerd.daemon.passes import held_for_a_person
from reconcilerd.daemon.plans import Hands, Plans
from reconcilerd.daemon.readings import Readings
from reconcilerd.daemon.refusals import NeverRead, UnknownName, channel_among, error
from reconcilerd.daemon.requests import parse
from reconcilerd.daemon.turns import steps
from reconcilerd.domain.facts import (
    EXTENSIV,
    EnvelopeApproved,
    Fact,
    FindingKind,
    FreezeSet,
    PlanMade,
)
from reconcilerd.domain.guards import NEEDS_A_PERSON, Verdict
from reconcilerd.domain.joins import code_of
from reconcilerd.domain.names import ChannelName, FeedName, Instant, Sku, SlotKey, after, format_instant
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.quantities import MAX_UNITS
from reconcilerd.domain.sheet import exit_code_of, heading, sheet_of
from reconcilerd.domain.survey import position_of, weather_of
from reconcilerd.domain.visible import visible
from reconcilerd.errors import Denied, LedgerFault, ReconcilerdError
from reconcilerd.ledger.standing import standing_of

MAX_FREEZE_MS = 7 * 86_400_000
LONGEST_REASON = 1_000
"""A freeze is told by each status until it is lifted, its reason whole."""
SETTLE_ROUNDS = 5
SETTLE_S = 10.0
CATALOGUE = (FeedName("extensiv.products"), FeedName("extensiv.listings"))
OF_A_LISTING = ("slot", "correction", "sent", "settled")
PLANS_BACK = 10_000
"""How many plans back one can still be approved by its id."""

History = Callable[[str, str, int], list[tuple[int, Instant, Fact]]]
"""(kind, about, limit) -> (entry, when written, fact), newest first."""


Handler = Callable[[dict[str, Any], str], Awaitable[dict[str, Any]]]
"""(request, by whom) -> its answer."""


class Answers:
    """Serves one request at a time from the daemon's own desk, passes and connectors."""

    def __init__(
        self,
        daemon: Daemon,
        stock: StockSource,
        channels: dict[ChannelName, Channel],
        history: History,
        carry: Callable[[], Awaitable[None]],
        archive: Archive | None = None,
        alarms: Alarms | None = None,
        more: Mapping[str, Handler] = MappingProxyType({}),
    ) -> None:
        """``carry`` waits until the executors have done (or, without a daemon, does) what is queued.

        ``archive``: the ledger's entries, for requests about plans. ``alarms``: answers about alerts, where there are.
        ``more``: what other rooms answer.
        """
        self._alarms = alarms
        self._daemon = daemon
        self._desk = daemon.desk
        self._history = history
        self._carry = carry
        self._archive = archive
        self.reload: Callable[[], Awaitable[dict[str, Any]]] = _nothing_runs
        """Takes over a changed configuration; a daemon that runs has one."""
        self.readings = Readings(self._desk, stock, channels)
        self.prove: Callable[[], Awaitable[str]] = _nothing_to_prove
        """Proves the whole ledger; why it is not what was written, if it is not."""
        hands = Hands(self._sku, self.readings.read, self.readings.read_back, carry, self._must_be_read)
        self._more = more
        if alarms is not None:
            alarms.half_approved = self._half_approved
        self._plans = None if archive is None else Plans(daemon, archive, hands)
        self._of_time: dict[str, Handler] = {}
        if archive is not None and self._plans is not None:
            self._of_time = {
                **Handover(daemon, archive, alarms, self._plans.approvals).requests(),
                **Daily(daemon, archive, alarms).requests(),
            }

    @property
    def counts(self) -> Counts:
        return self._desk.counts

    async def answer(self, request: dict[str, Any], by: str) -> dict[str, Any]:
        """Answer one request; unknown or malformed ones get an error. Raises LedgerFault, which ends the daemon."""
        ops: dict[str, Handler] = {
            "status": self.status,
            "names": self.names,
            "reconcile": self.reconcile,
            "explain": self.explain,
            "history": self.history,
            "approve": self.approve,
            "freeze": self.freeze,
            "unfreeze": self.freeze,
            "breaker": self.breaker,
            "audit": self.audit,
            "verify": self.verify,
            "reload": lambda _request, _by: self.reload(),
            **(self._plans.requests() if self._plans else {}),
            **self._of_time,
            **(self._alarms.requests() if self._alarms else {}),
            **self._more,
        }
        op = ops.get(str(request.get("op")))
        if op is None:
            return error(f"unknown request {request.get('op')!r}; known: {', '.join(sorted(ops))}", 2)
        try:
            # What UTF-8 cannot carry could be acted on, but never written down.
            json.dumps(request, ensure_ascii=False).encode()
            return await op(parse(request), by)
        except LedgerFault:
            raise
        except UnknownName as unknown:
            return error(str(unknown), 6)
        except Denied as denied:
            return error(str(denied), 4)
        except ReconcilerdError as trouble:
            return error(str(trouble), 5)
        except (KeyError, TypeError, ValueError) as malformed:
            return error(f"malformed request: {malformed}", 2)

    def _half_approved(self) -> list[dict[str, Any]]:
        return half_approved(self._desk.book.words.half_approved(self._desk.clock()))

    def probed(self, how: str, surface: str = "control socket") -> None:
        """Somebody who may not ask tried to."""
        self._daemon.health.surroundings.probed(surface, how)

    async def status(self, _request: dict[str, Any], _by: str) -> dict[str, Any]:
        """How everything stands, in a few figures."""
        ledger = None if self._archive is None else standing_of(self._archive, self._desk.clock()).told()
        return {
            **figures(self._daemon),
            "ledger": ledger,
            "half_approved": self._half_approved(),
            **(self._alarms.standing() if self._alarms else {"alerts": [], "silences": []}),
            "exit_code": 0,
        }

    async def names(self, request: dict[str, Any], _by: str) -> dict[str, Any]:
        """SKUs that begin like ``sku``, as people write them: for a shell that completes words."""
        begin, book = request.get("sku", "").casefold(), self._desk.book
        found = nsmallest(
            request.get("limit", 40), (sku for sku in book.joins().slots_of if sku.startswith(begin))
        )
        return {"names": [spelled(book, each) for each in found], "exit_code": 0}

    async def reconcile(self, request: dict[str, Any], _by: str) -> dict[str, Any]:
        """Sheets of SKUs; with ``fresh`` after reading them, with ``apply`` after correcting them too."""
        apply, channel = request.get("apply", False), request.get("channel")
        if channel is not None:
            channel_among(self._desk.book.policy.channels, channel)
        self._must_be_read()
        skus = self._all() if request.get("all") else [self._sku(name) for name in request["skus"]]
        began = self._desk.clock()
        if request.get("fresh") or apply:
            await self.readings.read(skus)
        before = await self._sheets(skus) if apply else None
        unread: list[str] = []
        if apply:
            unread = await self._apply(skus)
        elif request.get("fresh"):
            await self._see_through(skus)
        sheets = await self._sheets(skus)
        if channel is not None:
            sheets = [
                _only(channel, s) for s in sheets if any(r["channel"] == channel for r in s["channels"])
            ]
        looked_at, code = len(sheets), exit_code_of(sheets)
        if request.get("all"):
            sheets = [s for s in sheets if s["would_do"]]
        held = any(action["verdict"] != Verdict.SEND for s in sheets for action in s["would_do"])
        code = 7 if apply and held and code == 3 else code or (5 if unread else 0)
        return {
            **heading(self._desk.book, self._desk.clock(), str(self._daemon.rails().mode)),
            "applied": apply,
            "fresh": apply or request.get("fresh", False),
            "corrected": self._corrected(skus, began),
            "not_read_back": unread,
            "before": before,
            "looked_at": looked_at,
            "skus": sheets,
            "exit_code": code,
        }

    async def audit(self, _request: dict[str, Any], by: str) -> dict[str, Any]:
        """Every feed read whole, then every SKU compared; ``unread``: feeds that could not be, and why (code 5)."""
        if not self._daemon.started.is_set():
            raise NeverRead(
                "the daemon is still reading the catalogue; ask again once status names no feed unread"
            )
        unread = await self._daemon.read_everything()
        told = await self.reconcile({"all": True}, by)
        broken = await self._proven()
        code = 2 if broken else 5 if unread else told["exit_code"]
        return {**told, "unread": unread, "ledger": broken or "proven", "exit_code": code}

    async def verify(self, _request: dict[str, Any], _by: str) -> dict[str, Any]:
        """Prove the whole ledger. One that is not what was written is an alert until it is again."""
        broken = await self._proven()
        return error(broken, 2) if broken else {"ledger": "proven", "exit_code": 0}

    async def _proven(self) -> str:
        broken = await self.prove()
        self._daemon.health.surroundings.broken_ledger = broken
        return broken

    def _must_be_read(self) -> None:
        """Raises Denied or NeverRead where nobody can say which SKUs and listings there are."""
        book = self._desk.book
        for feed in CATALOGUE:
            if feed not in book.sweeps:
                tried, refused = book.tried.get(feed), self._daemon.health.refused(EXTENSIV)
                why = refused or (tried.why if tried is not None and tried.why else "it was not asked yet")
                text = f"{feed} was never read completely: {why}"
                raise Denied(text) if refused is not None else NeverRead(text)

    def _corrected(self, skus: list[Sku], since: Instant) -> list[dict[str, Any]]:
        """What was written to listings of these SKUs since a moment, by whoever asked for it."""
        tracks = [self._desk.book.slots[slot] for slot in self._slots(skus)]
        return [
            {
                **told_of(track.slot, self._desk.book.joins()),
                "from": done[0],
                "to": done[1],
                "read_back": track.proven,
            }
            for track in tracks
            if (done := track.done) is not None and done[2] >= since
        ]

    async def explain(self, request: dict[str, Any], _by: str) -> dict[str, Any]:
        """The derivation of every listing's number of one SKU (of one channel, if named)."""
        sku = self._sku(request["sku"])
        plan = self._plan(sku)
        slots = [o.slot for o in plan.position.offers if o.sku == sku]
        channel = request.get("channel")
        if channel is not None:
            slots = [slot for slot in slots if slot.channel == channel]
        if not slots:
            raise UnknownName(
                f"{sku!r} has no listing{f' on {channel}' if channel else ''} that was ever read"
            )
        from reconcilerd.domain.explain import explain

        told = [explain(plan, slot) for slot in slots]
        if request.get("want") is not None:
            for each, slot in zip(told, slots, strict=True):
                each["what_if"] = await self._what_if(plan, slot, request["want"])
        return {"listings": told, "exit_code": 0}

    async def _what_if(self, plan: GroupPlan, slot: SlotKey, want: str) -> dict[str, Any]:
        """What would have to change for a listing to show so many, or so many more (``+5``). Raises ValueError.

        More than a number that nobody knows is none: then nothing is ``wanted``.
        """
        from reconcilerd.domain.counterfactual import what_if

        shows = next(each for each in plan.position.offers if each.slot == slot).current
        if not want.removeprefix("+").isdecimal() or not 0 < int(want) <= MAX_UNITS:
            raise ValueError(f"--want takes a number of units, like 20 or +5, not {want!r}")
        if shows is None and want.startswith("+"):
            return {"wanted": None, "shows": None, "levers": []}
        wanted = int(want) + (shows or 0 if want.startswith("+") else 0)
        rails = self._daemon.windows.onto(self._daemon.rails(), plan.position.at)
        levers = []
        for each in what_if(plan.position, rails, slot, wanted) if shows is None or shows < wanted else ():
            levers.append(asdict(each))
            await anyio.lowlevel.checkpoint()
        return {"wanted": wanted, "shows": shows, "levers": levers}

    async def history(self, request: dict[str, Any], _by: str) -> dict[str, Any]:
        """What was read, planned and answered for one SKU, newest first."""
        sku, limit = self._sku(request["sku"]), request.get("limit", 40)
        rows = [row for kind, about in self.subjects(sku) for row in self._history(kind, about, limit)]
        rows.sort(key=lambda row: (row[1], row[0]), reverse=True)
        anchor = self._archive.anchor if self._archive else None
        return {
            "sku": sku,
            "compacted": anchor.through if anchor else 0,
            "rows": [
                {"entry": seq, "at": format_instant(at), "kind": fact.kind, "fact": _plain(fact)}
                for seq, at, fact in rows[:limit]
            ],
            "exit_code": 0,
        }

    def subjects(self, name: str) -> list[tuple[str, str]]:
        """(kind, about) of all that the ledger may hold of one SKU's stock and listings. Raises UnknownName."""
        sku, book = self._sku(name), self._desk.book
        found = [
            ("stock", f"{component}@{place}")
            for component, _ in book.uses(sku)
            for place in book.stock_places(component)
        ]
        slots = book.joins().slots_of.get(sku, ())
        return found + [(kind, slot.path) for slot in slots for kind in OF_A_LISTING]

    async def approve(self, request: dict[str, Any], by: str) -> dict[str, Any]:
        """Release a plan's held corrections (or one SKU's) as an envelope of two hours; those to zero if ``zero``."""
        reason = request.get("reason", "").strip()
        if not reason:
            return error("an approval needs a reason: --reason TEXT", 2)
        wanted = request["id"]
        try:
            held = self._held_under(wanted)
        except UnknownName:
            held = []
        if not held:
            text = (
                f"nothing is held under {wanted!r} (any more): give the id of a pass, a SKU, or held; see reconcilerd "
                "status. A plan in a file is carried out by reconcilerd apply"
            )
            return error(text, 6)
        zeros = [sku for sku, _, desired in held if desired == 0]
        zero = request.get("zero", False)
        if not zero:
            held = [each for each in held if each[2] != 0]
        if not held:
            text = f"all that is held under {wanted!r} goes to zero, like {zeros[0]}; to approve that: --zero"
            return error(text, 2)
        differences = [desired - shown for _, shown, desired in held]
        directions = {"lower" if difference < 0 else "raise" for difference in differences}
        now = self._desk.clock()
        envelope = EnvelopeApproved(
            id=f"{wanted}-{now}",
            skus=tuple(sorted({sku for sku, _, _ in held})),
            direction=directions.pop() if len(directions) == 1 else "both",
            ceiling=max(abs(difference) for difference in differences),
            by=by,
            reason=reason,
            at=now,
            until=after(now, ENVELOPE_MS),
            zeros=zero,
            limits=limits_of(held),
        )
        await self._desk.take((envelope,), note="approve")
        self._daemon.changed(f"{by} approved {len(envelope.skus)} SKUs under {wanted}", {"why": reason})
        times = {"at": format_instant(envelope.at), "until": format_instant(envelope.until)}
        return {
            "envelope": {**_plain(envelope), **times, "limits": limits_told(envelope)},
            "zeros_left": [] if zero else sorted(set(zeros)),
            "exit_code": 0,
        }

    def _held_under(self, wanted: str) -> list[tuple[Sku, int, int]]:
        """(SKU, shown, desired) of what waits for a person: by a pass's id, a SKU, or ``held`` for all.

        Of a pass only what still differs the same way: an approval outlives what it is for, and would release others.
        """
        known = (f for _, _, f in self._history("plan", "plan", PLANS_BACK)) if _is_id(wanted) else ()
        plans = [fact for fact in known if isinstance(fact, PlanMade) and wanted in {fact.id, fact.whole}]
        if plans:
            sku_of = self._desk.book.joins().sku_of
            drifts = chain.from_iterable(self._daemon.passes.standing.drifts.values())
            still = {(drift.slot, drift.difference > 0) for drift, _ in drifts}
            return [
                (sku_of[slot], shown, desired)
                for plan in plans
                for slot, shown, desired, verdict in plan.held
                if slot in sku_of and verdict in NEEDS_A_PERSON and (slot, desired > shown) in still
            ]
        held = held_for_a_person(self._daemon.passes.standing)
        if wanted != "held":
            sku = self._sku(wanted)
            held = [(drift, verdict) for drift, verdict in held if drift.sku == sku]
        return [(drift.sku, drift.observed, drift.desired) for drift, _ in held]

    async def freeze(self, request: dict[str, Any], by: str) -> dict[str, Any]:
        """Stop writes to a channel, or all, or allow them again. A freeze that holds longer stays as it is."""
        on, reason = request["op"] == "freeze", request.get("reason", "").strip()
        if on and not reason:
            return error("a freeze needs a reason: --reason TEXT", 2)
        if len(reason) > LONGEST_REASON:
            return error(f"--reason takes at most {LONGEST_REASON:,} characters, not {len(reason):,}", 2)
        channel = request.get("channel", "")
        if channel:
            channel_among(self._desk.book.policy.channels, channel)
        self._desk.look_at_the_clock()
        now = self._desk.clock()
        for_s = request.get("for_s")
        if for_s is not None and for_s * 1000 > MAX_FREEZE_MS:
            return error("--for takes a time up to 7 days, like 30m, 2h or 1d", 2)
        fact = FreezeSet(
            channel,
            on,
            by,
            reason,
            now,
            after(now, int(for_s * 1000)) if on and for_s is not None else None,
        )
        kept = self._desk.book.words.outlasting(fact) if on else None
        if kept is None:
            await self._desk.take((fact,), note=request["op"])
        if not on:
            self._daemon.changed(f"{by} allowed writes to {channel or 'all channels'} again", {})
        holds = {"freeze": _freeze_told(kept or fact), "changed": kept is None} if on else {}
        frozen = sorted(name or "all" for name in self._daemon.rails().frozen)
        return {"frozen": frozen, **holds, "exit_code": 0}

    async def breaker(self, request: dict[str, Any], by: str) -> dict[str, Any]:
        """What is tripped and holds; with ``reset``, a name, that is released first."""
        book, circuits, now = self._desk.book, self._daemon.circuits, self._desk.clock()
        held, name = tripped(book, circuits, now), request.get("reset")
        if name is None:
            return {"tripped": [told(each) for each in held], "exit_code": 7 if held else 0}
        reason = request.get("reason", "").strip()
        if not reason:
            return error("a reset needs a reason: --reason TEXT", 2)
        found = matching(name, held)
        if not found:
            known = ", ".join(each.name for each in held[:5]) or "nothing is tripped"
            return error(f"nothing is tripped under {name!r}; see reconcilerd breaker list ({known})", 6)
        await self._daemon.reset(found, by, reason)
        return {"reset": [each.name for each in found], "exit_code": 0}

    def _all(self) -> list[Sku]:
        return sorted(self._desk.book.joins().slots_of)

    def _sku(self, name: str) -> Sku:
        """A SKU by its own code, a listing's code, or a channel's listing id."""
        book, code = self._desk.book, code_of(name)
        if Sku(code) in book.products or Sku(code) in book.joins().slots_of:
            return Sku(code)
        for (_, listing_code), sku in book.joins().codes.items():
            if listing_code == code:
                return sku
        for slot, sku in book.joins().sku_of.items():
            if slot.listing == name or slot.listing.rpartition("/")[2] == name:
                return sku
        unmapped = [
            finding
            for finding in book.findings.values()
            if finding.what is FindingKind.UNMAPPED_SKU
            and not finding.cleared
            and finding.subject.partition(":")[2] == code
        ]
        if unmapped:
            raise UnknownName(
                f"{name!r} is no SKU: {'; '.join(sorted(visible(each.detail) for each in unmapped))}"
            )
        raise UnknownName(
            f"no SKU or listing {name!r} is known; it may be new, misspelled, or mapped nowhere"
        )

    def _slots(self, skus: Sequence[Sku]) -> list[SlotKey]:
        """Every listing that sells these SKUs."""
        return [slot for sku in skus for slot in self._desk.book.joins().slots_of.get(sku, ())]

    def _plan(self, sku: Sku) -> GroupPlan:
        book = self._desk.book
        component = book.uses(sku)[0][0]
        group = book.joins().groups.of.get(component, component)
        now = self._desk.clock()
        position = position_of(book, group, weather_of(book, now))
        return make_plan(position, self._daemon.windows.onto(self._daemon.rails(), now))

    async def _sheets(self, skus: Sequence[Sku]) -> list[dict[str, Any]]:
        """Each as it is when its turn comes: all of them take minutes. None of what lost its listings by then."""
        book, listed = self._desk.book, self._desk.book.joins().slots_of.keys() & skus
        there = (sku async for sku in steps(skus, 1) if sku not in listed or sku in book.joins().slots_of)
        return [sheet_of(book, sku, self._plan(sku)) async for sku in there]

    async def _see_through(self, skus: list[Sku]) -> None:
        """A reading may be followed by a correction at once: then that is waited for and read back."""
        slots = self._slots(skus)
        for _ in range(SETTLE_ROUNDS):
            if all(self._desk.book.slots[slot].proven for slot in slots):
                return
            with anyio.move_on_after(SETTLE_S):
                await self._carry()
            await self.readings.read(skus)

    async def _apply(self, skus: list[Sku]) -> list[str]:
        """Plan, carry out, read back; again while lowers make room for raises, or a zero must be read once more.

        Returns what could not be read back, and why: nothing more is planned by what is not known.
        """
        book = self._desk.book
        groups = {book.joins().groups.of.get(c, c) for sku in skus for c, _ in book.uses(sku)}
        asked = set(self._slots(skus))
        for _ in range(SETTLE_ROUNDS):
            plans = await self._daemon.passes.one_pass(sorted(groups))
            await self._carry()
            if not any(plan.sends for plan in plans):
                # Nobody reads here what others of the group wait for.
                mine = (e for plan in plans for e in plan.entries if e.slot in asked)
                if not any(entry.verdict is Verdict.HOLD_CONFIRM for entry in mine):
                    return []
                # Readings closer together would count as one.
                await anyio.sleep(book.policy.limits.confirm_gap_ms / 1000)
            unread = await self.readings.read_back(skus)
            if unread:
                return unread
        return []


async def _nothing_to_prove() -> str:
    return ""


async def _nothing_runs() -> dict[str, Any]:
    return error("no daemon runs; its next start reads the configuration as it is then", 8)


def _only(channel: str, sheet: dict[str, Any]) -> dict[str, Any]:
    """A sheet with the rows of one channel."""
    kept = {key: [row for row in sheet[key] if row["channel"] == channel] for key in ("channels", "would_do")}
    return {**sheet, **kept, "not_read": [name for name in sheet["not_read"] if name == channel]}


def _freeze_told(freeze: FreezeSet) -> dict[str, Any]:
    return {
        "channel": freeze.channel or "all",
        "by": freeze.by,
        "reason": freeze.reason,
        "at": format_instant(freeze.at),
        "until": _time(freeze.until),
    }


def _time(at: Instant | None) -> str | None:
    return None if at is None else format_instant(at)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _plain(fact: Fact) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in fact.__dataclass_fields__:
        value = getattr(fact, name)
        values[name] = value.path if isinstance(value, SlotKey) else value
    return values
