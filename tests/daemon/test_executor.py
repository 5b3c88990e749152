"""What the executor of one channel sends first, what it never sends, and what it makes of every answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio
import pytest

from reconcilerd.connectors.port import Emit, Withholding, WriteAnswer
from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.executors import Executor
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    EnvelopeApproved,
    EnvelopeRevoked,
    InvariantBroken,
    Outcome,
    SlotObserved,
    SlotState,
    SweepRead,
)
from reconcilerd.domain.names import ChannelName, FeedName, Instant, Sku, SlotKey
from reconcilerd.domain.policy import ChannelRule, Policy
from reconcilerd.errors import Denied, LedgerFault, MalformedReply, OutcomeUnknown, Refused, TryLater
from reconcilerd.simulator.virtual_time import run_virtual
from tests.daemon.test_sweeping import Kept

UK = ChannelName("uk")
NOW = Instant(1_000_000)


@dataclass
class Store:
    """A channel that answers as it is told, and remembers what it was asked for."""

    answer: Outcome | Exception = Outcome.APPLIED
    batch_max: int = 25
    name: str = "uk"
    feeds: tuple[FeedName, ...] = ()
    sent: list[list[str]] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    """Why a call might not have left, as it was told right before."""

    async def sweep(self, feed: FeedName, cursor: str, emit: Emit, *, whole: bool = False) -> SweepRead:
        raise NotImplementedError

    async def read_slots(self, slots: Sequence[SlotKey], emit: Emit) -> None:
        raise NotImplementedError

    async def write(
        self, corrections: Sequence[CorrectionPlanned], run: str, withheld: Withholding
    ) -> tuple[WriteAnswer, ...]:
        self.sent.append([each.id for each in corrections])
        self.asked.append(withheld())
        if isinstance(self.answer, Exception):
            raise self.answer
        return tuple(WriteAnswer(each, self.answer, "") for each in corrections)


async def nobody(channel: str, why: str | None) -> None: ...


class Shift:
    """An executor, its desk and its store; each listing shows five."""

    def __init__(self, store: Store | None = None, *, compares: bool = True) -> None:
        self.store = store or Store()
        policy = Policy("test", {}, {UK: ChannelRule(compare_and_set=compares, places={"": frozenset()})})
        self.kept = Kept()
        self.desk = Desk(Book(policy), self.kept, lambda: NOW)
        self.barred: dict[str, str] = {}
        self.executor = Executor(
            self.store, self.desk, lambda _: None, nobody, lambda each: self.barred.get(each.id)
        )

    def plan(self, id_: str, target: int, *, listing: str = "a", released: str = "") -> CorrectionPlanned:
        slot, at = SlotKey(UK, listing), Instant(NOW - 1_000)
        if slot not in self.desk.book.slots:
            self.desk.fold([SlotObserved(slot, listing, listing, 5, SlotState.BUYABLE, False, at, at)])
        made = CorrectionPlanned(id_, slot, listing, 5, at, target, "lag", "share", NOW, released=released)
        self.desk.fold([made])
        return made

    async def carry_out(self, *corrections: CorrectionPlanned) -> dict[str, Outcome]:
        self.executor.put(corrections)
        await self.executor.work_once()
        return self.outcomes

    @property
    def outcomes(self) -> dict[str, Outcome]:
        return {each.id: each.outcome for each in self.kept.facts if isinstance(each, CorrectionSent)}

    @property
    def breaches(self) -> list[InvariantBroken]:
        return [each for each in self.kept.facts if isinstance(each, InvariantBroken)]


async def test_lowers_go_before_raises_that_waited_longer() -> None:
    shift = Shift(Store(batch_max=1))
    up, down = shift.plan("up", 9, listing="a"), shift.plan("down", 1, listing="b")
    await shift.carry_out(replace(up, at=Instant(NOW - 500)), down)
    assert shift.store.sent == [["down"]]


@pytest.mark.parametrize("batch_max", [1, 25])
async def test_what_orders_explain_goes_first_and_of_each_kind_the_lowers(batch_max: int) -> None:
    """Whatever of it waited longer."""
    shift = Shift(Store(batch_max=batch_max))
    plans = {
        "bold raise": (9, 4, 400),
        "bold lower": (1, 4, 300),
        "even": (5, 0, 200),
        "sold": (1, 0, 100),
    }
    shift.executor.put(
        [
            replace(
                shift.plan(each, target, listing=each), unexplained=unexplained, at=Instant(NOW - waited_ms)
            )
            for each, (target, unexplained, waited_ms) in plans.items()
        ]
    )
    while not shift.executor.idle:
        await shift.executor.work_once()
    order = [each for batch in shift.store.sent for each in batch]
    assert order == ["sold", "even", "bold lower", "bold raise"]


def test_everybody_who_waits_for_the_work_to_be_done_is_told() -> None:
    """And again of what comes later."""

    async def main() -> None:
        shift, told = Shift(), list[str]()
        write = shift.store.write

        async def slow(
            corrections: Sequence[CorrectionPlanned], run: str, withheld: Withholding
        ) -> tuple[WriteAnswer, ...]:
            await anyio.sleep(1)
            return await write(corrections, run, withheld)

        async def wait(who: str) -> None:
            await shift.executor.drained()
            told.append(who)

        shift.store.write = slow  # type: ignore[method-assign]
        async with anyio.create_task_group() as group:
            group.start_soon(shift.executor.run)
            for number in "12":
                shift.executor.put([shift.plan(number, 1, listing=number)])
                for who in ("drain", "page", "plan"):
                    group.start_soon(wait, who + number)
                await anyio.sleep(0.9)
                assert len(told) == 3 * (int(number) - 1)
                await anyio.sleep(0.2)
                assert len(told) == 3 * int(number)
            group.cancel_scope.cancel()

    run_virtual(main)


async def test_whoever_waits_for_work_that_comes_again_sleeps_meanwhile() -> None:
    shift = Shift()
    await shift.carry_out(shift.plan("one", 1))
    shift.executor.put([shift.plan("two", 1, listing="b")])
    async with anyio.create_task_group() as group:
        group.start_soon(shift.executor.drained)
        with anyio.fail_after(1):
            await anyio.wait_all_tasks_blocked()
        await shift.executor.work_once()


async def test_what_was_approved_is_not_sent_once_the_approval_is_revoked() -> None:
    shift = Shift()
    made = shift.plan("c", 1, released="e")
    other = shift.plan("d", 1, listing="b", released="f")
    skus = (Sku("a"),)
    shift.desk.fold(
        [
            EnvelopeApproved("e", skus, "lower", 9, "ops", "counted", NOW, Instant(NOW + 9)),
            EnvelopeRevoked("e", "ops", "a mistake", NOW),
        ]
    )
    assert await shift.carry_out(made, other) == {"c": Outcome.NOT_SENT, "d": Outcome.APPLIED}
    assert shift.store.sent == [["d"]]


async def test_a_correction_is_not_sent_over_a_newer_one_that_is_still_to_come() -> None:
    """It is no fault of ours either: nobody is stopped for it."""
    shift = Shift()
    old, _ = shift.plan("old", 1), shift.plan("new", 2)
    assert await shift.carry_out(old) == {"old": Outcome.NOT_SENT}
    assert (shift.store.sent, shift.breaches) == ([], [])


async def test_what_a_newer_correction_took_the_place_of_is_answered_too() -> None:
    shift = Shift()
    old = shift.plan("old", 1)
    shift.executor.put([old])
    new = shift.plan("new", 2)
    assert await shift.carry_out(new) == {"old": Outcome.NOT_SENT, "new": Outcome.APPLIED}
    assert shift.desk.book.slots[new.slot].open == ()


async def test_what_a_newer_correction_took_the_place_of_is_answered_though_that_one_must_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until it is answered it counts as under way."""
    shift = Shift()
    shift.executor.put([shift.plan("old", 1)])
    monkeypatch.setattr(shift.executor._canaries, "let_go", lambda _waiting: [])
    assert await shift.carry_out(shift.plan("new", 2)) == {"old": Outcome.NOT_SENT}
    assert shift.executor.queued == 1


async def test_once_a_first_batch_did_not_take_only_what_orders_explain_is_sent() -> None:
    """However much of it there is."""
    shift = Shift(Store(batch_max=1))
    bold = shift.plan("bold", 1, listing="d")
    due = [shift.plan(f"due {listing}", 1, listing=listing) for listing in "abc"]
    shift.executor._canaries.stopped = True
    shift.executor.put(due)
    await shift.carry_out(replace(bold, unexplained=True))
    while shift.executor.queued:
        await shift.executor.work_once()
    assert shift.store.sent == [["due a"], ["due b"], ["due c"]]
    assert shift.outcomes["bold"] == Outcome.NOT_SENT


async def test_what_may_not_be_sent_is_asked_before_the_batch_and_before_each_call() -> None:
    shift = Shift()
    one, two = shift.plan("one", 1), shift.plan("two", 1, listing="b")
    shift.barred["one"] = "a freeze window is open"
    assert await shift.carry_out(one, two) == {"one": Outcome.NOT_SENT, "two": Outcome.APPLIED}
    assert (shift.store.sent, shift.store.asked) == ([["two"]], [None])


async def test_what_bars_a_correction_while_it_waits_for_its_turn_is_told_to_whoever_sends_it() -> None:
    shift = Shift()
    made = shift.plan("c", 1)
    write = shift.store.write

    async def wait(
        corrections: Sequence[CorrectionPlanned], run: str, withheld: Withholding
    ) -> tuple[WriteAnswer, ...]:
        shift.barred["c"] = "a freeze window has opened"
        return await write(corrections, run, withheld)

    shift.store.write = wait  # type: ignore[method-assign]
    await shift.carry_out(made)
    assert shift.store.asked == ["a freeze window has opened"]


@pytest.mark.parametrize(
    ("answer", "outcome", "read_back"),
    [
        (Outcome.APPLIED, Outcome.APPLIED, False),
        (Outcome.STALE, Outcome.STALE, True),
        (Outcome.REFUSED, Outcome.REFUSED, True),
        (Outcome.UNKNOWN, Outcome.UNKNOWN, True),
        (Outcome.NOT_SENT, Outcome.NOT_SENT, False),
        (OutcomeUnknown("lost"), Outcome.UNKNOWN, True),
        (Refused("no"), Outcome.REFUSED, True),
        (Denied("no"), Outcome.NOT_SENT, False),
        (TryLater("busy"), Outcome.UNKNOWN, True),
        (MalformedReply("odd"), Outcome.UNKNOWN, True),
        (ZeroDivisionError(), Outcome.UNKNOWN, True),
    ],
    ids=lambda each: str(each) if isinstance(each, Outcome) else type(each).__name__,
)
async def test_what_the_channel_did_not_confirm_is_read_again(
    answer: Outcome | Exception, outcome: Outcome, read_back: bool
) -> None:
    shift = Shift(Store(answer))
    made = shift.plan("c", 1)
    assert await shift.carry_out(made) == {"c": outcome}
    assert shift.desk.wanted_slots("uk", 9) == ([made.slot] if read_back else [])


async def test_what_does_not_compare_is_believed_once_it_is_read() -> None:
    shift = Shift(compares=False)
    made = shift.plan("c", 1)
    assert await shift.carry_out(made) == {"c": Outcome.ACCEPTED}
    assert shift.desk.wanted_slots("uk", 9) == [made.slot]


async def test_a_ledger_that_cannot_be_written_is_no_answer_of_the_channel() -> None:
    shift = Shift(Store(LedgerFault("the disk is full")))
    made = shift.plan("c", 1)
    with pytest.raises(LedgerFault):
        await shift.carry_out(made)
    assert shift.outcomes == {}


async def test_credentials_that_were_refused_are_told_as_taken_again() -> None:
    shift, told = Shift(), list[str | None]()

    async def hears(_channel: str, why: str | None) -> None:
        told.append(why)

    shift.executor = Executor(shift.store, shift.desk, lambda _: None, hears)
    shift.store.answer = Denied("the app lacks write_inventory")
    await shift.carry_out(shift.plan("first", 1))
    shift.store.answer = Outcome.APPLIED
    await shift.carry_out(shift.plan("second", 2))
    assert [why is None for why in told] == [False, True]


@pytest.mark.parametrize("read", ["nothing", "the same", "less before", "less since"])
@pytest.mark.parametrize("back_ms", [10_000, 600_000])
async def test_a_write_that_waits_while_the_clock_is_set_back_leaves_unless_something_newer_was_read(
    back_ms: int, read: str
) -> None:
    shift, now = Shift(), [NOW]
    shift.desk.clock = lambda: now[0]
    await shift.desk.take([])

    async def look(quantity: int, at: int) -> None:
        await shift.desk.take(
            [SlotObserved(waits.slot, "a", "a", quantity, SlotState.BUYABLE, False, Instant(at), Instant(at))]
        )

    waits = shift.plan("down", 1)
    if read == "less before":
        await look(3, NOW)
    now[0] = Instant(NOW - back_ms)
    await shift.desk.take([])
    if read in {"less since", "the same"}:
        now[0] = Instant(now[0] + 1_000)
        await look(5 if read == "the same" else 3, now[0])
    left = await shift.carry_out(waits)
    sent = read in {"nothing", "the same"}
    assert left == {"down": Outcome.APPLIED if sent else Outcome.NOT_SENT}
    assert (shift.store.sent, shift.breaches) == ([["down"]] if sent else [], [])
