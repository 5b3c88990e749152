"""``reconcile --sku`` as a person reads it: every kind of SKU, at several widths, whole and true."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from reconcilerd.cli import render
from reconcilerd.daemon.answers import Answers
from reconcilerd.domain.facts import FreezeSet, PlanMade
from reconcilerd.domain.names import FeedName
from reconcilerd.simulator.stores import Product
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import Stage, play, policy, small_world

WIDTHS = (60, 80, 100, 120)
Ask = Callable[[str], dict[str, Any]]


def answers_of(stage: Stage) -> Answers:
    """Answers of the stage's daemon, with history from its journal."""

    def history(kind: str, about: str, limit: int) -> list[Any]:
        found = [fact for fact in stage.journal.facts if (fact.kind, fact.about) == (kind, about)]
        return [(1, stage.clock(), fact) for fact in reversed(found)][:limit]

    async def carry() -> None:
        for executor in stage.built.daemon.executors.values():
            await executor.drained()

    return Answers(stage.built.daemon, stage.built.stock, stage.built.channels, history, carry)


@pytest.fixture(scope="module")
def sheets() -> dict[str, dict[str, Any]]:
    """What is answered for each kind of SKU, in one business at rest but for what is frozen."""
    told: dict[str, dict[str, Any]] = {}

    async def scene(stage: Stage) -> None:
        answers = answers_of(stage)
        await anyio.sleep(400)
        stage.world.place_order("shop-uk", "77", [("POST", 1)], stage.clock())
        await stage.built.daemon.desk.take([FreezeSet("shop-eu", True, "test", "on purpose", stage.clock())])
        stage.world.set_quantity(stage.item("shop-eu", "drifting"), 93, stage.clock())
        await anyio.sleep(400)
        for sku in ("sound", "drifting", "SET", "pushed", "nobody", "POST"):
            told[sku] = await answers.answer({"op": "reconcile", "skus": [sku]}, "test")
        told["all"] = await answers.answer({"op": "reconcile", "all": True}, "test")
        await anyio.lowlevel.checkpoint()

    world = small_world(WorldConfig(), split=False, skus=("sound", "drifting", "pushed"))
    world.add_product(Product(9, "SET", "Set of two", (("sound", 2), ("drifting", 1))))
    for store in world.stores:
        world.add_item(store, "SET", 0)
        item = next(each for each in world.stores[store].items.values() if each.sku == "pushed")
        item.push = True
    play(world, policy(split=False), scene)
    return told


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("sku", ["sound", "drifting", "SET", "pushed", "all"])
def test_no_line_is_wider_than_asked_and_no_sku_is_cut(
    sheets: dict[str, dict[str, Any]], sku: str, columns: int
) -> None:
    text = render.sheets(sheets[sku], min(columns, render.WIDEST))
    too_wide = [line for line in text.splitlines() if len(line) > columns]
    assert too_wide == []
    for one in sheets[sku]["skus"]:
        assert one["sku"] in text
        assert all(row["channel"] in text for row in one["channels"])


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_refusal_fits_too_loses_no_word_and_keeps_what_is_set_in(columns: int) -> None:
    fault = "channel 'shop-uk' draws on a warehouse that no listing of it was ever read from; name another or none"
    said = render.refusal(f"the configuration has faults:\n  config.toml:12: {fault}", columns)
    first, *rest = said.split("\n")
    assert first == "reconcilerd: the configuration has faults:"
    assert rest[0].startswith("  config.toml:12: ")
    assert all(line.startswith("    ") for line in rest[1:])
    assert max(map(len, rest)) <= columns
    assert " ".join(" ".join(rest).split()) == f"config.toml:12: {fault}"


def test_a_sound_sku_is_in_step(sheets: dict[str, dict[str, Any]]) -> None:
    answer = sheets["sound"]
    assert answer["exit_code"] == 0
    assert [row["observed"] for row in answer["skus"][0]["channels"]] == [100, 100, 100]
    text = render.sheets(answer, 80)
    assert "in step" in text
    assert "WOULD DO  nothing" in text
    assert "shares stock with drifting, set" in text


def test_a_drifting_sku_says_where_by_how_much_why_and_what_holds_it(
    sheets: dict[str, dict[str, Any]],
) -> None:
    answer = sheets["drifting"]
    assert answer["exit_code"] == 3
    [drift] = [row for row in answer["skus"][0]["channels"] if row["difference"]]
    assert (drift["channel"], drift["desired"], drift["observed"], drift["difference"]) == (
        "shop-eu",
        100,
        93,
        7,
    )
    text = render.sheets(answer, 80)
    assert "+7" in text
    assert "held" in text
    assert "93 -> 100  held: writes are frozen by a person; reconcilerd unfreeze" in text
    assert "Apply:" not in text
    assert "Why: reconcilerd explain --sku drifting" in text


def test_places_of_one_listing_are_told_apart(sheets: dict[str, dict[str, Any]]) -> None:
    answer = deepcopy(sheets["drifting"])
    (sheet,) = answer["skus"]
    (eu,) = (row for row in sheet["channels"] if row["channel"] == "shop-eu")
    beside = {**eu, "place": "gid://shopify/Location/77", "observed": 0, "desired": 0, "difference": 0}
    sheet["channels"].append(beside)
    text = render.sheets(answer, 100)
    assert "shop-eu at 102 " in text
    assert "shop-eu at 77 " in text
    assert "shop-eu at 102  93 -> 100" in text
    assert "shop-uk at" not in text
    for action in sheet["would_do"]:
        del action["place"]
    assert "shop-eu  93 -> 100" in render.sheets(answer, 100), "of a daemon that tells no places"


def test_a_bundle_names_its_components_and_their_stock(sheets: dict[str, dict[str, Any]]) -> None:
    text = render.sheets(sheets["SET"], 100)
    assert "bundle of 1 x drifting, 2 x sound" in text
    # 75 and 25 units lie in two places, and a set ships from one: 37 there and 12 here.
    assert {row["desired"] for row in sheets["SET"]["skus"][0]["channels"]} == {49}


def test_a_pushed_listing_is_told_to_be_extensivs(sheets: dict[str, dict[str, Any]]) -> None:
    text = render.sheets(sheets["pushed"], 100)
    assert "Extensiv pushes" in text
    assert "held: Extensiv pushes its own number; switch the push off there" in text


@pytest.mark.parametrize(
    ("sku", "said"),
    [
        ("nobody", "no SKU or listing 'nobody' is known; it may be new, misspelled, or mapped nowhere"),
        ("POST", "'POST' is no SKU: order 77 sells 'post', which no listing in Extensiv maps; map it there"),
    ],
)
def test_what_is_no_sku_is_told_so(sheets: dict[str, dict[str, Any]], sku: str, said: str) -> None:
    assert sheets[sku] == {"error": {"message": said, "exit_code": 6}, "exit_code": 6}


def test_all_shows_only_what_differs(sheets: dict[str, dict[str, Any]]) -> None:
    assert {one["sku"] for one in sheets["all"]["skus"]} == {"drifting", "pushed"}
    assert "4 SKUs looked at, 2 differ." in render.sheets(sheets["all"], 80)


def test_what_the_daemon_corrects_while_it_is_asked_is_read_back_and_told() -> None:
    told: list[dict[str, Any]] = []

    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        stage.world.set_quantity(stage.item("shop-uk", "sound"), 400, stage.clock())
        answers = answers_of(stage)
        while not told or not told[-1]["corrected"]:
            told.append(await answers.answer({"op": "reconcile", "skus": ["sound"], "fresh": True}, "test"))

    play(small_world(WorldConfig(), split=False, skus=("sound",)), policy(split=False), scene)
    last = told[-1]
    assert [(each["channel"], each["from"], each["to"]) for each in last["corrected"]] == [
        ("shop-uk", 400, 100)
    ]
    assert last["exit_code"] == 0
    assert "Corrected meanwhile by the daemon, and read back: shop-uk 400 -> 100" in render.sheets(last, 80)
    for each in told[:-1]:
        assert each["exit_code"] == 3, "either it differs, or it was corrected and that is said"


def test_where_everything_is_held_nothing_is_said_to_be_written() -> None:
    told: list[dict[str, Any]] = []

    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        await stage.built.daemon.desk.take([FreezeSet("", True, "test", "stop", stage.clock())])
        stage.world.set_quantity(stage.item("shop-uk", "sound"), 90, stage.clock())
        for sku in ("sound", "other"):
            request = {"op": "reconcile", "skus": [sku], "apply": True}
            told.append(await answers_of(stage).answer(request, "test"))

    play(small_world(WorldConfig(), split=False, skus=("sound", "other")), policy(split=False), scene)
    assert [(each["exit_code"], each["corrected"]) for each in told] == [(7, []), (0, [])]
    assert all("Nothing was written." in render.sheets(each, 80) for each in told)


def test_where_the_catalogue_was_never_read_nobody_says_that_all_is_well() -> None:
    told: list[int] = []

    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        answers, daemon = answers_of(stage), stage.built.daemon
        del daemon.desk.book.sweeps[FeedName("extensiv.products")]
        asked: tuple[dict[str, Any], ...] = ({"all": True}, {"skus": ["sound"]}, {"skus": ["nobody"]})
        for _ in range(2):
            told.extend(
                [(await answers.answer({"op": "reconcile", **each}, ""))["exit_code"] for each in asked]
            )
            await daemon.health.denied("extensiv", "extensiv.products", "answered 401")

    play(small_world(WorldConfig(), split=False, skus=("sound",)), policy(split=False), scene)
    assert told == [5, 5, 5, 4, 4, 4]


def test_one_channel_asked_for_is_all_that_is_shown(sheets: dict[str, dict[str, Any]]) -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        request = {"op": "reconcile", "skus": ["sound"], "channel": "shop-eu"}
        answer = await answers_of(stage).answer(request, "test")
        assert [row["channel"] for row in answer["skus"][0]["channels"]] == ["shop-eu"]

    play(small_world(WorldConfig(), split=False, skus=("sound",)), policy(split=False), scene)


def test_what_was_last_read_too_long_ago_is_not_said(sheets: dict[str, dict[str, Any]]) -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        stage.business.faults.rates = {}
        stage.built.daemon.desk.clock = lambda: type(stage.clock())(stage.clock() + 3_600_000)
        old = await answers_of(stage).answer({"op": "reconcile", "skus": ["sound"]}, "test")
        assert old["exit_code"] == 5
        assert "too long ago to say; try --fresh" in render.sheets(old, 80)

    play(small_world(WorldConfig(), split=False, skus=("sound",)), policy(split=False), scene)


def test_a_held_plan_is_approved_by_its_own_id_and_then_goes() -> None:
    approved: list[dict[str, Any]] = []

    async def scene(stage: Stage) -> None:
        await anyio.sleep(300)
        stage.world.damage("a", 4900, stage.clock())
        await anyio.sleep(1300)
        answers = answers_of(stage)
        status = await answers.answer({"op": "status"}, "test")
        assert status["waiting_for_approval"] == 3
        assert status["held_plan"] in {fact.id for fact in stage.journal.facts if isinstance(fact, PlanMade)}
        assert "3 corrections wait: reconcilerd approve held --reason ..." in render.status(status, 80)
        for reason, name in (("", status["held_plan"]), ("counted it", "no-such-plan")):
            refused = await answers.answer({"op": "approve", "id": name, "reason": reason}, "test")
            assert refused["exit_code"] in {2, 6}
        request = {"op": "approve", "id": status["held_plan"], "reason": "counted it"}
        approved.append(await answers.answer(request, "test"))
        await anyio.sleep(300)

    world = small_world(WorldConfig(), split=False, units=100)
    main = world.bins["a", 1]
    main.on_hand = main.copied = 4975
    stage = play(world, policy(split=False), scene)
    assert approved[0]["envelope"]["direction"] == "lower"
    assert max(stage.shown("a").values()) <= 100
