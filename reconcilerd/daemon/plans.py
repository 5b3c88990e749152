"""Plans that a person reviews: made, carried out, put back.

What a person orders goes the way of every pass: the same guards, the same executors, the same read-back. Their word
releases the holds that an approval releases, and nothing else. What is ordered is written down in the same entry as
its intents, so that nothing goes twice.

Reverting: the daemon compares levels, so it would at once correct what was put back. Every listing that is put back is
therefore pinned until a named time: its number stays, unless it is more than there is (I1 and I3 bind a person too).
Pins are facts: they are listed, survive a restart, and can be lifted.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel

from reconcilerd.daemon.approvals import Approvals, Archive, Op, Request
from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.naming import told_of
from reconcilerd.daemon.passes import SLICE_MS, Word
from reconcilerd.daemon.refusals import UnknownName, channel_among, error
from reconcilerd.daemon.turns import everybody_else
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    EnvelopeApproved,
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
from reconcilerd.domain.slots import arrived
from reconcilerd.domain.survey import position_of, weather_of
from reconcilerd.domain.verdicts import meaning_of
from reconcilerd.domain.visible import visible

SETTLE_ROUNDS = 3
SETTLE_S = 10.0
RELEASE_MS = 600_000
"""How long the word of whoever applies a plan releases its holds: to be sent, not for later passes."""
PIN_S = 4 * 3600
MAX_PIN_S = 7 * 86_400
MAX_PASSES = 10_000
NOT_TAKEN = "not taken by the channel"
NO_EFFECT = "taken, and read back as another number"
NOT_PUT_BACK = frozenset({NOT_TAKEN, NO_EFFECT})
TOLD = 50
"""How many entries are named when a plan is refused."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What a request about plans does as any other request does it."""

    sku: Callable[[str], Sku]
    read: Callable[[list[Sku]], Awaitable[None]]
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
        said = document(
            self._daemon.new_id(),
            at,
            book.policy.limits.plan_max_age_ms,
            (seq, head),
            (book.policy.revision, str(self._daemon.rails().mode)),
            {"sku": skus[0] if skus else None, "channel": channel},
            plans,
        )
        unsure = [each for plan in plans for each in _incomplete(plan.position, channel)]
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
        for group in groups:
            if self._desk.clock() - began >= SLICE_MS:
                await everybody_else(self._desk.readers)
                began, weather = self._desk.clock(), weather_of(self._desk.book, self._desk.clock())
            plan = decide(position_of(self._desk.book, group, weather), rails, order)
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
        why, groups = self._refused(file), sorted({each.group for each in file.entries if each.written})
        if not why and await self._read_what_is_old(groups):
            why = self._refused(file)  # by now some may have moved
        if why:
            return _refusal(file, why)
        wanted = [each for each in file.entries if each.written]
        if not wanted:
            held = [_held_line(each.slot, each.verdict, self._desk.book.joins()) for each in file.entries]
            return {"id": file.id, "sent": [], "held": held, "exit_code": 7 if held else 0}
        order = Only(file.id, tuple((each.slot, each.target) for each in wanted))
        word = Word(
            order,
            (self._release(file.id, wanted, by, reason),),
            (PlanApplied(file.id, file.digest, by, reason, self._desk.clock()),),
        )
        told = {each.slot for each in file.entries}
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
            old = (
                f"{age} s old; at most {limit} s are allowed" if age >= 0 else f"made {-age} s in the future"
            )
            return [f"it is {old}; make a new one"]
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
        await self._see_through(sends)
        sent = [self._outcome(entry, began) for entry in sends]
        failed = [
            entry.slot for entry, each in zip(sends, sent, strict=True) if each["outcome"] in NOT_PUT_BACK
        ]
        if word.pin is not None and failed:
            # Nobody wants it left at the number it has instead.
            now = self._desk.clock()
            lifted = [replace(word.pin(slot), on=False, at=now, until=now) for slot in failed]
            await self._desk.take(lifted, note="unpin")
        held = _held_of(plans, told, self._desk.book.joins())
        unsure = any(each["outcome"] != "confirmed" for each in sent)
        return {"id": id_, "sent": sent, "held": held, "exit_code": 7 if held else 3 if unsure else 0}

    async def _see_through(self, sends: Collection[Entry]) -> None:
        slots, skus = [entry.slot for entry in sends], sorted({entry.sku for entry in sends})
        for _ in range(SETTLE_ROUNDS if sends else 0):
            with anyio.move_on_after(SETTLE_S):
                await self._hands.carry()
            await self._hands.read(skus)
            if all(self._desk.book.slots[slot].proven for slot in slots):
                return

    def _outcome(self, entry: Entry, began: Instant) -> dict[str, Any]:
        book, track = self._desk.book, self._desk.book.slots[entry.slot]
        before, target, at = track.done or (entry.current, None, began)
        sold = book.orders.known(entry.slot.channel, track.code, at, track.as_of)
        if any(each.target == entry.target for each in track.open):
            outcome = "sent, not read back yet"
        elif target != entry.target or at < began:
            outcome = NOT_TAKEN
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
        }

    async def passes(self, request: Request, _by: str) -> dict[str, Any]:
        """The newest passes that sent or held anything new, with the ids that revert and replay take."""
        limit = min(MAX_PASSES, request.get("limit", 20))
        made = [
            fact for _, _, fact in self._archive.history("plan", "plan", limit) if isinstance(fact, PlanMade)
        ]
        rows = [
            {
                "id": each.id,
                "at": format_instant(each.at),
                "sent": dict(each.verdicts).get(Verdict.SEND, 0),
                "held": len(each.held),
                "why": sorted({verdict for _, _, _, verdict in each.held}),
            }
            for each in made
        ]
        return {"passes": rows, "exit_code": 0}

    async def revert(self, request: Request, by: str) -> dict[str, Any]:
        """Put back what a pass found before its writes; shows the plan unless ``apply``."""
        reason, apply = request.get("reason", "").strip(), request.get("apply", False)
        if apply and not reason:
            return error("a pass is reverted for a reason: --reason TEXT", 2)
        pin_s = request.get("for_s", PIN_S)
        if not 1 <= pin_s <= MAX_PIN_S:
            return error("--for takes a time from 1s to 7d, like 30m, 2h or 1d", 2)
        id_ = request["pass"]
        numbers, skipped = self._put_back(id_)
        if await self._read_what_is_old(
            self._groups_at(numbers), PutBack(id_, tuple(sorted(numbers.items())))
        ):
            # By now some may have moved.
            numbers, skipped = self._put_back(id_)
        now = self._desk.clock()
        until = after(now, int(pin_s * 1000))
        order = PutBack(id_, tuple(sorted(numbers.items())))
        word = self._reverting(order, by, reason, now, until)
        groups = self._groups_at(numbers)
        if not apply:
            plans = await self._plans_of(groups, order, self._released(word))
            entries = [each for plan in plans for each in plan.entries if each.slot in numbers]
            goes = any(each.verdict is Verdict.SEND for each in entries)
            return {
                "id": id_,
                "would": [_would(each, self._desk.book.joins()) for each in entries],
                "skipped": skipped,
                "until": format_instant(until),
                "exit_code": 3 if goes else 7 if entries else 0,
            }
        if not numbers:
            return {"id": id_, "sent": [], "held": [], "skipped": skipped, "until": None, "exit_code": 7}
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

    def _put_back(self, id_: str) -> tuple[dict[SlotKey, int], list[dict[str, Any]]]:
        """What each listing showed before a pass wrote to it, and which are left alone, with the reason."""
        entry = self._archive.entry_naming(id_)
        facts = entry.facts if entry is not None else ()
        if not any(isinstance(fact, PlanMade) and fact.id == id_ for fact in facts):
            raise UnknownName(f"no pass {id_!r} is written down; see reconcilerd passes")
        numbers: dict[SlotKey, int] = {}
        skipped = []
        for fact in facts:
            if isinstance(fact, CorrectionPlanned):
                why = self._not_put_back(fact)
                if why is None:
                    numbers[fact.slot] = fact.read
                else:
                    skipped.append({**told_of(fact.slot, self._desk.book.joins()), "why": why})
        return numbers, skipped

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


def _pinned(slot: SlotKey, *, by: str, reason: str, at: Instant, until: Instant) -> SlotPinned:
    return SlotPinned(slot, True, by, reason, at, until)


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
