"""How rules of exposure are written down: each key and column, and every combination that cannot be meant."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconcilerd.config.load import parse
from reconcilerd.config.policy import policy_of
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, parse_instant
from reconcilerd.domain.policy import (
    Costs,
    DemandRule,
    Firmness,
    Inbound,
    Policy,
    PoolMode,
    Reserve,
    Velocity,
)
from reconcilerd.errors import ConfigFault

ROOT = Path(__file__).parents[2]
UK = ChannelName("shop-uk")
NOW = parse_instant("2030-01-01T00:00:00Z")
LATER, SOONER = "2030-02-01T00:00:00Z", "2029-12-01T00:00:00+01:00"
Change = Callable[[dict[str, Any]], object]


def content() -> dict[str, Any]:
    return tomllib.loads((ROOT / "config.toml").read_text("utf-8"))


def faults_of(change: Change) -> list[str]:
    changed = content()
    change(changed)
    with pytest.raises(ConfigFault) as caught:
        parse(changed, "config.toml")
    return [each.removeprefix("config.toml: ") for each in caught.value.faults]


def channel(number: int = 0, **keys: object) -> Change:
    return lambda changed: changed["channels"][number].update(keys)


def pool(number: int = 0, **keys: object) -> Change:
    return lambda changed: changed["pools"][number].update(keys)


def both(*changes: Change) -> Change:
    return lambda changed: [change(changed) for change in changes]


def demand(**keys: object) -> Change:
    return lambda changed: changed.setdefault("demand", []).append(keys)


WEIGHTS = [channel(number, weight=number + 1) for number in range(3)]
OVER = {"minimum": 3}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            pool(scarcity_switch=True),
            'pools[0].scarcity_switch: no such key any more; did you mean mode = "adaptive"? It is shared and turns '
            'split while nearly sold out; mode = "shared" never does',
        ),
        (
            pool(mode="adaptve"),
            "pools[0].mode: input should be 'shared', 'split' or 'adaptive' (got 'adaptve'); "
            "did you mean 'adaptive'?",
        ),
        (pool(overcommit=-1), "pools[0].overcommit: input should be greater than or equal to 0 (got -1)"),
        (channel(weight=0), "channels[0].weight: input should be greater than or equal to 1 (got 0)"),
        (channel(wieght=1), "channels[0].wieght: no such key; did you mean 'weight'?"),
        (
            channel(weight=2),
            "channels.weight: some channels have one, but not shop-eu, shop-us; give all of them one, or none",
        ),
        (channel(tier=2), "channels[0].tier: needs a weight: within a tier units are divided by weight"),
        (
            both(*WEIGHTS, channel(1, tier=2)),
            "channels.tier: the default pool would never reach tier 2: shop-uk in tier 1 takes all there is; give it "
            "a cap, a max or a percent below 100",
        ),
        (
            channel(minimum=3),
            "channels.minimum: shop-uk shows one, and the default pool 'shared' has no overcommit: say how many units "
            "that are not there it may show, or use floor",
        ),
        (
            both(pool(overcommit=3), channel(minimum=3, cap=2)),
            "channels[0].minimum: 3 is above the cap of 2",
        ),
        (channel(floor=3, cap=2), "channels[0].floor: 3 is above the cap of 2"),
        (
            channel(cost_oversold=5),
            "channels[0].cost_hidden_day: is missing; only the ratio of both costs says anything",
        ),
        (
            channel(cost_oversold=0, cost_hidden_day=3),
            "channels[0].cost_oversold: input should be greater than or equal to 1 (got 0)",
        ),
        (
            lambda changed: changed.update(velocity={"window_s": 604_801}),
            "velocity.window_s: input should be less than or equal to 604800 (got 604801)",
        ),
        (
            demand(status="ON_HOLD", firmness="softish"),
            "demand[0].firmness: input should be 'firm', 'soft' or 'ignored' (got 'softish'); did you mean 'soft'?",
        ),
        (
            demand(status="ON_HOLD", firmness="soft", expires_s=5),
            "demand[0].max_share_percent: is missing; soft demand needs an end and a share",
        ),
        (
            demand(status="ON_HOLD", firmness="ignored", expires_s=5),
            "demand[0].expires_s: belongs to firmness soft; take it out, or set that",
        ),
        (
            demand(status="AWAITING_PAYMNT", firmness="ignored"),
            "demand[0].status: no such status (got 'AWAITING_PAYMNT'); did you mean 'AWAITING_PAYMENT'?",
        ),
        (
            demand(status="on hold", firmness="ignored"),
            "demand[0].status: a status in capitals as the source writes it, e.g. AWAITING_PAYMENT (got 'on hold')",
        ),
        (
            demand(status="UNFULFILLED", firmness="ignored"),
            "demand[0].firmness: every order passes through UNFULFILLED; ignoring it would sell its units again",
        ),
        (
            demand(status="SHIPPED", firmness="ignored"),
            "demand[0].status: SHIPPED is no open order: it takes nothing off the shelf by being firm or soft",
        ),
        (
            demand(channel="shop-ukk", status="ON_HOLD", firmness="ignored"),
            "demand[0].channel: no channel 'shop-ukk'; did you mean 'shop-uk'?",
        ),
        (
            both(demand(status="ON_HOLD", firmness="ignored"), demand(status="ON_HOLD", firmness="firm")),
            "demand[1].status: ('', 'ON_HOLD') is that of demand[0] already",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(change: Change, said: str) -> None:
    assert faults_of(change) == [said]


def test_what_is_written_reaches_the_policy() -> None:
    changed = content()
    both(
        *WEIGHTS,
        channel(0, tier=1, priority=2, cap=9, minimum=1, cost_oversold=30, cost_hidden_day=2),
        channel(1, tier=2, percent=100.0),
        channel(2, tier=2),
        pool(overcommit=4),
        demand(status="AWAITING_PAYMENT", firmness="soft", expires_s=60, max_share_percent=12.5),
        demand(channel="extensiv-105", status="ON_HOLD", firmness="ignored"),
        demand(channel="shop-uk", status="QUOTED", firmness="firm"),
        lambda c: c.update(velocity={"window_s": 7200, "prior_s": 600}),
        lambda c: c["limits"].update(announce_percent=12.5, announce_units=4),
    )(changed)
    made = policy_of(parse(changed, "config.toml"), ROOT)
    uk = made.channels[UK]
    assert (uk.offer.weight, uk.offer.tier, uk.offer.priority, uk.offer.minimum) == (1, 1, 2, 1)
    assert uk.costs == Costs(30, 2)
    assert made.channels[ChannelName("shop-us")].costs is None
    assert (made.pools["shared"].mode, made.pools["shared"].overcommit) == (PoolMode.ADAPTIVE, 4)
    assert made.velocity == Velocity(7_200_000, 600_000)
    assert (made.limits.announce_permille, made.limits.announce_units) == (125, 4)
    soft = DemandRule(Firmness.SOFT, 60_000, 125)
    assert made.demand_rule(UK, "AWAITING_PAYMENT") == soft
    assert made.demand_rule(ChannelName("extensiv-105"), "ON_HOLD").firmness is Firmness.IGNORED
    assert made.demand_rule(UK, "ON_HOLD") == DemandRule()


def sheets(folder: Path, now: Instant | None = NOW, mode: str = "adaptive", /, **texts: str) -> Policy:
    changed = content()
    changed["pools"][0] |= {"mode": mode}
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text, "utf-8")
        changed[f"{name}_csv"] = f"{name}.csv"
    return policy_of(parse(changed, "config.toml"), folder, now)


def refused(folder: Path, *, mode: str = "adaptive", **texts: str) -> list[str]:
    with pytest.raises(ConfigFault) as caught:
        sheets(folder, NOW, mode, **texts)
    return list(caught.value.faults)


ROW = "sku,channel,weight,tier,priority,pot,minimum,preorder,cap,max,managed\n"
THREE = "A,shop-uk,1,1,,,,,,,\nA,shop-eu,1,2,,,,,,,\nA,shop-us,1,2,,,,,,,\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            ROW + "A,shop-uk,0,,,,,,,,\n",
            "rules.csv:2: weight: a whole number from 1 to 1000000 (got '0')",
        ),
        (ROW + "A,,1,,,,,,,,\n", "rules.csv:2: weight: belongs to a listing: put it in a row with a channel"),
        (
            ROW + "A,shop-uk,1,,,,,,,,\n",
            "rules.csv:2: weight: 'a' has one on some channels, but not on shop-eu, shop-us; give all of them one, "
            "or none",
        ),
        (
            ROW + "A,shop-uk,,2,,,,,,,\n",
            "rules.csv:2: tier: needs a weight: within a tier units are divided by weight",
        ),
        (
            ROW + THREE,
            "rules.csv:2: tier: 'a' would never reach tier 2: shop-uk in tier 1 takes all there is; give it a cap, a "
            "max or a percent below 100",
        ),
        (
            ROW + "A,shop-uk,,,,,2,,,,\n",
            "rules.csv:2: minimum: the pool 'shared' of 'a' has no overcommit: say how many units that are not there "
            "it may show, or use floor",
        ),
        (ROW + "A,shop-uk,,,,9,,,8,,\n", "rules.csv:2: pot: 9 is above the cap of 8"),
        (ROW + "A,shop-uk,,,,9,,,,8,\n", "rules.csv:2: pot: 9 is above the max of 8"),
        (
            ROW + "A,shop-uk,,,,9,,,,,no\n",
            "rules.csv:2: pot: the listing is not managed: nothing set aside for it could ever be shown",
        ),
        (
            ROW + "A,shop-uk,,,,1000000000,,,,,\nA,shop-eu,,,,1,,,,,\n",
            "rules.csv:2: pot: the pots of 'a' add up to 1000000001, more than any stock can hold (1000000000)",
        ),
        (ROW + "A,shop-uk,,,,,,maybe,,,\n", "rules.csv:2: preorder: yes or no (got 'maybe')"),
        (
            "sku,channel,prioritty\nA,shop-uk,1\n",
            "rules.csv:1: no such column 'prioritty'; did you mean 'priority'?",
        ),
    ],
)
def test_rules_that_cannot_be_meant_are_told_with_line_and_column(
    tmp_path: Path, text: str, said: str
) -> None:
    assert refused(tmp_path, rules=text) == [said]


def test_what_a_pool_that_never_splits_would_ignore_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, mode="shared", rules=ROW + "A,shop-uk,1,,2,,,,,,\n") == [
        f"rules.csv:2: {column}: 'a' is in the shared pool 'shared', which never splits; "
        'use a pool with mode = "adaptive" or "split"'
        for column in ("priority", "weight")
    ]


def test_weights_need_not_add_up_and_take_a_maximum_in_a_split_pool(tmp_path: Path) -> None:
    rows = "A,shop-uk,split,7,30\nA,shop-eu,,5,\nA,shop-us,,1,\n".replace("split,", ",", 1)
    made = sheets(tmp_path, rules="sku,channel,pool,weight,max\nA,,split,,\n" + rows)
    assert [made.offer_rule(Sku("a"), name).weight for name in sorted(made.channels)] == [5, 7, 1]


RESERVE = "sku,units,until,purpose,locations\n"
INBOUND = "sku,units,location,due,offered_from,confidence\n"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            {"reserves": RESERVE + f"A,5,{SOONER},fair,\n"},
            f"reserves.csv:2: until: {SOONER} has passed; take the row out, or name a later time",
        ),
        (
            {"reserves": RESERVE + "A,5,,fair,\n"},
            "reserves.csv:2: until: is missing; a reserve without an end is safety_stock in the rules CSV",
        ),
        (
            {"reserves": RESERVE + "A,5,2030-02-01,fair,\n"},
            "reserves.csv:2: until: a time with its zone, e.g. 2030-11-24T08:00:00Z (got '2030-02-01')",
        ),
        (
            {"reserves": RESERVE + f"A,0,{LATER},fair,\n"},
            "reserves.csv:2: units: a whole number from 1 to 1000000000 (got '0')",
        ),
        ({"reserves": RESERVE + f"A,,{LATER},fair,\n"}, "reserves.csv:2: units: is missing"),
        ({"reserves": RESERVE + f",5,{LATER},fair,\n"}, "reserves.csv:2: sku: is blank"),
        (
            {"reserves": RESERVE + f"A,5,{LATER},fair,22\n"},
            "reserves.csv:2: locations: no channel draws on warehouse '22'; did you mean '2'?",
        ),
        (
            {"reserves": "sku,unit\nA,1\n"},
            "reserves.csv:1: no such column 'unit'; did you mean 'units'?",
        ),
        (
            {"inbound": INBOUND + f"A,5,1,{SOONER},,\n"},
            f"inbound.csv:2: due: {SOONER} has passed; take the row out, or name a later time",
        ),
        (
            {"inbound": INBOUND + "A,5,1,,,\n"},
            "inbound.csv:2: due: is missing; inbound that is never due would be counted for ever",
        ),
        (
            {"inbound": INBOUND + f"A,5,1;2,{LATER},,\n"},
            "inbound.csv:2: location: name the one warehouse where it will arrive",
        ),
        (
            {"inbound": INBOUND + f"A,5,1,{LATER},{LATER},\n"},
            "inbound.csv:2: offered_from: is not before due",
        ),
        (
            {"inbound": INBOUND + f"A,5,1,{LATER},,120\n"},
            "inbound.csv:2: confidence: a percentage from 0 to 100 with at most one decimal (got '120')",
        ),
    ],
)
def test_dates_and_units_that_cannot_be_meant_are_told_with_line_and_column(
    tmp_path: Path, texts: dict[str, str], said: str
) -> None:
    assert said in refused(tmp_path, **texts)


def test_faults_of_both_files_are_told_together(tmp_path: Path) -> None:
    faults = refused(tmp_path, reserves=RESERVE + "A,0,x,,\n", inbound=INBOUND + "A,0,1,x,,\n")
    assert {each.split(":")[0] for each in faults} == {"reserves.csv", "inbound.csv"}


def test_a_missing_file_is_told_by_the_key_that_names_it(tmp_path: Path) -> None:
    changed = content() | {"reserves_csv": "reserves.csv"}
    with pytest.raises(ConfigFault) as caught:
        policy_of(parse(changed, "config.toml"), tmp_path)
    assert caught.value.faults == (f"{tmp_path}/reserves.csv: there is no such file; reserves_csv names it",)


def test_what_has_ended_does_not_keep_a_daemon_from_starting(tmp_path: Path) -> None:
    made = sheets(tmp_path, None, reserves=RESERVE + f"A,5,{SOONER},fair,\n")
    assert made.reserves[Sku("a")][0].until < NOW


def test_what_is_declared_for_a_time_reaches_the_policy(tmp_path: Path) -> None:
    made = sheets(
        tmp_path,
        reserves=RESERVE + f"A,5,{LATER},fair,2;1\na,6,{LATER},,\n",
        inbound=INBOUND + f"A,100,2,{LATER},{SOONER},12.5\n",
    )
    until = parse_instant(LATER)
    places = frozenset({LocationName("1"), LocationName("2")})
    assert made.reserves == {Sku("a"): (Reserve(5, until, "fair", places), Reserve(6, until))}
    (line,) = made.inbound[Sku("a")]
    assert line == Inbound(100, 125, LocationName("2"), until, parse_instant(SOONER))
    assert line.counted == 12, "rounded down"
