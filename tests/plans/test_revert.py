"""A pass is put back by the rails' leave, stays so while it may, and an approval can be taken away."""

import json
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import anyio
import pytest

from reconcilerd.cli.plan_text import reverted
from reconcilerd.cli.replay import _replay
from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent, Outcome, PlanApplied, PlanMade
from reconcilerd.domain.guards import NEEDS_A_PERSON, Verdict
from reconcilerd.domain.names import ChannelName
from reconcilerd.domain.policy import Mode
from reconcilerd.ledger.reader import open_reader
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.menu import Fault
from tests.plans.stage import Shop, opened

SHARES = {"shop-uk": 20, "shop-eu": 12, "shop-us": 8}


async def applied(shop: Shop, **more: Any) -> str:
    """Carry out what waits; the id of the pass that wrote it."""
    assert (await shop.apply(await shop.plan(**more)))["exit_code"] == 0
    return await last_pass(shop)


async def last_pass(shop: Shop) -> str:
    return next(str(each["id"]) for each in (await shop.ask("passes"))["passes"] if each["sent"])


async def revert(shop: Shop, id_: str, **more: Any) -> dict[str, Any]:
    return await shop.ask("revert", **{"pass": id_, "reason": "a mistake", "apply": True, **more})


def test_what_is_put_back_stays_until_the_pin_is_lifted(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await anyio.sleep(200)
        assert shop.shown() == SHARES
        shop.stage.world.receive("a", 1, 20, shop.stage.clock())
        await anyio.sleep(900)
        assert shop.shown() == {"shop-uk": 30, "shop-eu": 18, "shop-us": 12}
        id_ = await last_pass(shop)
        dry = await revert(shop, id_, apply=False)
        assert sorted((each["from"], each["to"]) for each in dry["would"]) == [(12, 8), (18, 12), (30, 20)]
        assert shop.shown() == {"shop-uk": 30, "shop-eu": 18, "shop-us": 12}
        told = await revert(shop, id_)
        assert {each["outcome"] for each in told["sent"]} == {"confirmed"}, told
        assert shop.shown() == SHARES
        await anyio.sleep(1200)
        assert shop.shown() == SHARES
        assert {each["channel"] for each in (await shop.ask("pins"))["pins"]} == set(SHARES)
        lifted = await shop.ask("unpin", sku="a", channel="shop-uk", reason="it was right")
        assert lifted["lifted"] == ["shop-uk a"]
        await anyio.sleep(600)
        assert shop.shown() == {"shop-uk": 30, "shop-eu": 12, "shop-us": 8}
        assert (await shop.ask("unpin", sku="all", reason="so was it"))["exit_code"] == 0
        await anyio.sleep(600)
        assert shop.shown() == {"shop-uk": 30, "shop-eu": 18, "shop-us": 12}
        assert (await shop.ask("unpin", sku="all", reason="again"))["exit_code"] == 6

    opened(tmp_path / "l.db", scene, mode=Mode.AUTO)


def test_a_pin_survives_a_restart_and_ends_by_itself(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        id_ = await applied(shop, sku="a")
        assert (await revert(shop, id_, for_s=1800))["exit_code"] == 0
        assert set(shop.shown().values()) == {0}

    async def later(shop: Shop) -> None:
        assert len((await shop.ask("pins"))["pins"]) == 3
        await anyio.sleep(900)
        assert set(shop.shown().values()) == {0}
        await anyio.sleep(1200)
        assert (await shop.ask("pins"))["pins"] == []
        assert shop.shown() == SHARES

    world = opened(tmp_path / "l.db", scene)
    opened(tmp_path / "l.db", later, world=world, start=world.now, read_s=60, mode=Mode.AUTO)


def test_a_pinned_number_gives_way_when_it_is_more_than_there_is(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        shop.stage.world.damage("a", 20, shop.stage.clock())
        await anyio.sleep(900)
        lowered = shop.shown()
        assert sum(lowered.values()) == 20
        id_ = await last_pass(shop)
        shop.stage.world.receive("a", 1, 20, shop.stage.clock())
        await shop.ask("reconcile", skus=["a"], fresh=True)
        assert (await shop.ask("freeze", reason="hands off"))["exit_code"] == 0
        shop.stage.world.damage("a", 30, shop.stage.clock())
        assert (await shop.ask("unfreeze"))["exit_code"] == 0
        told = await revert(shop, id_)
        await anyio.sleep(900)
        assert sum(shop.shown().values()) <= 10, told

    opened(tmp_path / "l.db", scene, mode=Mode.AUTO)


def test_who_puts_a_number_back_agrees_to_no_zero_that_comes_of_it_instead(tmp_path: Path) -> None:
    """What is put back is no more than there is: once the rest is gone too, that would be nothing."""

    async def scene(shop: Shop) -> None:
        world, clock = shop.stage.world, shop.stage.clock
        await applied(shop, sku="a")
        world.damage("a", 30, clock())
        await anyio.sleep(900)
        id_, few = await applied(shop, sku="a", fresh=True), shop.shown()
        assert sum(few.values()) == 10
        world.damage("a", 10, clock())
        await anyio.sleep(1_500)
        told = await revert(shop, id_)
        assert (told["sent"], {each["verdict"] for each in told["held"]}) == ([], {"hold_approval"})
        assert shop.shown() == few

    opened(tmp_path / "l.db", scene)


def test_only_what_was_put_back_is_left_so(tmp_path: Path) -> None:
    """A pin elsewhere would keep a number that nobody asked for, and hide stock for hours."""
    faults = FaultPlan(1)

    async def scene(shop: Shop) -> None:
        await anyio.sleep(200)
        shop.stage.world.receive("a", 1, 20, shop.stage.clock())
        await anyio.sleep(900)
        id_ = await last_pass(shop)
        await shop.ask("reconcile", skus=["a"], fresh=True)
        await anyio.sleep(1)
        shop.stage.world.place_order("shop-uk", "77", [("a", 2)], shop.stage.clock())
        faults.arm("shop-us", Fault.NOT_APPLIED)
        told = await revert(shop, id_)
        assert {each["channel"]: each["outcome"] for each in told["sent"]} == {
            "shop-uk": "not taken by the channel",
            "shop-eu": "confirmed",
            "shop-us": "taken, and read back as another number",
        }
        assert told["exit_code"] == 3
        assert [each["channel"] for each in (await shop.ask("pins"))["pins"]] == ["shop-eu"]

    opened(tmp_path / "l.db", scene, mode=Mode.AUTO, faults=faults)


def test_a_revert_that_a_rail_would_hold_says_so_before_it_is_done(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        id_ = await applied(shop, sku="a")
        assert (await revert(shop, id_, apply=False))["exit_code"] == 3
        await shop.ask("freeze", reason="a count")
        told = await revert(shop, id_, apply=False)
        assert {each["verdict"] for each in told["would"]} == {"hold_frozen"}
        assert told["exit_code"] == 7

    opened(tmp_path / "l.db", scene)


def told_as_done(shop: Shop) -> list[str]:
    """The ids under which a person had something carried out, by the ledger."""
    return [f.id for e in shop.ledger.entries() for f in e.facts if isinstance(f, PlanApplied)]


def test_what_put_nothing_back_is_not_written_down_as_done(tmp_path: Path) -> None:
    """Held, left alone, or never a write: the preview and the deed end alike, and the audit has no word of it."""

    async def scene(shop: Shop) -> None:
        idle = next(each["id"] for each in (await shop.ask("passes"))["passes"] if not each["sent"])
        id_ = await applied(shop, sku="a")
        before = told_as_done(shop)
        await shop.ask("freeze", reason="a count")
        for pass_, code, held in ((id_, 7, 3), (idle, 0, 0)):
            dry, told = await revert(shop, pass_, apply=False), await revert(shop, pass_)
            assert (dry["exit_code"], told["exit_code"]) == (code, code)
            assert (len(dry["would"]), told["sent"], len(told["held"])) == (held, [], held)
            assert [each["sku"] for each in told["held"]] == ["a"] * held
        await shop.ask("unfreeze")
        shop.stage.world.place_order("shop-uk", "77", [("a", 2)], shop.stage.clock())
        await anyio.sleep(200)
        assert (await revert(shop, id_))["exit_code"] == 0
        again = await revert(shop, id_, apply=False), await revert(shop, id_)
        assert [each["exit_code"] for each in again] == [7, 7]
        assert {each["sku"] for told in again for each in told["skipped"]} == {"a"}
        assert f"shop-uk a  left alone: {again[0]['skipped'][0]['why']}" in reverted(again[0], 100)
        assert len(told_as_done(shop)) == len(before) + 1, "once something was put back"

    opened(tmp_path / "l.db", scene)


def test_a_number_that_stock_does_not_allow_is_left_alone_with_the_reason(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await anyio.sleep(200)
        shop.stage.world.damage("a", 39, shop.stage.clock())
        await anyio.sleep(900)
        lowered, id_ = shop.shown(), await last_pass(shop)
        assert sum(lowered.values()) == 1
        has = next(channel for channel, number in lowered.items() if number)
        for told in (await revert(shop, id_, apply=False), await revert(shop, id_)):
            assert {each["channel"]: each["why"] for each in told["skipped"]}[has] == "only 1 is there"
            assert told["exit_code"] == 7
        assert told_as_done(shop) == []
        assert shop.shown() == lowered

    opened(tmp_path / "l.db", scene, mode=Mode.AUTO)


def test_what_is_one_pass_to_a_person_is_one_however_many_slices_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listed once, and put back whole by its own id, by that of any slice, or by that of the plan it carried out."""
    monkeypatch.setattr("reconcilerd.daemon.passes.SLICE_MS", 0)

    async def scene(shop: Shop) -> None:
        for of in ("pass", "slice", "plan"):
            plan = await shop.plan(fresh=True)
            assert len((await shop.apply(plan))["sent"]) == 6
            slices = [
                f
                for e in shop.ledger.entries()
                for f in e.facts
                if isinstance(f, PlanMade) and dict(f.verdicts).get(Verdict.SEND)
            ][-2:]
            listed = [each for each in (await shop.ask("passes", limit=1000))["passes"] if each["sent"]]
            assert (listed[0]["sent"], listed[0]["id"]) == (6, slices[0].id)
            assert (await shop.ask("passes", limit=1))["passes"] != []
            id_ = {"pass": listed[0]["id"], "slice": slices[1].id, "plan": plan["id"]}[of]
            told = await revert(shop, id_)
            assert (told["id"], len(told["sent"]), told["exit_code"]) == (slices[0].id, 6, 0), told
            assert {*shop.shown().values(), *shop.shown("b").values()} == {0}
            await shop.ask("unpin", sku="all", reason="again")
            reader = open_reader(tmp_path / "l.db")
            again = json.loads(printed(_replay, reader, id_, as_json=True))
            reader.close()
            assert (again["decisions"], again["groups"], again["corrections"]) == (2, 2, 6)
            assert (again["identical"], again["unproven"], again["exit_code"]) == (True, [], 0)

    opened(tmp_path / "l.db", scene)


def printed(what: Callable[..., int], *args: Any, **more: Any) -> str:
    out = StringIO()
    with redirect_stdout(out):
        what(*args, **more)
    return out.getvalue()


def test_what_one_pass_holds_is_approved_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconcilerd.daemon.passes.SLICE_MS", 0)

    async def scene(shop: Shop) -> None:
        (listed,) = [each for each in (await shop.ask("passes"))["passes"] if each["held"] == 6]
        assert (await shop.ask("approve", id=listed["id"], reason="go on"))["envelope"]["skus"] == ("a", "b")

    opened(tmp_path / "l.db", scene)


def test_pins_of_a_channel_that_does_not_exist_are_not_told_to_be_none(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await revert(shop, await applied(shop, sku="a", channel="shop-eu"))
        lift = {"op": "unpin", "sku": "a", "reason": "x"}
        told = await shop.ask(**lift, channel="shop-ue")
        assert (told["exit_code"], "no channel 'shop-ue'; known: " in told["error"]["message"]) == (6, True)
        told = await shop.ask(**lift, channel="shop-uk")
        assert (told["exit_code"], "'a' is pinned on shop-uk" in told["error"]["message"]) == (6, True)
        assert len((await shop.ask("pins"))["pins"]) == 1

    opened(tmp_path / "l.db", scene)


def test_a_listing_that_moved_since_is_left_alone_by_name(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        id_ = await applied(shop, sku="a")
        shop.stage.world.place_order("shop-uk", "77", [("a", 2)], shop.stage.clock())
        await anyio.sleep(200)
        told = await revert(shop, id_)
        skipped = {each["channel"]: each["why"] for each in told["skipped"]}
        assert skipped["shop-uk"] == "it shows 18, not the 20 that the pass wrote"
        assert (shop.shown()["shop-uk"], shop.shown()["shop-eu"]) == (18, 0)
        twice = await revert(shop, id_)
        assert (twice["exit_code"], twice["sent"], len(twice["skipped"])) == (7, [], 3)

    opened(tmp_path / "l.db", scene)


def test_a_revert_needs_a_pass_a_reason_and_a_bounded_time(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        assert (await revert(shop, "no such pass"))["exit_code"] == 6
        id_ = await applied(shop, sku="a")
        assert (await revert(shop, id_, reason=" "))["exit_code"] == 2
        assert (await revert(shop, id_, for_s=10**9))["exit_code"] == 2
        correction = next(
            f for e in shop.ledger.entries() for f in e.facts if isinstance(f, CorrectionPlanned)
        )
        assert (await revert(shop, correction.id))["exit_code"] == 6
        assert shop.shown() == SHARES

    opened(tmp_path / "l.db", scene)


def test_an_approval_is_listed_used_and_revoked_at_once(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        approved = await shop.ask("approve", id="a", reason="go on")
        id_ = approved["envelope"]["id"]
        await anyio.sleep(60)
        assert shop.shown() == SHARES
        (listed,) = (await shop.ask("envelopes"))["envelopes"]
        assert (listed["skus"], listed["used"], listed["by"], listed["revoked"]) == (["a"], 3, "uid 7", None)
        assert (await shop.ask("revoke", id=id_))["exit_code"] == 2
        assert (await shop.ask("revoke", id=id_, reason="enough"))["exit_code"] == 0
        shop.stage.world.set_quantity(shop.stage.item("shop-us", "a"), 1, shop.stage.clock())
        await anyio.sleep(600)
        assert shop.shown()["shop-us"] == 1
        assert (await shop.ask("revoke", id=id_, reason="enough"))["exit_code"] == 6
        assert (await shop.ask("revoke", id="nothing", reason="x"))["exit_code"] == 6

    async def after_a_restart(shop: Shop) -> None:
        await anyio.sleep(300)
        assert shop.shown()["shop-us"] == 1
        (listed,) = (await shop.ask("envelopes"))["envelopes"]
        assert listed["revoked"].endswith("by uid 7: enough")

    world = opened(tmp_path / "l.db", scene)
    opened(tmp_path / "l.db", after_a_restart, world=world, start=world.now, read_s=60)


def test_a_pass_is_approved_only_for_what_still_waits_of_it(tmp_path: Path) -> None:
    """Else an id of last week would release, for two hours, what nobody has looked at."""

    async def scene(shop: Shop) -> None:
        id_ = (await shop.ask("status"))["held_plan"]
        first = await shop.ask("approve", id=id_, reason="go on")
        assert first["envelope"]["skus"] == ("a", "b")
        await anyio.sleep(600)
        assert shop.shown() == SHARES
        again = await shop.ask("approve", id=id_, reason="go on")
        assert (again["exit_code"], "is held under" in again["error"]["message"]) == (6, True)
        shop.stage.world.damage("a", 20, shop.stage.clock())
        await shop.ask("revoke", id=first["envelope"]["id"], reason="done")
        await anyio.sleep(900)
        assert shop.shown() == SHARES, "the other way waits for its own word"
        assert (await shop.ask("approve", id=id_, reason="go on"))["exit_code"] == 6

    opened(tmp_path / "l.db", scene)


def test_what_waits_under_a_revoked_approval_is_not_sent(tmp_path: Path) -> None:
    """Revoked while a correction is in the queue of its channel: it never leaves."""

    async def scene(shop: Shop) -> None:
        daemon = shop.stage.built.daemon
        real = {name: executor.put for name, executor in daemon.executors.items()}
        queued: list[tuple[ChannelName, Any]] = []
        for channel, executor in daemon.executors.items():
            keep: Any = lambda batch, name=channel: queued.append((name, batch))  # noqa: E731
            executor.put = keep  # type: ignore[method-assign]
        id_ = (await shop.ask("approve", id="a", reason="go on"))["envelope"]["id"]
        await anyio.sleep(60)
        assert sum(len(batch) for _, batch in queued) == 3
        assert (await shop.ask("revoke", id=id_, reason="wait"))["exit_code"] == 0
        for name, batch in queued:
            real[name](batch)
        await anyio.sleep(60)
        assert set(shop.shown().values()) == {0}
        sent = [f for e in shop.ledger.entries() for f in e.facts if isinstance(f, CorrectionSent)]
        assert {(each.outcome, each.detail) for each in sent} == {
            (Outcome.NOT_SENT, "its approval was revoked")
        }

    opened(tmp_path / "l.db", scene)


def test_a_revocation_does_not_stop_a_plan_that_somebody_else_applies(tmp_path: Path) -> None:
    """Whoever applies a plan approves it; what was approved before is another matter."""

    async def scene(shop: Shop) -> None:
        id_ = (await shop.ask("approve", id="b", reason="go on"))["envelope"]["id"]
        plan = await shop.plan(sku="a")
        told: list[dict[str, Any]] = []

        async def apply() -> None:
            told.append(await shop.apply(plan))

        async with anyio.create_task_group() as group:
            group.start_soon(apply)
            await shop.ask("revoke", id=id_, reason="enough")
        assert told[0]["exit_code"] == 0
        assert shop.shown() == SHARES

    opened(tmp_path / "l.db", scene)


def test_the_word_of_a_plan_reaches_no_later_pass(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await applied(shop, sku="a")
        shop.stage.world.set_quantity(shop.stage.item("shop-us", "a"), 1, shop.stage.clock())
        await anyio.sleep(300)
        assert shop.shown()["shop-us"] == 1
        assert (await shop.ask("envelopes"))["envelopes"] == []
        held = {each["verdict"] for each in (await shop.plan(sku="a", fresh=True))["entries"]}
        assert held <= NEEDS_A_PERSON | {Verdict.HOLD_HEADROOM}

    opened(tmp_path / "l.db", scene)


def test_what_is_put_back_upwards_is_read_first_however_long_ago_it_was(tmp_path: Path) -> None:
    """A raise takes young readings: nobody has to try again until one happens to be."""

    async def scene(shop: Shop) -> None:
        await anyio.sleep(200)
        world, clock = shop.stage.world, shop.stage.clock
        world.damage("a", 20, clock())
        await anyio.sleep(900)
        id_ = await last_pass(shop)
        low = shop.shown()
        assert sum(low.values()) == 20
        world.receive("a", 1, 20, clock())
        told = await revert(shop, id_)
        assert told["held"] == [], told
        assert {each["outcome"] for each in told["sent"]} == {"confirmed"}, told
        assert shop.shown() == SHARES

    opened(tmp_path / "l.db", scene, mode=Mode.AUTO)
