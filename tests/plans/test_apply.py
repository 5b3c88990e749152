"""A plan is carried out as it was reviewed, once, while the world is as it was; or it is refused whole."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from reconcilerd.cli.plan_text import applied
from reconcilerd.daemon.passes import SLICE_MS
from reconcilerd.domain.digest import canonical, digest_of
from reconcilerd.domain.facts import CorrectionPlanned, FreezeSet, SlotPinned
from reconcilerd.domain.names import Instant, Sku, after
from reconcilerd.domain.policy import Mode
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.menu import Fault
from tests.plans.stage import Shop, opened

SHARES = {"shop-uk": 20, "shop-eu": 12, "shop-us": 8}


def signed(plan: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plan that says something else, with a digest that fits."""
    changed = {key: each for key, each in {**plan, **more}.items() if key != "digest"}
    return {**changed, "digest": digest_of(canonical(changed))}


def intents(shop: Shop) -> int:
    return sum(isinstance(f, CorrectionPlanned) for entry in shop.ledger.entries() for f in entry.facts)


def test_a_reviewed_plan_is_written_and_read_back(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan()
        assert plan["counts"] == {"hold_approval": 6}
        assert set(shop.shown().values()) == {0}
        told = await shop.apply(plan)
        assert {each["outcome"] for each in told["sent"]} == {"confirmed"}, told
        assert (len(told["sent"]), told["held"], told["exit_code"]) == (6, [], 0)
        assert shop.shown() == SHARES
        assert (await shop.plan())["entries"] == []

    opened(tmp_path / "l.db", scene)


def test_a_plan_that_lay_for_minutes_is_read_for_before_it_is_carried_out(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan()
        await anyio.sleep(290)
        told = await shop.apply(plan)
        assert (len(told["sent"]), told["held"], told["exit_code"]) == (6, [], 0)
        assert shop.shown() == SHARES

    opened(tmp_path / "l.db", scene)


def test_what_that_reading_finds_moved_refuses_the_plan(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan()
        await anyio.sleep(30)
        shop.stage.world.receive("a", 1, 30, shop.stage.clock())
        told = await shop.apply(plan)
        assert told["exit_code"] == 7
        assert "is refused" in told["error"]["message"]
        assert set(shop.shown().values()) == {0}

    opened(tmp_path / "l.db", scene)


def test_what_that_reading_leaves_nothing_of_is_refused_by_what_moved(tmp_path: Path) -> None:
    """All that was to be offered is gone: nothing is left to write, and the plan is no good all the same."""

    async def scene(shop: Shop) -> None:
        plan = await shop.plan(sku="a")
        await anyio.sleep(30)
        world = shop.stage.world
        world.damage("a", sum(world.bins["a", place].on_hand for place in (1, 2)), shop.stage.clock())
        told = await shop.apply(plan)
        assert told["exit_code"] == 7
        assert "a at 1: on hand" in str(told["error"])

    opened(tmp_path / "l.db", scene)


def test_a_write_that_is_taken_and_has_no_effect_is_not_confirmed(tmp_path: Path) -> None:
    faults = FaultPlan(1)

    async def scene(shop: Shop) -> None:
        plan = await shop.plan(sku="a")
        await anyio.sleep(
            1
        )  # at one moment, what was read before a write is not told from what was read after it
        faults.arm("shop-uk", Fault.NOT_APPLIED)
        told = await shop.apply(plan)
        assert {each["channel"]: (each["to"], each["shows"], each["outcome"]) for each in told["sent"]} == {
            "shop-uk": (20, 0, "taken, and read back as another number"),
            "shop-eu": (12, 12, "confirmed"),
            "shop-us": (8, 8, "confirmed"),
        }
        assert told["exit_code"] == 3
        assert shop.shown()["shop-uk"] == 0

    opened(tmp_path / "l.db", scene, faults=faults)


def test_what_was_written_before_is_no_sign_that_the_same_number_was_taken_again(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        assert (await shop.apply(await shop.plan(sku="a")))["exit_code"] == 0
        world, clock, listing = shop.stage.world, shop.stage.clock, shop.stage.item("shop-us", "a")
        world.set_quantity(listing, 1, clock())
        await anyio.sleep(500)
        plan = await shop.plan(sku="a", fresh=True)
        await anyio.sleep(1)
        world.set_quantity(listing, 2, clock())
        told = await shop.apply(plan)
        assert [(each["to"], each["shows"], each["outcome"]) for each in told["sent"]] == [
            (SHARES["shop-us"], 2, "not taken by the channel")
        ]
        assert told["exit_code"] == 3

    opened(tmp_path / "l.db", scene)


def test_a_plan_of_one_channel_writes_to_no_other(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan(channel="shop-eu", sku="a")
        assert [each["slot"][0] for each in plan["entries"]] == ["shop-eu"]
        assert (await shop.apply(plan))["exit_code"] == 0
        await anyio.sleep(600)
        assert shop.shown() == {"shop-uk": 0, "shop-eu": 12, "shop-us": 0}
        assert set(shop.shown("b").values()) == {0}

    opened(tmp_path / "l.db", scene)


def test_a_plan_goes_once_and_the_second_time_says_who_did_it(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan()
        assert (await shop.apply(plan, "ticket 12"))["exit_code"] == 0
        before = intents(shop)
        again = await shop.apply(plan)
        assert again["exit_code"] == 7
        assert "applied already" in again["error"]["message"]
        assert "by uid 7: ticket 12" in again["error"]["message"]
        assert "make a new one" in again["error"]["message"]
        assert intents(shop) == before
        plans.append(plan)

    async def after_a_restart(shop: Shop) -> None:
        assert "applied already" in (await shop.apply(plans[0]))["error"]["message"]

    plans: list[dict[str, Any]] = []
    world = opened(tmp_path / "l.db", scene)
    opened(tmp_path / "l.db", after_a_restart, world=world, start=world.now, read_s=5)


@pytest.mark.parametrize("slice_ms", [0, SLICE_MS], ids=["each waits for the others", "none waits"])
async def test_two_at_once_write_once(slice_ms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconcilerd.daemon.plans.SLICE_MS", slice_ms)

    async def scene(shop: Shop) -> None:
        plan, told = await shop.plan(), []

        async def apply() -> None:
            told.append(await shop.apply(plan))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(apply)
        assert sorted(each["exit_code"] for each in told) == [0, 7, 7]
        late = [each["error"]["message"] for each in told if "error" in each]
        assert ["applied already" in message for message in late] == [True, True]
        assert intents(shop) == 6

    await anyio.to_thread.run_sync(opened, tmp_path / "l.db", scene)


def test_a_late_plan_is_refused(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan()
        await anyio.sleep(601)
        told = await shop.apply(plan)
        assert (told["exit_code"], "at most 600 s" in told["error"]["message"]) == (7, True)
        assert intents(shop) == 0
        ahead = signed(await shop.plan(), made_at="2030-01-01T00:00:00Z")
        assert "s from now" in (await shop.apply(ahead))["error"]["message"]

    opened(tmp_path / "l.db", scene)


def test_what_moved_is_told_from_what_to_what(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan()
        shop.stage.world.damage("a", 3, shop.stage.clock())
        await shop.ask("reconcile", skus=["a"], fresh=True)
        told = await shop.apply(plan)
        assert told["exit_code"] == 7
        assert "a at 1: on hand 30 -> 27" in told["error"]["message"]
        assert "shop-uk a, 0 -> 20" in told["error"]["message"]
        assert " b," not in told["error"]["message"]
        assert intents(shop) == 0

    opened(tmp_path / "l.db", scene)


def test_a_sale_moves_a_plan_and_what_is_read_again_unchanged_does_not(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        assert (await shop.apply(await shop.plan(sku="a")))["exit_code"] == 0
        shop.stage.world.set_quantity(shop.stage.item("shop-us", "a"), 1, shop.stage.clock())
        await anyio.sleep(500)
        plan = await shop.plan(sku="a")
        assert [each["target"] for each in plan["entries"]] == [8]
        await anyio.sleep(200)
        same = await shop.plan(sku="a")
        assert same["inputs"] == plan["inputs"]
        shop.stage.world.place_order("shop-uk", "77", [("a", 2)], shop.stage.clock())
        await anyio.sleep(200)
        told = await shop.apply(plan)
        assert told["exit_code"] == 7
        assert "shop-uk listing" in told["error"]["message"]
        assert "shows 20 -> 18" in told["error"]["message"]

    opened(tmp_path / "l.db", scene)


@pytest.mark.parametrize("key", ["target", "desired", "verdict", "sku", "because"])
def test_a_plan_that_was_edited_is_refused(tmp_path: Path, key: str) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan()
        first = {**plan["entries"][0], key: 1 if isinstance(plan["entries"][0][key], int) else "b"}
        told = await shop.apply({**plan, "entries": [first, *plan["entries"][1:]]})
        assert (told["exit_code"], "was edited" in told["error"]["message"]) == (7, True)
        assert intents(shop) == 0

    opened(tmp_path / "l.db", scene)


def test_a_plan_of_another_ledger_or_policy_is_refused(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan()
        other = signed(plan, ledger={"entry": plan["ledger"]["entry"], "hash": "0" * 64})
        assert "another ledger" in (await shop.apply(other))["error"]["message"]
        later = signed(plan, ledger={"entry": 10**6, "hash": "0" * 64})
        assert "another ledger" in (await shop.apply(later))["error"]["message"]
        policy = signed(plan, policy="older")
        assert "policy has changed: older -> test" in (await shop.apply(policy))["error"]["message"]
        assert intents(shop) == 0
        assert (await shop.apply(signed(plan)))["exit_code"] == 0

    opened(tmp_path / "l.db", scene)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "other"}, "no plan"),
        ({"ledger": {"entry": 1.5}}, "float"),
    ],
)
def test_what_is_no_plan_is_told_and_nothing_is_done(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    async def scene(shop: Shop) -> None:
        told = await shop.apply({**await shop.plan(), **change})
        assert (told["exit_code"], said in told["error"]["message"]) == (2, True), told
        nothing: tuple[Any, ...] = (None, 5, [], "plan", {})
        for bad in nothing:
            assert (await shop.apply(bad))["exit_code"] == 2
        assert (await shop.apply(await shop.plan(), " "))["exit_code"] == 2
        assert intents(shop) == 0

    opened(tmp_path / "l.db", scene, read_s=200)


def test_a_plan_releases_only_what_an_approval_releases(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan(sku="a")
        now = shop.stage.clock()
        await shop.stage.built.daemon.desk.take([FreezeSet("shop-eu", True, "test", "on purpose", now)])
        told = await shop.apply(plan)
        assert told["exit_code"] == 7
        assert [(each["channel"], each["verdict"]) for each in told["held"]] == [("shop-eu", "hold_frozen")]
        assert shop.shown() == {**SHARES, "shop-eu": 0}

    opened(tmp_path / "l.db", scene)


def test_what_is_held_of_one_pool_keeps_no_other_back(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan, desk, now = await shop.plan(), shop.stage.built.daemon.desk, shop.stage.clock()
        slots = desk.book.joins().slots_of[Sku("b")]
        await desk.take(
            [SlotPinned(slot, True, "test", "on purpose", now, after(now, 600_000)) for slot in slots]
        )
        told = await shop.apply(plan)
        assert (len(told["sent"]), len(told["held"]), told["exit_code"]) == (3, 3, 7)
        assert {each["sku"] for each in told["sent"]} == {"a"}
        assert {each["verdict"] for each in told["held"]} == {"hold_pinned"}
        assert (shop.shown(), set(shop.shown("b").values())) == (SHARES, {0})

    opened(tmp_path / "l.db", scene)


def test_a_plan_of_which_nothing_was_begun_is_not_used_up(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan, desk, now = await shop.plan(), shop.stage.built.daemon.desk, shop.stage.clock()
        await desk.take([FreezeSet("", True, "test", "on purpose", now)])
        told = await shop.apply(plan)
        assert (told["sent"], len(told["held"]), told["exit_code"]) == ([], 6, 7)
        assert "Nothing was written.\n" in applied(told, 80)
        assert "The plan is not used up: apply it again while it is good." in applied(told, 80)
        assert intents(shop) == 0
        await desk.take([FreezeSet("", False, "test", "over", now)])
        told = await shop.apply(plan)
        assert (len(told["sent"]), told["exit_code"]) == (6, 0)
        assert "not used up" not in applied(told, 80)
        assert "applied already" in (await shop.apply(plan))["error"]["message"]

    opened(tmp_path / "l.db", scene)


def test_mode_observe_writes_nothing_whoever_applies(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan()
        assert plan["counts"] == {"hold_mode": 6}
        told = await shop.apply(plan)
        assert (told["exit_code"], told["sent"], len(told["held"])) == (7, [], 6)
        assert set(shop.shown().values()) == {0}

    opened(tmp_path / "l.db", scene, mode=Mode.OBSERVE)


def test_of_a_plan_that_was_held_whole_it_is_told_what_holds_it_now(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await shop.ask("freeze", reason="a count")
        plan = await shop.plan(sku="a")
        assert plan["counts"] == {"hold_frozen": 3}
        told = await shop.apply(plan)
        assert {each["verdict"] for each in told["held"]} == {"hold_frozen"}
        await shop.ask("unfreeze")
        told = await shop.apply(plan)
        assert {(each["sku"], each["verdict"]) for each in told["held"]} == {("a", "hold_approval")}
        assert (told["sent"], told["exit_code"]) == ([], 7)
        assert "shop-eu a  held: " in applied(told, 100)
        assert (await shop.apply(await shop.plan(sku="a")))["exit_code"] == 0
        assert ((await shop.apply(plan))["held"], (await shop.apply(plan))["exit_code"]) == ([], 0)

    opened(tmp_path / "l.db", scene)


def test_a_plan_writes_down_what_it_cannot_say(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await anyio.sleep(200)
        told = await shop.ask("plan")
        assert told["plan"]["incomplete"] == told["incomplete"] == []
        track = next(iter(shop.stage.built.daemon.desk.book.slots.values()))
        track.age_of = Instant(0)
        told = await shop.ask("plan")
        assert told["plan"]["incomplete"] == told["incomplete"] != []
        assert told["exit_code"] == 5

    opened(tmp_path / "l.db", scene)


def test_a_plan_says_how_sure_it_is(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        assert (await shop.ask("plan"))["exit_code"] == 3
        assert (await shop.ask("plan", sku="nothing"))["exit_code"] == 6
        assert (await shop.ask("plan", channel="nowhere"))["exit_code"] == 6
        assert (await shop.apply(await shop.plan()))["exit_code"] == 0
        assert (await shop.ask("plan"))["exit_code"] == 0
        shop.stage.world.add_item("shop-uk", "c", 3)
        assert (await shop.ask("plan", fresh=True, sku="a"))["exit_code"] == 0

    opened(tmp_path / "l.db", scene)
