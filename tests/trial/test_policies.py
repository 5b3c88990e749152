"""A policy is tried as it would be used: from a business in step, with its calendar, dates, rails and publishers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reconcilerd.cli.simulate import Ask, market_of
from reconcilerd.domain.names import Instant
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.shoppers import COLUMNS
from reconcilerd.trial.market import Market, open_doors
from reconcilerd.trial.run import Outcome, in_step, run_trial
from reconcilerd.trial.stage import START
from tests.cli.programs import run

SHIPPED = (Path(__file__).parents[2] / "config.toml").read_text("utf-8")
Tried = Callable[..., Market]


@pytest.fixture
def tried(tmp_path: Path) -> Tried:
    """The shipped configuration with more at its end, some words changed, and CSV files beside it."""

    def make(
        more: str = "", *changes: tuple[str, str], skus: int = 4, begins: Instant | None = None, **files: str
    ) -> Market:
        text, top = SHIPPED, ""
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        for name, rows in files.items():
            top += f'{name}_csv = "{name}.csv"\n'
            (tmp_path / f"{name}.csv").write_text(rows, "utf-8")
        config = tmp_path / "config.toml"
        config.write_text(f"{top}{text}\n{more}", "utf-8")
        return market_of(Ask(0.01, skus, 3, config, "none", None, begins=begins))(1)

    return make


def of(what: Market, seed: int = 1, hours: float = 0.25) -> Outcome:
    return run_trial(what, seed, hours)


def test_a_business_begins_with_what_its_policy_shows_whatever_the_rails_would_hold(tried: Tried) -> None:
    what = tried("", ("window_slots = 200", "window_slots = 1\nraise_ratio = 1\nraise_floor_units = 0"))
    shown = in_step(what)
    # Of the bundle as many as each warehouse can make up by itself.
    place = "gid://shopify/Location/101"
    assert {shown["shop-uk", place, kind.sku] for kind in what.kinds} == {20, 200, 9}
    score = of(what).score
    assert score.sold > 5
    assert score.refused == 0


def test_mode_observe_is_tried_on_a_business_that_sells(tried: Tried) -> None:
    outcome = of(tried("", ('mode = "auto"', 'mode = "observe"')))
    assert outcome.score.sold > 5
    assert outcome.score.writes == 0
    assert outcome.violations == ()


def test_a_sku_that_the_rules_name_is_not_made_a_second_time(tried: Tried) -> None:
    what = tried(rules="sku,protected\nSKU-02,yes\n")
    names = [kind.sku.casefold() for kind in what.kinds]
    assert names == ["sku-02", "sku-01", "sku-03", "set-01"]
    assert set(open_doors(what).products) == {"sku-02", "SKU-01", "SKU-03", "SET-01"}


def test_a_policy_is_tried_with_a_bundle_of_its_own_pool_where_its_rules_leave_room_for_one(
    tried: Tried,
) -> None:
    assert of(tried()).violations == ()
    assert tried().kinds[-1].bundle == (("SKU-01", 1), ("SKU-02", 2))
    assert not any(kind.bundle for kind in tried(skus=3).kinds)
    named = "sku,protected\n" + "".join(f"N-{number},no\n" for number in range(4))
    assert [kind.sku for kind in tried(rules=named).kinds] == ["n-0", "n-1", "n-2", "n-3"]


def test_where_extensiv_publishes_its_own_number_is_shown_and_pushed(tried: Tried) -> None:
    what = tried("", ('name = "shop-uk"', 'name = "shop-uk"\npublisher = "extensiv"'))
    items = open_doors(what).items_of("SKU-03")
    assert [(each.push, each.quantity) for each in items] == [(True, 200), (False, 0), (False, 0)]


def test_a_freeze_window_of_the_calendar_holds_in_a_trial(tried: Tried) -> None:
    """A reserve ends in the middle of it: what it frees is written once the window is over."""
    window = '[[freeze]]\ncron = "0 12 * * *"\nduration_s = 7200\ntimezone = "UTC"\nallow = ["lowers"]\n'
    reserve = "sku,units,until,purpose\nSKU-03,150,2010-12-05T12:15:00Z,press\n"
    within = of(tried(window, begins=START, reserves=reserve, skus=3))
    before = of(tried(window, begins=Instant(START - 4 * 3_600_000), reserves=reserve, skus=3))
    assert within.violations == before.violations == ()
    free = of(tried(begins=START, reserves=reserve, skus=3))
    assert free.violations == ()
    assert free.score.hidden < within.score.hidden
    assert free.score.writes > within.score.writes


def test_what_a_reserve_hid_until_a_moment_ago_is_shown_in_its_turn(tried: Tried) -> None:
    """It ends after ten minutes of reading, half an hour of trade and ten minutes of rest, when all is judged."""
    reserve = "sku,units,until\nSKU-01,15,2010-12-05T12:50:00Z\n"
    split = ('mode = "adaptive"', 'mode = "split"'), *THIRDS
    outcome = of(tried("", *split, begins=START, reserves=reserve, skus=3), hours=0.5)
    assert outcome.violations == ()
    assert outcome.rested


PLACE = '"gid://shopify/Location/101" = ["1", "2"] '


SEVERAL = (
    (PLACE, '"gid://shopify/Location/101" = ["1"], "gid://shopify/Location/55" = ["2", "3"] '),
    (
        '"gid://shopify/Location/102" = ["1", "2"] ',
        '"gid://shopify/Location/102" = ["1", "2"], "gid://shopify/Location/56" = ["3"] ',
    ),
)


@pytest.mark.parametrize("mode", ["adaptive", "shared"])
def test_a_listing_at_several_places_sells_what_there_is_and_no_unit_twice(tried: Tried, mode: str) -> None:
    what = tried("", *SEVERAL, ('mode = "adaptive"', f'mode = "{mode}"'))
    world = open_doors(what)
    assert set(world.places) == {1, 2, 3}
    assert [len(item.levels) for item in world.items_of("SKU-01")] == [2, 2, 1]
    for faults in ("none", "hostile"):
        outcome = run_trial(what, 1, 0.5, faults)
        assert outcome.violations == ()
        assert outcome.rested
        assert outcome.score.sold > 5
        assert outcome.self_made == 0


@pytest.mark.parametrize("name", ["main", "07", "٣"])
def test_a_warehouse_that_is_no_number_of_extensivs_is_refused(tried: Tried, name: str) -> None:
    with pytest.raises(ConfigFault, match=f"places draw on '{name}'; write warehouses by their numbers"):
        tried("", (PLACE, f'"gid://shopify/Location/101" = ["1", "{name}"] '))


@pytest.mark.parametrize(
    ("said", "mirror_s", "index_ms", "import_ms", "mirror_ms"),
    [
        ("", 1800, (0, 60_000), (30_000, 600_000), 900_000),
        ("order_lag_s = 20\nimport_max_s = 300\n", 600, (0, 20_000), (30_000, 300_000), 600_000),
        ("order_lag_s = 0.5\nimport_max_s = 10\n", 600, (0, 500), (10_000, 10_000), 600_000),
    ],
)
def test_a_business_is_no_later_than_its_policy_takes_for_granted(
    tried: Tried,
    said: str,
    mirror_s: int,
    index_ms: tuple[int, int],
    import_ms: tuple[int, int],
    mirror_ms: int,
) -> None:
    config = tried(
        "",
        ("sales_channel_id = 102", f"{said}sales_channel_id = 102"),
        ("mirror_max_s = 1800", f"mirror_max_s = {mirror_s}"),
    ).config
    assert (config.index_lag_ms, config.import_ms, config.mirror_ms) == (index_ms, import_ms, mirror_ms)


def test_dates_are_meant_for_now_and_without_dates_any_time_will_do(tried: Tried) -> None:
    assert tried().begins == START
    assert tried(reserves="sku,units,until\nMUG,1,2099-01-01T00:00:00Z\n").begins > START
    assert tried(begins=Instant(START + 1)).begins == START + 1


THIRDS = tuple((f"sales_channel_id = {n}", f"percent = 33\nsales_channel_id = {n}") for n in (101, 102, 103))
SOFT = """
[[demand]]
status = "AWAITING_SHIPMENT"
channel = "shop-uk"
firmness = "soft"
expires_s = 600
max_share_percent = 10
"""


def test_orders_that_policy_holds_back_only_in_part_are_no_violation(tried: Tried) -> None:
    assert of(tried(SOFT), hours=0.5).violations == ()


def test_what_is_declared_beyond_the_shelf_and_protected_and_reserved_is_no_violation(tried: Tried) -> None:
    outcome = of(
        tried(
            "",
            ('mode = "split"', 'mode = "split"\novercommit = 3'),
            begins=START,
            rules="sku,channel,pool,protected,minimum,percent\n"
            "SKU-01,,split,,,\nSKU-01,shop-uk,,,2,50\nSKU-01,shop-eu,,,1,30\nSKU-01,shop-us,,,,20\n"
            "SKU-04,,split,yes,,\nSKU-04,shop-uk,,,,40\nSKU-04,shop-eu,,,,30\nSKU-04,shop-us,,,,30\n",
            reserves="sku,units,until\nSKU-01,20,2010-12-05T12:20:00Z\nSKU-04,100,2010-12-05T12:20:00Z\n",
        )
    )
    assert outcome.violations == ()
    assert outcome.rested


def test_what_waits_for_a_person_is_at_rest_though_it_is_read_again_now_and_then(tried: Tried) -> None:
    outcome = of(tried("", ('mode = "auto"', 'mode = "guarded"'), skus=2), seed=4, hours=0.5)
    assert outcome.rested
    assert outcome.violations == ()
    assert outcome.held.keys() == {"hold_approval"}
    assert sum(outcome.held.values()) <= 6, "each listing once, of two SKUs on three channels"
    assert outcome.tripped == ()


def test_which_rails_a_person_would_have_to_reset_is_told(tried: Tried) -> None:
    """Somebody else writes what a listing shows, again and again: it is left alone until a person has looked."""
    outcome = run_trial(tried(skus=3), 9, 0.48, "foreign_writer:0.1")
    assert outcome.held.keys() == {"hold_tug_of_war"}
    assert {name.partition(":")[0] for name in outcome.tripped} == {"tug-of-war"}
    assert len(outcome.tripped) >= outcome.held["hold_tug_of_war"]


def test_what_waits_for_units_that_a_listing_of_extensivs_goes_on_showing_is_at_rest(tried: Tried) -> None:
    """Extensiv shows all of a split pool on one channel, and nobody lowers it: nothing is left for the others."""
    changes = ('name = "shop-uk"', 'name = "shop-uk"\npublisher = "extensiv"'), ("default = true", "")
    what = tried("", *changes, ('mode = "split"', 'mode = "split"\ndefault = true'), *THIRDS, skus=3)
    outcome = of(what, seed=4)
    assert outcome.rested
    assert outcome.violations == ()


def test_what_a_sliding_window_lets_go_as_it_moves_on_is_no_write_at_rest(tried: Tried) -> None:
    """Nine SKUs are free at once, and of each channel one listing may be raised in so long."""
    free = "sku,units,until\n" + "".join(f"SKU-0{n},15,2010-12-05T12:20:00Z\n" for n in range(1, 10))
    rails = ("window_slots = 200", "window_slots = 1\nwindow_s = 1200")
    outcome = of(tried("", rails, begins=START, reserves=free, skus=9), seed=4)
    assert outcome.rested
    assert outcome.violations == ()


def test_when_it_began_is_told_where_it_matters(tmp_path: Path) -> None:
    asked = (
        "simulate",
        "--days",
        "0.01",
        "--skus",
        "1",
        "--channels",
        "1",
        "--from",
        "2026-11-27T09:00:00+01:00",
    )
    done = run(tmp_path, *asked, "--json")
    assert json.loads(done.stdout)["from"] == "2026-11-27T08:00:00Z"


def test_a_policy_is_tried_in_several_seeds_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(SHIPPED, "utf-8")
    asked = ("--policy", "config.toml", "--seeds", "1..2", "--days", "0.02", "--skus", "3", "--json")
    done = run(tmp_path, "simulate", *asked)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["seeds"], told["violations"]) == ([1, 2], [])
    one = json.loads(run(tmp_path, "simulate", *asked[:2], "--seed", "1", *asked[4:]).stdout)
    assert 0 < one["orders"] < told["orders"]


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "simulate", "--from", "2026-11-27T08:00:00")
    assert done.returncode == 2
    assert "write it like 2026-11-27T08:00:00Z" in done.stderr


def test_codes_that_differ_only_in_case_are_one_sku_of_the_orders_that_are_replayed(tmp_path: Path) -> None:
    rows = "".join(
        f"{n},{code},Mug,1,2011-01-01T10:0{n}:00Z,1,UK\n" for n, code in enumerate(["a1", "A1", "b"])
    )
    orders = tmp_path / "orders.csv"
    orders.write_text(f"{','.join(COLUMNS)}\n{rows}", "utf-8")
    what = market_of(Ask(0.05, 3, 3, None, "none", orders))(1)
    assert [kind.sku for kind in what.kinds] == ["a1", "b"]
    assert of(what).score.sold == 3


def orders_of(tmp_path: Path, rows: str) -> Path:
    """An orders CSV with these rows."""
    orders = tmp_path / "orders.csv"
    orders.write_text(f"{','.join(COLUMNS)}\n{rows}", "utf-8")
    return orders


def test_orders_of_postage_alone_are_refused(tmp_path: Path) -> None:
    orders = orders_of(tmp_path, "1,POST,Postage,1,2011-01-01T10:00:00Z,18,UK\n")
    with pytest.raises(ConfigFault, match="sell no product"):
        market_of(Ask(0.05, 3, 3, None, "none", orders))


def test_however_much_an_order_asks_for_there_is_no_more_than_anybody_believes(tmp_path: Path) -> None:
    orders = orders_of(
        tmp_path,
        "1,A1,Mug,999999999,2011-01-01T10:00:00Z,1,UK\n2,A1,Mug,5,2011-01-01T10:05:00Z,1,UK\n",
    )
    outcome = of(market_of(Ask(0.05, 3, 3, None, "none", orders))(1))
    assert outcome.score.sold > 5
    assert outcome.violations == ()


def test_orders_whose_cells_are_separated_otherwise_are_told_so(tmp_path: Path) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text(f"{';'.join(COLUMNS)}\n1;A1;Mug;1;2011-01-01T10:00:00Z;1;UK\n", "utf-8")
    with pytest.raises(ConfigFault, match="separated by commas"):
        market_of(Ask(0.05, 3, 3, None, "none", orders))
