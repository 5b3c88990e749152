"""Plans that a person reviews: made, carried out, put back.

What a person orders goes the way of every pass: the same guards, the same executors, the same read-back. Their word
releases the holds that an approval releases, and nothing else. What is ordered is written down in the same entry as
its intents, so that nothing goes twice.

Reverting: the daemon compares levels, so it would at once correct what was put back. Every listing that is put back is
therefore pinned until a named time: its number stays, unless it is more than there is (I1 and I3 bind a person too).
Pins are facts: they are listed, survive a restart, and can be lifted.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import anyio
import anyio.lowlevel

from reconcilerd.daemon.approvals import Approvals, Archive, Op, Request
from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.executors import NOT_READ_BACK
from reconcilerd.daemon.naming import told_of
from reconcilerd.daemon.passes import SLICE_MS, Word
from reconcilerd.daemon.refusals import UnknownName, channel_among, error
from reconcilerd.daemon.turns import everybody_else
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    EnvelopeApproved,
    Outcome,
    PlanApplied,
    PlanMade,
    SlotPinned,
)
from reconcilerd.domain.guards import MEANS, Rails, Verdict
from reconcilerd.domain.joins import Joins
from reconcilerd.domain.names import Instant, Sku, SlotKey, after, format_instant
from reconcilerd.domain.plan import Entry, GroupPlan, once_agreed
from reconcilerd.domain.plan_file import BadPlan, PlanFile, Planned, document, inputs_of, moved, read_document
from reconcilerd.domain.position import Position
from reconcilerd.domain.record import Only, Order, PutBack, decide
from reconcilerd.domain.survey import position_of, weather_of
from reconcilerd.domain.verdicts import meaning_of
from reconcilerd.domain.visible import visible
from reconcilerd.domain.writes import arrived

SETTLE_ROUNDS = 3
SETTLE_S = 10.0
RELEASE_MS = 600_000
"""How long the word of whoever applies a plan releases its holds: to be sent, not for later passes."""
PIN_S = 4 * 3600
MAX_PIN_S = 7 * 86_400
MAX_PASSES = 10_000
MAX_SLICES = 2_000
"""Slices that are looked through for the newest passes, if these are not more themselves: each is read off its entry.

Of a pass that began before them only what they hold is counted.
"""
ANSWERS_BACK = 10
"""Corrections of a listing, and answers, that are looked through for the one that was sent here."""
ASKED_TOGETHER = 200
NOT_SENT = "not sent"
NOT_TAKEN = "not taken by the channel"
NO_EFFECT = "taken, and read back as another number"
UNANSWERED = "not answered yet"
OVERWRITTEN = "taken, and written over since"
SAID: Mapping[Outcome, str] = MappingProxyType(
    {
        Outcome.NOT_SENT: NOT_SENT,
        Outcome.REFUSED: "refused by the channel",
        Outcome.APPLIED: OVERWRITTEN,
        Outcome.ACCEPTED: OVERWRITTEN,
    }
)
"""What an answer comes to where nothing shows that the number was written; any other: it was not taken."""
NOT_PUT_BACK = frozenset({NOT_TAKEN, NO_EFFECT, *SAID.values()})
TOLD = 50
"""How many entries are named when a plan is refused."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What a request about plans does as any other request does it."""

    sku: Callable[[str], Sku]
    read: Callable[[list[Sku]], Awaitable[None]]
    read_back: Callable[[list[Sku]], Awaitable[list[str]]]
    """Reads what it can; what it cannot, and why."""
    carry: Callable[[], Awaitable[None]]
    must_be_read: Callable[[], None]


class Plans:
    """Answers requests about plans. Every answer is ready for JSON and has its ``exit_code``."""

    def __init__(self, daemon: Daemon, archive: Archive, hands: Hands) -> None:
        self._daemon = daemon
        self._desk = daemon.desk
        self._archive = archive
        self._hands = hands
        self.approvals = Approvals(self._desk, self._archive, hands.sku)

    def requests(self) -> dict[str, Op]:
        return {
            "plan": self.plan,
            "apply": self.apply,
            "passes": self.passes,
            "revert": self.revert,
            **self.approvals.requests(),
        }

    async def plan(self, request: Request, _by: str) -> dict[str, Any]:
        """What would be done now, as a document: for all, a SKU, or a channel.

        What is too old to decide by is read first; with ``fresh`` everything is.
        """
        self._hands.must_be_read()
        book, channel = self._desk.book, request.get("channel")
        if channel is not None:
            channel_among(book.policy.channels, channel)
        skus = [self._hands.sku(request["sku"])] if "sku" in request else None
        if request.get("fresh"):
            await self._hands.read(skus or sorted(book.joins().slots_of))
        else:
            await self._read_what_is_old(self._groups(skus, channel))
        seq = self._archive.latest_seq
        head = (self._archive.hash_of(seq) or b"").hex()
        at = self._desk.clock()
        plans = await self._plans_of(self._groups(skus, channel))
        unsure = [each for plan in plans for each in _incomplete(plan.position, channel)]
        said = document(
            self._daemon.new_id(),
            at,
            book.policy.limits.plan_max_age_ms,
            (seq, head),
            (book.policy.revision, str(self._daemon.rails().mode)),
            {"sku": skus[0] if skus else None, "channel": channel},
            plans,
            unsure[:TOLD],
        )
        code = 5 if unsure else 3 if said["entries"] else 0
        return {"plan": said, "incomplete": unsure[:TOLD], "looked_at": len(plans), "exit_code": code}

    def _groups(self, skus: Collection[Sku] | None, channel: str | None) -> list[Sku]:
        joins = self._desk.book.joins()
        if skus is not None:
            return sorted(self._groups_of(skus))
        if channel is None:
            return sorted(joins.groups.members)
        return sorted(self._groups_of(sku for slot, sku in joins.sku_of.items() if slot.channel == channel))

    def _groups_of(self, skus: Iterable[Sku]) -> set[Sku]:
        groups = self._desk.book.joins().groups.of
        return {groups.get(each, each) for sku in skus for each, _ in self._desk.book.uses(sku)}

    def _groups_at(self, slots: Iterable[SlotKey]) -> list[Sku]:
        sku_of = self._desk.book.joins().sku_of
        return sorted(self._groups_of(sku_of[slot] for slot in slots))

    async def _plans_of(
        self, groups: list[Sku], order: Order | None = None, more: Rails | None = None
    ) -> list[GroupPlan]:
        """What would be decided now, one group after another, leaving readings their turn."""
        plans, rails = list[GroupPlan](), more or self._rails()
        began, weather = self._desk.clock(), weather_of(self._desk.book, self._desk.clock())
        left = deque(self._desk.book.joins().groups.current(groups))
        while left:
            if self._desk.clock() - began >= SLICE_MS:
                await everybody_else(self._desk.readers)
                began, weather = self._desk.clock(), weather_of(self._desk.book, self._desk.clock())
                left = deque(self._desk.book.joins().groups.current(left))
            plan = decide(position_of(self._desk.book, left.popleft(), weather), rails, order)
            rails = plan.rails
            plans.append(plan)
        return plans

    async def _read_what_is_old(self, groups: list[Sku], order: Order | None = None) -> bool:
        """Read what is too old to decide by, or to carry out what waits for a person; whether anything was."""
        plans = await self._plans_of(groups, order)
        wanted = [(plan.position, plan.wants | once_agreed(plan)) for plan in plans]
        old = [position for position, wants in wanted if wants.slots or wants.stock]
        if old:
            await self._hands.read(sorted({offer.sku for each in old for offer in each.offers}))
        return bool(old)

    def _rails(self) -> Rails:
        return self._daemon.windows.onto(self._daemon.rails(), self._desk.clock())

    async def apply(self, request: Request, by: str) -> dict[str, Any]:
        """Carry out a plan file, or refuse all of it; where rails hold all of it, it is not used up."""
        reason = request.get("reason", "").strip()
        if not reason:
            return error("a plan is applied for a reason: --reason TEXT", 2)
        try:
            file = read_document(request["plan"])
        except BadPlan as bad:
            return unreadable(bad)
        # Of a plan that writes nothing it is told what holds it by now.
        looked_at = [each for each in file.entries if each.written] or file.entries
        why, groups = self._refused(file), sorted({each.group for each in looked_at})
        if not why and await self._read_what_is_old(groups):
            why = self._refused(file)  # by now some may have moved
        if why:
            return _refusal(file, why)
        wanted, told = [each for each in file.entries if each.written], {each.slot for each in file.entries}
        if not wanted:
            held = _held_of(await self._plans_of(groups), told, self._desk.book.joins())
            return {"id": file.id, "sent": [], "held": held, "exit_code": 7 if held else 0}
        order = Only(file.id, tuple((each.slot, each.target) for each in wanted))
        word = Word(
            order,
            (self._release(file.id, wanted, by, reason),),
            (PlanApplied(file.id, file.digest, by, reason, self._desk.clock()),),
        )
        plans = await self._plans_of(groups, order, self._released(word))
        if not any(plan.sends for plan in plans):
            held = _held_of(plans, told, self._desk.book.joins())
            return {"id": file.id, "sent": [], "held": held, "again": True, "exit_code": 7 if held else 0}
        why = self._refused(file)  # others had their turn: it may be applied by now
        if why:
            return _refusal(file, why)
        return await self._carry_out(file.id, word, groups, told)

    def _released(self, word: Word) -> Rails:
        rails = self._rails()
        return replace(rails, envelopes=(*rails.envelopes, *word.releases))

    def _refused(self, file: PlanFile) -> list[str]:
        """Why a plan must not be carried out; nothing where it may."""
        book, now = self._desk.book, self._desk.clock()
        done = book.words.applied.get(file.id)
        if done is not None:
            return [
                f"it was applied already, {format_instant(done.at)} by {done.by}: {done.reason}",
                "what it wrote is in reconcilerd history; make a new one for what is left",
            ]
        if not file.genuine:
            return ["it was edited after it was made; make a new one"]
        if file.entry and (self._archive.hash_of(file.entry) or b"").hex() != file.hash:
            return [f"it was made from another ledger: entry {file.entry} is not the same here"]
        if file.policy != book.policy.revision:
            return [f"the policy has changed: {file.policy} -> {book.policy.revision}; make a new one"]
        age, limit = (now - file.made_at) // 1000, book.policy.limits.plan_max_age_ms // 1000
        if not -2 <= age <= limit:
            old = f"it is {age} s old; at most {limit} s are allowed"
            return [f"{old if age >= 0 else f'it says it was made {-age} s from now'}; make a new one"]
        return self._moved(file)

    def _moved(self, file: PlanFile) -> list[str]:
        """Each correction whose inputs are not what they were, with what moved."""
        book, said = self._desk.book, list[str]()
        weather = weather_of(book, self._desk.clock())
        members = book.joins().groups.members
        changed: dict[Sku, list[str]] = {}
        for planned in (each for each in file.entries if each.written):
            if planned.group not in changed:
                if planned.group not in members or planned.group not in file.inputs:
                    changed[planned.group] = ["its pool group is no more"]
                else:
                    now = inputs_of(position_of(book, planned.group, weather))
                    changed[planned.group] = moved(file.inputs[planned.group], now)
            if changed[planned.group]:
                what = "; ".join(changed[planned.group][:5])
                said.append(
                    f"{planned.slot.channel} {planned.sku}, {planned.shown} -> {planned.target}: {what}"
                )
        return said[:TOLD] + ([f"and {len(said) - TOLD} more"] if len(said) > TOLD else [])

    def _release(self, id_: str, wanted: Collection[Planned], by: str, reason: str) -> EnvelopeApproved:
        now = self._desk.clock()
        return EnvelopeApproved(
            id=id_,
            skus=tuple(sorted({each.sku for each in wanted})),
            direction="both",
            ceiling=max(abs(each.target - each.shown) for each in wanted),
            by=by,
            reason=reason,
            at=now,
            until=after(now, RELEASE_MS),
            zeros=any(each.target == 0 for each in wanted),
        )

    async def _carry_out(
        self, id_: str, word: Word, groups: list[Sku], told: Collection[SlotKey]
    ) -> dict[str, Any]:
        """One pass under a person's word; what came of each correction once it was read back."""
        began = self._desk.clock()
        plans = await self._daemon.passes.one_pass(groups, word)
        # What the word did not speak of is looked at again, by the rails alone.
        self._desk.mark(groups)
        sends = [entry for plan in plans for entry in plan.sends]
        unread = await self._see_through(sends)
        answers = self._answered(sends, began)
        sent = [self._outcome(entry, began, answers.get(entry.slot)) for entry in sends]
        failed = [
            entry.slot for entry, each in zip(sends, sent, strict=True) if each["outcome"] in NOT_PUT_BACK
        ]
        now, pins = self._desk.clock(), self._desk.book.words.pins
        still = [slot for slot in failed if slot in pins and pins[slot].holds(now)]
        if word.pin is not None and still:
            # Nobody wants it left at the number it has instead.
            lifted = [replace(pins[slot], on=False, at=now, until=now) for slot in still]
            await self._desk.take(lifted, note="unpin")
        held = _held_of(plans, told, self._desk.book.joins())
        unsure = any(each["outcome"] != "confirmed" for each in sent)
        railed = held or any(map(self._is_railed, sent))
        code = 7 if railed else 3 if unsure else 0
        return {"id": id_, "sent": sent, "held": held, "not_read_back": unread, "exit_code": code}

    def _is_railed(self, told: Mapping[str, Any]) -> bool:
        """Whether a correction that was on its way was kept from leaving by what keeps others from it still."""
        rails = {self._daemon.stopped(told["channel"]), NOT_READ_BACK}
        return told["outcome"] == NOT_SENT and told["detail"] in rails

    async def _see_through(self, sends: Collection[Entry]) -> list[str]:
        """Wait for the answers and read back; what could not be read, and why."""
        slots, skus, unread = [entry.slot for entry in sends], sorted({entry.sku for entry in sends}), []
        for _ in range(SETTLE_ROUNDS if sends else 0):
            with anyio.move_on_after(SETTLE_S):
                await self._hands.carry()
            unread = await self._hands.read_back(skus)
            if all(self._desk.book.slots[slot].proven for slot in slots):
                break
        return unread

    def _answered(self, sends: Sequence[Entry], began: Instant) -> dict[SlotKey, CorrectionSent]:
        """What was answered to each of these corrections, as far as anything was."""
        found: dict[SlotKey, CorrectionSent] = {}
        kinds = CorrectionPlanned.kind, CorrectionSent.kind
        for first in range(0, len(sends), ASKED_TOGETHER):
            mine = {entry.slot: entry.target for entry in sends[first : first + ASKED_TOGETHER]}
            subjects = [(kind, slot.path) for slot in mine for kind in kinds]
            facts = [fact for _, _, fact in self._archive.histories(subjects, ANSWERS_BACK)]
            answers = {fact.id: fact for fact in facts if isinstance(fact, CorrectionSent)}
            for fact in facts:
                # The newest come first: the oldest of this time is ours, and the daemon's own came after it.
                if (
                    isinstance(fact, CorrectionPlanned)
                    and fact.at >= began
                    and fact.target == mine[fact.slot]
                ):
                    found.pop(fact.slot, None)
                    if fact.id in answers:
                        found[fact.slot] = answers[fact.id]
        return found

    def _outcome(self, entry: Entry, began: Instant, answer: CorrectionSent | None) -> dict[str, Any]:
        book, track, detail = self._desk.book, self._desk.book.slots[entry.slot], ""
        before, target, at = track.done or (entry.current, None, began)
        sold = book.orders.known(entry.slot.channel, track.code, at, track.as_of)
        if any(each.target == entry.target for each in track.open):
            outcome = UNANSWERED if answer is None else "sent, not read back yet"
        elif target != entry.target or at < began:
            outcome = NOT_TAKEN if answer is None else SAID.get(answer.outcome, NOT_TAKEN)
            detail = "" if answer is None else answer.detail
        elif not track.proven:
            outcome = "taken, not read back yet"
        elif track.value is not None and arrived(track.value, before, target, sold):
            outcome = "confirmed"
        else:
            outcome = NO_EFFECT
        return {
            **told_of(entry.slot, book.joins()),
            "sku": entry.sku,
            "from": entry.current,
            "to": entry.target,
            "shows": track.value,
            "outcome": outcome,
            "detail": detail,
        }

    async def passes(self, request: Request, _by: str) -> dict[str, Any]:
        """The newest passes that sent or held anything new, with the ids that revert and replay take."""
        rows = [
            {
                "id": slices[0].whole,
                "at": format_instant(slices[0].at),
                "sent": sum(dict(each.verdicts).get(Verdict.SEND, 0) for each in slices),
                "held": sum(len(each.held) for each in slices),
                "why": sorted({verdict for each in slices for _, _, _, verdict in each.held}),
            }
            for slices in self._latest(min(MAX_PASSES, request.get("limit", 20)))
        ]
        return {"passes": rows, "exit_code": 0}

    def _latest(self, limit: int) -> list[list[PlanMade]]:
        """The newest passes, each with its slices, oldest first."""
        most = limit
        while True:
            rows = self._archive.history("plan", "plan", most)
            found: dict[str, list[PlanMade]] = {}
            for _, _, fact in rows:
                if isinstance(fact, PlanMade):
                    found.setdefault(fact.whole, []).insert(0, fact)
            # Of one whose first slice was not come to, there are more.
            all_there = len(rows) < most or most >= MAX_SLICES
            whole = [each for id_, each in found.items() if all_there or each[0].id == id_]
            if len(whole) >= limit or all_there:
                return whole[:limit]
            most = min(MAX_SLICES, most * 4)

    async def revert(self, request: Request, by: str) -> dict[str, Any]:
        """Put back what a pass found before its writes; shows the plan unless ``apply``."""
        reason, apply = request.get("reason", "").strip(), request.get("apply", False)
        if apply and not reason:
            return error("a pass is reverted for a reason: --reason TEXT", 2)
        pin_s = request.get("for_s", PIN_S)
        if not 1 <= pin_s <= MAX_PIN_S:
            return error("--for takes a time from 1s to 7d, like 30m, 2h or 1d", 2)
        id_, numbers, skipped = self._put_back(request["pass"])
        if await self._read_what_is_old(
            self._groups_at(numbers), PutBack(id_, tuple(sorted(numbers.items())))
        ):
            # By now some may have moved.
            id_, numbers, skipped = self._put_back(id_)
        now = self._desk.clock()
        until = after(now, int(pin_s * 1000))
        order = PutBack(id_, tuple(sorted(numbers.items())))
        word = self._reverting(order, by, reason, now, until)
        groups = self._groups_at(numbers)
        plans = await self._plans_of(groups, order, self._released(word))
        joins = self._desk.book.joins()
        entries = [each for plan in plans for each in plan.entries if each.slot in numbers]
        skipped += _as_they_are(plans, numbers, joins)
        goes = any(each.verdict is Verdict.SEND for each in entries)
        # A pass that wrote nothing has nothing to put back; what is held or left alone was refused.
        idle = 7 if entries or skipped else 0
        if not apply:
            return {
                "id": id_,
                "would": [_would(each, joins) for each in entries],
                "skipped": skipped,
                "until": format_instant(until),
                "exit_code": 3 if goes else idle,
            }
        if not goes:
            held = _held_of(plans, numbers.keys(), joins)
            return {"id": id_, "sent": [], "held": held, "skipped": skipped, "until": None, "exit_code": idle}
        done = await self._carry_out(id_, word, groups, numbers.keys())
        return {**done, "skipped": skipped, "until": format_instant(until)}

    def _reverting(self, order: PutBack, by: str, reason: str, now: Instant, until: Instant) -> Word:
        sku_of, slots = self._desk.book.joins().sku_of, self._desk.book.slots
        id_ = f"revert {order.plan} {now}"
        wanted = [
            Planned(slot, sku_of[slot], sku_of[slot], slots[slot].value or 0, number, Verdict.SEND)
            for slot, number in order.numbers
        ]
        releases = (self._release(id_, wanted, by, reason),) if wanted else ()
        return Word(
            order,
            releases,
            (PlanApplied(id_, "", by, reason, now),),
            partial(_pinned, by=by, reason=reason, at=now, until=until),
        )

    def _put_back(self, id_: str) -> tuple[str, dict[SlotKey, int], list[dict[str, Any]]]:
        """The id of a pass, what each listing showed before it wrote, and which are left alone, with the reason."""
        facts = [fact for entry in self._archive.slices(id_) for fact in entry.facts]
        whole = next((fact.whole for fact in facts if isinstance(fact, PlanMade)), None)
        if whole is None:
            raise UnknownName(f"no pass {id_!r} is written down; see reconcilerd passes")
        numbers: dict[SlotKey, int] = {}
        skipped = []
        for fact in facts:
            if isinstance(fact, CorrectionPlanned):
                why = self._not_put_back(fact)
                if why is None:
                    numbers[fact.slot] = fact.read
                else:
                    skipped.append(_left_alone(fact.slot, why, self._desk.book.joins()))
        return whole, numbers, skipped

    def _not_put_back(self, fact: CorrectionPlanned) -> str | None:
        track = self._desk.book.slots.get(fact.slot)
        if track is None or fact.slot not in self._desk.book.joins().sku_of:
            return "the listing is no more"
        if track.open:
            return "our last write of it is not read back yet"
        if track.value != fact.target:
            shows = "nothing that is counted" if track.value is None else str(track.value)
            return f"it shows {shows}, not the {fact.target} that the pass wrote"
        return None


def _pinned(
    slot: SlotKey, correction: str, *, by: str, reason: str, at: Instant, until: Instant
) -> SlotPinned:
    return SlotPinned(slot, True, by, reason, at, until, correction)


def _as_they_are(
    plans: Iterable[GroupPlan], numbers: Mapping[SlotKey, int], joins: Joins
) -> list[dict[str, Any]]:
    """The listings that no write would bring nearer to these numbers, and why."""
    planned = {entry.slot for plan in plans for entry in plan.entries}
    most = {each.slot: each.desired for plan in plans for each in plan.allocations}
    shown = {offer.slot: offer.current for plan in plans for offer in plan.position.offers}
    told = []
    for slot, number in numbers.items():
        if slot not in planned:
            why = "it is not ours to write"
            if shown.get(slot) == number:
                why = f"it shows {number} already"
            elif most.get(slot, number) < number:
                why = f"only {most[slot]} {'is' if most[slot] == 1 else 'are'} there"
            told.append(_left_alone(slot, why, joins))
    return told


def _left_alone(slot: SlotKey, why: str, joins: Joins) -> dict[str, Any]:
    return {**told_of(slot, joins), "sku": joins.sku_of.get(slot, ""), "why": why}


def _would(entry: Entry, joins: Joins) -> dict[str, Any]:
    return {
        **told_of(entry.slot, joins),
        "sku": entry.sku,
        "from": entry.current,
        "to": entry.target if entry.verdict is Verdict.SEND else entry.desired,
        "verdict": str(entry.verdict),
        "why": MEANS[entry.verdict],
    }


def unreadable(bad: BadPlan) -> dict[str, Any]:
    """The answer to a document that cannot be applied, whatever the shop is like by now."""
    return error(f"the plan cannot be applied: {bad}; make a plan with: reconcilerd plan -o NEW.json", 2)


def _refusal(file: PlanFile, why: Iterable[str]) -> dict[str, Any]:
    return error("\n  ".join((f"plan {file.id} is refused:", *map(visible, why))), 7)


def _held_of(plans: Iterable[GroupPlan], told: Collection[SlotKey], joins: Joins) -> list[dict[str, Any]]:
    """What of these listings is held."""
    return [
        _held_line(entry.slot, entry.verdict, joins)
        for plan in plans
        for entry in plan.entries
        if entry.slot in told and entry.verdict is not Verdict.SEND
    ]


def _held_line(slot: SlotKey, verdict: str, joins: Joins) -> dict[str, Any]:
    return {
        **told_of(slot, joins),
        "sku": joins.sku_of.get(slot, ""),
        "verdict": str(verdict),
        "why": meaning_of(verdict),
    }


def _incomplete(position: Position, channel: str | None) -> list[str]:
    """What nobody can say of a pool group, because it was never read, or too long ago."""
    ages = [row.age_of for row in position.stock]
    found = [f"{sku}: its stock was never read" for sku in position.unknown if position.offers]
    found += [
        f"{position.group}: {name} was never read" for name in position.unlisted if channel in {None, name}
    ]
    ages += [offer.age_of for offer in position.offers if channel in {None, offer.slot.channel}]
    if any(position.at - age > position.ages.max_age_ms for age in ages):
        found.append(f"{position.group}: what was read of it is too old to say")
    return found
