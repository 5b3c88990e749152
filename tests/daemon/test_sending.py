"""The last look before a write leaves: the STOP file, a freeze window, an open circuit, a canary that did not sing."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import anyio
import httpx
import pytest

from reconcilerd.connectors.port import Emit, Withholding, WriteAnswer
from reconcilerd.connectors.shopify import writes
from reconcilerd.daemon.circuits import Circuits
from reconcilerd.daemon.daemon import stop_reason
from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.executors import DENIED_REST_S, Executor
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent, Outcome, RailLatched
from reconcilerd.domain.names import Instant, SlotKey
from reconcilerd.domain.policy import ChannelRule, Limits, Policy
from reconcilerd.errors import Denied, LedgerFault, ReconcilerdError, TryLater, Withheld
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call, Client, RetryRule
from reconcilerd.transport.lane import Lane, LaneSpec, Priority
from tests.connectors.store import PLACE, UK, Shop, shop
from tests.daemon.test_canaries import APPLY_MAX_MS, Scene
from tests.daemon.test_executor import NOW
from tests.daemon.test_sweeping import Kept
from tests.simulator.builders import Desk as Business
from tests.simulator.builders import world_of

CODES = tuple("abcdefghijkl")


class Sender:
    """An executor of a store with twelve items that show five each."""

    def __init__(self, **limits: Any) -> None:
        self.here: Shop = shop(Business(world_of(dict.fromkeys(CODES, 5))))
        rule = ChannelRule(compare_and_set=True, places=MappingProxyType({PLACE: frozenset()}))
        policy = Policy(
            "test", MappingProxyType({}), MappingProxyType({UK: rule}), limits=replace(Limits(), **limits)
        )
        self.kept = Kept()
        self.desk = Desk(Book(policy), self.kept, self.here.wire.desk.clock)
        self.stop: Callable[[str], str | None] = lambda _: None
        self.barred: Callable[[CorrectionPlanned], str | None] = lambda _: None

        send = self.here.wire.send

        async def ask_first(call: Call) -> Any:
            """As the client does, right before a call leaves."""
            if call.withheld is not None and (why := call.withheld()):
                raise Withheld(why)
            return await send(call)

        self.here.wire.send = ask_first  # type: ignore[method-assign]

    def _stop(self, channel: str) -> str | None:
        return self.stop(channel)

    def _barred(self, correction: CorrectionPlanned) -> str | None:
        return self.barred(correction)

    async def send(
        self,
        target: int = 9,
        codes: str = "".join(CODES),
        explained: str = "",
        executor: Executor | None = None,
        read: int = 5,
    ) -> Executor:
        """Plan and carry out one correction for each item; nothing of those in ``explained`` is unexplained."""

        async def nobody(channel: str, why: str | None) -> None: ...

        executor = executor or Executor(self.here.connector, self.desk, self._stop, nobody, self._barred)
        slots = [self.here.slot(code) for code in codes + explained]
        await self.here.connector.read_slots(slots, self.desk.page)
        made = [
            replace(
                self.here.correction(code, read, target, f"{code}{target}"),
                based_on=self.desk.book.slots[slot].as_of,
                at=self.desk.clock(),
                unexplained=0 if code in explained else abs(target - read),
            )
            for code, slot in zip(codes + explained, slots, strict=True)
        ]
        self.desk.fold(made)
        executor.put(made)
        for _ in range(60):
            if executor.idle:
                break
            await executor.work_once()
        return executor

    def shown(self) -> dict[str, int]:
        items = self.here.wire.desk.world.stores["uk"].by_sku
        return {code: items[code].quantity for code in CODES}

    def outcomes(self) -> list[Outcome]:
        return [fact.outcome for fact in self.kept.facts if isinstance(fact, CorrectionSent)]

    def batches(self) -> list[int]:
        return [len(each["input"]["quantities"]) for each in self.here.wire.of("SetQuantities")]


async def test_a_stop_file_that_appears_between_two_writes_of_a_batch_stops_the_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writes, "MOST_A_CALL", 1)
    sender = Sender()

    def look(_: str) -> str | None:
        return stop_reason(breach=False, stop=bool(sender.batches()), frozen=False, circuit_open=False)

    sender.stop = look
    await sender.send(codes="ab")
    assert sorted(sender.shown()[code] for code in "ab") == [5, 9]
    assert sorted(sender.outcomes()) == [Outcome.APPLIED, Outcome.NOT_SENT]


def test_the_stop_file_comes_first() -> None:
    assert stop_reason(breach=False, stop=True, frozen=True, circuit_open=True) == "the STOP file is there"
    assert stop_reason(breach=False, stop=False, frozen=True, circuit_open=True) == "writes are frozen"
    assert (
        stop_reason(breach=False, stop=False, frozen=False, circuit_open=True)
        == "most calls to the channel fail"
    )
    assert stop_reason(breach=False, stop=False, frozen=False, circuit_open=False) is None


async def test_a_freeze_window_that_opens_before_the_call_stops_what_it_bars() -> None:
    sender = Sender()
    sender.barred = lambda correction: "a freeze window is open" if correction.target > 5 else None
    await sender.send(target=9, codes="ab")
    await sender.send(target=2, codes="cd")
    shown = sender.shown()
    assert [shown[code] for code in "abcd"] == [5, 5, 2, 2]


def virtually(scene: Callable[[], Any]) -> None:
    run_virtual(scene)


def test_a_large_set_goes_in_small_batches_that_are_read_back() -> None:
    sender = Sender(canary_over=4, canary_first=2, canary_second=3)

    async def scene() -> None:
        await sender.send()

    virtually(scene)
    assert set(sender.shown().values()) == {9}
    assert sender.batches() == [2, 3, 7]
    reads = [each["ids"] for each in sender.here.wire.of("ItemsById")]
    assert [len(ids) for ids in reads] == [12, 2, 3]


def test_the_next_large_set_begins_anew() -> None:
    sender = Sender(canary_over=4, canary_first=2, canary_second=3)

    async def scene() -> None:
        executor = await sender.send()
        await sender.send(target=11, executor=executor, read=9)

    virtually(scene)
    assert sender.batches() == [2, 3, 7, 2, 3, 7]


def test_a_first_batch_that_did_not_take_stops_the_rest_and_latches(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Sender(canary_over=4, canary_first=2, canary_second=3)
    sender.here.wire.desk.clock.pass_by(1)

    async def scene() -> None:
        send = sender.here.wire.send

        async def meddled(call: Call) -> Any:
            reply = await send(call)
            if isinstance(call.json, dict) and "SetQuantities" in call.json["query"]:
                for code in CODES:
                    item = sender.here.wire.desk.world.stores["uk"].by_sku[code]
                    item.quantity = 500
                sender.here.wire.desk.clock.pass_by(1_000)
            return reply

        monkeypatch.setattr(sender.here.wire, "send", meddled)
        await sender.send()

    virtually(scene)
    assert sender.batches() == [2]
    assert sender.outcomes().count(Outcome.NOT_SENT) == 10
    assert sender.desk.book.latches.on(sender.desk.clock()) == {"canary:uk"}


def test_what_orders_explain_does_not_wait_for_a_canary() -> None:
    """Six that orders explain go at once, though six others began a canary and wait to be read back."""
    sender = Sender(canary_over=4, canary_first=2, canary_second=3)

    async def scene() -> None:
        await sender.send(target=4, codes="abcdef", explained="ghijkl")

    virtually(scene)
    assert sender.batches() == [2 + 6, 3, 1]


class Throttled(Scene):
    """What it is asked to read is never answered, and that takes a minute; its writes take two seconds.

    Its clock is the loop's: ``run`` is for virtual time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.began_s = anyio.current_time()
        self.desk.clock = lambda: Instant(NOW + int(self.since_s() * 1000))
        rule = replace(self.desk.book.policy.channels[UK], apply_max_ms=600_000)
        self.desk.book.policy = replace(self.desk.book.policy, channels=MappingProxyType({UK: rule}))
        self.reads: list[float] = []
        self.left: list[tuple[float, list[str]]] = []
        write = self.read.write

        async def no_reading(slots: Sequence[SlotKey], emit: Emit) -> None:
            self.reads.append(self.since_s())
            await anyio.sleep(60)
            raise TryLater("429")

        async def slow(
            corrections: Sequence[CorrectionPlanned], run: str, withheld: Withholding
        ) -> tuple[WriteAnswer, ...]:
            self.left.append((self.since_s(), [each.id for each in corrections]))
            await anyio.sleep(2)
            return await write(corrections, run, withheld)

        self.read.read_slots = no_reading  # type: ignore[method-assign]
        self.read.write = slow  # type: ignore[method-assign]

    def since_s(self) -> float:
        return round(anyio.current_time() - self.began_s, 2)

    def sold(self, names: str) -> None:
        """Orders explain these."""
        self.executor.put(self.changes(names, unexplained=0))

    async def run(self, *then: tuple[float, str], large: Sequence[str] = ("abcd",)) -> None:
        """A large set comes, in these parts; then, at these seconds, what orders explain is handed over."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.executor.run)
            for names in large:
                self.executor.put(self.changes(names))
                await anyio.sleep(0.5)
            for at_s, names in then:
                await anyio.sleep(at_s - self.since_s())
                self.sold(names)
            await anyio.sleep(100 - self.since_s())
            group.cancel_scope.cancel()


def test_what_orders_explain_does_not_wait_for_a_reading_back() -> None:
    """Neither what is there before it begins (the first write takes two seconds) nor what comes while it goes on."""

    async def main() -> None:
        scene = Throttled()
        await scene.run((1, "m"), (20, "n"), (20.5, "o"))
        assert scene.left == [(0, ["a", "b"]), (2, ["m"]), (20, ["n"]), (22, ["o"])]
        assert [outcome for name, outcome in scene.outcomes.items() if name in "mno"] == [Outcome.APPLIED] * 3

    run_virtual(main)


def test_what_orders_explain_does_not_wait_for_the_last_reading_back_either() -> None:
    """All of the large set went, and nothing is queued when it begins."""

    async def main() -> None:
        scene = Throttled()
        await scene.run((20, "n"), large=("abc", "d"))
        assert scene.left == [(0, ["a", "b", "c"]), (2, ["d"]), (20, ["n"])]
        assert scene.reads == [5, 66], "the first goes on from 5 to 65"

    run_virtual(main)


def test_neither_a_reading_back_nor_what_goes_beside_it_is_cut_short_for_the_other() -> None:
    """A reading that is begun anew whenever something sells might never end; a write must have its answer."""

    async def main() -> None:
        scene = Throttled()
        await scene.run((20, "n"), (61, "o"))
        assert scene.reads == [2, 64], "the last write ends at 63, and a second later it is looked at again"
        assert scene.outcomes["o"] is Outcome.APPLIED

    run_virtual(main)


def test_credentials_that_are_refused_beside_a_reading_back_are_left_in_peace() -> None:
    async def main() -> None:
        scene = Throttled()
        async with anyio.create_task_group() as group:
            group.start_soon(scene.run, (20, "m"), (25, "n"))
            await anyio.sleep(10)
            scene.read.answer = Denied("no")
        assert scene.left == [(0, ["a", "b"]), (20, ["m"]), (63 + DENIED_REST_S, ["n"])]

    run_virtual(main)


def test_a_bug_in_reading_one_row_stops_the_rest_after_its_time_and_nothing_that_orders_explain() -> None:
    async def main() -> None:
        scene = Scene()

        async def broken(slots: Sequence[SlotKey], emit: Emit) -> None:
            raise KeyError("odd row")

        scene.read.read_slots = broken  # type: ignore[method-assign]
        scene.executor.put(scene.changes("abcd"))
        await scene.executor.work_once()
        scene.executor.put(scene.changes("z", unexplained=0))
        await scene.executor.work_once()
        assert scene.read.sent == [["a", "b"], ["z"]]
        assert scene.latched == frozenset()
        scene.now += APPLY_MAX_MS + 1
        await scene.executor.work_once()
        assert scene.latched == {"canary:uk"}
        assert scene.executor.idle

    run_virtual(main)


@pytest.mark.parametrize("where", ["read_slots", "write"])
async def test_a_ledger_that_fails_beside_a_reading_back_is_told_as_what_it_is(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene()
    scene.executor.put(scene.changes("abcd"))
    await scene.executor.work_once()

    async def full(*_: object) -> Any:
        raise LedgerFault("the disk is full")

    monkeypatch.setattr(scene.read, where, full)
    if where == "write":
        scene.executor.put(scene.changes("z", unexplained=0))
    with pytest.raises(LedgerFault):
        await scene.executor.work_once()


@pytest.mark.parametrize(
    ("unexplained", "released", "sent"), [(4, "", False), (4, "an approval", True), (0, "", True)]
)
async def test_what_was_planned_before_a_first_batch_failed_and_comes_after_it_is_not_sent(
    unexplained: int, released: str, sent: bool
) -> None:
    """But for what orders explain, and what a person agreed to."""
    scene = Scene()
    scene.executor.put(scene.changes("abcd"))
    late = [replace(each, released=released) for each in scene.changes("efg", unexplained)]
    await scene.executor.work_once()
    scene.read.shows = {"a": (5, NOW), "b": (1, NOW)}
    await scene.executor.work_once()
    assert scene.latched == {"canary:uk"}
    scene.executor.put(late)
    await scene.executor.work_once()
    assert scene.read.sent[1:] == ([["e", "f", "g"]] if sent else [])
    assert scene.outcomes["e"] is (Outcome.APPLIED if sent else Outcome.NOT_SENT)


@pytest.mark.parametrize(
    ("channel", "on", "sent"), [("uk", True, False), ("uk", False, True), ("de", True, True)]
)
async def test_a_first_batch_that_failed_bars_its_own_channel_until_a_person_lifts_it(
    channel: str, on: bool, sent: bool
) -> None:
    scene = Scene()
    name = f"canary:{channel}"
    scene.desk.fold([RailLatched(name, True, "reconcilerd", "did not take", NOW)])
    scene.desk.fold([RailLatched(name, on, "ops", "looked", NOW)])
    await scene.carry_out(*scene.changes("e"))
    assert scene.outcomes == {"e": Outcome.APPLIED if sent else Outcome.NOT_SENT}


def a_client(answers: list[Any], heard: list[bool]) -> Client:
    def handle(_: httpx.Request) -> httpx.Response:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)

    clock = VirtualClock(Instant(1_000_000))
    return Client(
        "uk",
        "http://127.0.0.1",
        transport=httpx.MockTransport(handle),
        auth=None,
        lanes=[Lane(LaneSpec("l", 100, 100), clock)],
        clock=clock,
        retry=RetryRule(tries=1, throttled=1),
        heard=heard.append,
    )


@pytest.mark.parametrize(
    ("answer", "well"),
    [
        (200, True),
        (429, True),
        (422, True),
        (500, False),
        (503, False),
        (401, True),
        (httpx.ConnectError("no"), False),
        (httpx.ReadTimeout("late"), False),
    ],
    ids=str,
)
def test_a_circuit_hears_what_fails_and_not_what_is_refused(answer: Any, well: bool) -> None:
    heard: list[bool] = []

    async def scene() -> None:
        client = a_client([answer], heard)
        with suppress(ReconcilerdError):
            await client.send(Call("GET", "/x", "l", Priority.STOCK))
        await client.aclose()

    run_virtual(scene)
    assert heard == [well]


def test_circuits_open_by_channel_and_close_by_a_persons_word() -> None:
    circuits = Circuits(Limits(), lambda: Instant(5))
    for _ in range(20):
        circuits.hear(UK)(False)
    assert circuits.open == {UK}
    circuits.reset(UK)
    assert circuits.open == frozenset()
