"""The benchmark itself: its worlds exist by name, a seed replays, rows and bars say what happened."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from reconcilerd.domain.names import Instant
from reconcilerd.domain.policy import PoolMode
from reconcilerd.errors import ConfigFault
from tests.oversell.__main__ import main
from tests.oversell.policies import IN_FLIGHT, OMNISCIENT, POLICIES, Run, named, run, turn
from tests.oversell.report import HEAD, WIDTH, Row, Verdict, as_json, as_text, judge, rows_of
from tests.oversell.untold import Untold
from tests.oversell.worlds import chosen, settings

MINUTES = 0.25
KEYS = {
    "policy",
    "world",
    "oversold_units",
    "self_made",
    "refused_sales",
    "hidden_unit_minutes",
    "writes_per_sale",
}


def row(policy: str, world: str = "w", oversold: float = 0.0, hidden: float = 0.0, made: float = 0.0) -> Row:
    return Row(policy, world, 20, oversold, made, 0.0, hidden, 1.0)


def missed(*rows: Row, scarce: frozenset[str] = frozenset()) -> list[str]:
    return [each.bar for each in judge(rows, scarce) if not each.met]


def test_every_world_has_a_name_of_its_own_and_fits_its_policy() -> None:
    every = settings()
    assert len({each.name for each in every}) == len(every)
    for each in every:
        policy = each.policy()
        assert {rule.poll_ms for rule in policy.channels.values()} == {each.poll_s * 1000}
        assert {rule.order_lag_ms for rule in policy.channels.values()} == {each.lag_s * 1000}
        split = policy.pools[policy.sku_rule(next(iter(policy.skus))).pool].mode is PoolMode.SPLIT
        assert split == (each.pool == "split")
        assert each.world(1).shippable(each.kinds[0].sku) == each.kinds[0].units


def test_worlds_are_chosen_by_how_their_names_begin() -> None:
    assert len(chosen(["scarce"])) == 12
    assert [each.name for each in chosen(["black-friday", "scarce-split-60-120"])] == [
        "scarce-split-60-120",
        "black-friday",
    ]
    assert chosen([]) == settings()
    with pytest.raises(ConfigFault, match="no world begins so"):
        chosen(["scarce", "moon"])


def test_a_store_learns_of_nothing_the_policy_does_not_say() -> None:
    """The daemon is told each store's traits as a configuration would tell them; they are true."""
    setting = chosen(["scarce-split-60-120"])[0]
    world, policy = setting.world(1), setting.policy()
    for name, rule in policy.channels.items():
        store = world.stores[name]
        assert (store.compares, store.read_lag_ms) == (rule.compare_and_set, rule.read_lag_ms)
        assert store.apply_ms[1] <= rule.apply_max_ms


@pytest.mark.parametrize("policy", POLICIES)
def test_a_quarter_of_an_hour_under_each_policy_replays_exactly(policy: str) -> None:
    setting = replace(chosen(["scarce-adaptive-60-20"])[0], hours=MINUTES)
    first = run(setting, policy, 3)
    assert first == run(setting, policy, 3)
    assert first.sold > 2, "a world in which nothing happens proves nothing"
    assert first.writes > 0
    assert first.policy == named(setting, policy)
    assert first.broken == ()


def test_whoever_knows_the_truth_hides_less_than_whoever_reads() -> None:
    setting = replace(chosen(["hot-split-60-120"])[0], hours=0.5)
    knows, reads = run(setting, OMNISCIENT, 1), run(setting, IN_FLIGHT, 1)
    assert knows.hidden < reads.hidden / 2
    assert knows.oversold <= reads.oversold
    assert reads.self_made > knows.self_made == 0, "every program's raises are judged"


def test_hidden_units_of_which_no_system_tells_are_counted_apart() -> None:
    world = chosen(["quiet-scarce-split"])[0].world(1)
    assert Untold(world).units() == 0
    world.receive("a", 1, 3, world.now)
    assert world.tally.hidden_now() == {"a": 3}
    assert Untold(world).units() == 0, "Extensiv counts there itself"
    world.receive("a", 2, 5, world.now)
    assert Untold(world).units() == 5, "of what is only copied nobody hears before it is copied again"
    world.advance(Instant(world.now + 3_600_000))
    assert Untold(world).units() == 0


def test_units_of_a_parcel_that_left_unheard_are_told_once_it_is_heard_of() -> None:
    world = chosen(["quiet-scarce-split"])[0].world(1)
    order = world.place_order("shop-uk", "1", [("a", 4)], world.now)
    assert order is not None
    assert Untold(world).units() == 0, "sold is not hidden"
    world.advance(Instant(world.now + 86_400_000))
    assert (order.ext_status, order.shipped is None) == ("SHIPPED", False)
    assert Untold(world).units() == 0
    order.ext_status = "AWAITING_SHIPMENT"
    store = world.stores["shop-eu"]
    world.set_quantity(store.by_sku["a"], 0, world.now)
    assert world.tally.hidden_now() == {"a": 6}
    assert Untold(world).units() == 4


def test_an_adaptive_pool_that_turns_is_measured_as_what_it_is() -> None:
    world = chosen(["scarce-adaptive-60-120"])[0].world(1)
    assert world.tally.exposed_now == 0
    turn(world, "a", scarce=True, now=world.now)
    assert world.tally.exposed_now == 40, "three stores show 20 units each"


def test_rows_are_means_of_a_run_and_name_the_seeds_that_oversold() -> None:
    runs = [
        Run("w", "reconcilerd-split", seed, over, 1, 2, 30.0, 10, 5)
        for seed, over in ((1, 0), (2, 3), (3, 6))
    ]
    (only,) = rows_of(runs)
    assert (only.seeds, only.oversold, only.self_made, only.refused, only.hidden) == (3, 3.0, 1.0, 2.0, 30.0)
    assert only.writes_per_sale == 2.0
    assert only.worst == (3, 2)


def test_bars_are_held_against_in_flight() -> None:
    theirs = row(IN_FLIGHT, oversold=2.0, hidden=100.0)
    assert missed(row("reconcilerd-split", oversold=0.7, hidden=115.0, made=0.5), theirs) == []
    assert missed(row("reconcilerd-split", oversold=0.75, hidden=116.0, made=0.55), theirs) == [
        "oversold",
        "hidden",
        "self-made",
    ]


def test_where_in_flight_oversells_nothing_ours_may_next_to_nothing() -> None:
    theirs = row(IN_FLIGHT, hidden=1.0)
    assert missed(row("reconcilerd-split"), theirs) == []
    assert missed(row("reconcilerd-split", oversold=0.05), theirs) == ["oversold"]


def test_quiet_worlds_and_adaptive_pools_have_bars_of_their_own() -> None:
    assert missed(row("reconcilerd-split", "quiet-scarce-split", oversold=0.05)) == ["quiet"]
    shared = row("reconcilerd-shared", "scarce-shared-60-20", oversold=1.0)
    good, bad = (row("reconcilerd-adaptive", "scarce-adaptive-60-20", oversold=each) for each in (0.3, 0.4))
    scarce = frozenset({"scarce-adaptive-60-20", "scarce-shared-60-20"})
    assert missed(shared, good, scarce=scarce) == []
    assert missed(shared, bad, scarce=scarce) == ["adaptive"]
    assert missed(shared, bad) == []


def test_a_broken_invariant_is_a_missed_bar() -> None:
    broken = replace(row("reconcilerd-split"), broken=("seed 4: I3",))
    assert missed(broken) == ["invariants"]


def _printed() -> tuple[Sequence[Row], Sequence[Verdict]]:
    rows = [
        row("reconcilerd-adaptive", "hotscarce-adaptive-60-120", 12.5, 12345.0),
        row(IN_FLIGHT, "hotscarce-adaptive-60-120", 0.0, 12345.0),
    ]
    return rows, judge(rows)


def test_the_table_fits_a_hundred_columns_and_says_what_is_missed() -> None:
    rows, verdicts = _printed()
    lines = as_text(rows, verdicts).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[0] == HEAD
    assert any(line.startswith("MISS oversold") for line in lines)
    assert lines[-1] == "2 of 3 bars met"


def test_the_json_holds_the_rows_with_their_keys() -> None:
    told = json.loads(as_json(*_printed()))
    assert all(set(each) >= KEYS for each in told["rows"])
    assert [each["met"] for each in told["verdicts"]] == [False, True, True]


def test_worlds_are_listed_and_bad_arguments_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--world", "quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("quiet-scarce-split ")
    assert main(["--list"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= WIDTH
    assert main(["--list", "--world", "quiet-scarce-split", "--world", "hot-split-60-120"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    bad_ones = (
        ["--world", "moon"],
        ["--seeds", "0"],
        ["--seed", "-1"],
        ["--policy", "luck"],
        ["--polic", "blind"],
    )
    for bad in (*bad_ones, ["--seed", "1", "--seeds", "3"]):
        with pytest.raises(SystemExit):
            main(bad)
