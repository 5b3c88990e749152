"""A trial is the real daemon in a business that replays; what it finds wrong is wrong, and what is right passes."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from reconcilerd.cli.faults import check_script
from reconcilerd.cli.simulate import (
    Ask,
    Progress,
    _again,
    _result,
    _summary,
    _told,
    market_of,
)
from reconcilerd.cli.wiring import paces
from reconcilerd.config.load import load
from reconcilerd.domain import plan as planning
from reconcilerd.domain.facts import InvariantBroken
from reconcilerd.domain.invariants import Violation
from reconcilerd.domain.names import ChannelName, Instant, Sku
from reconcilerd.domain.policy import OfferRule, PoolMode
from reconcilerd.domain.quantities import Rate
from reconcilerd.simulator.faults import Fault, Script
from reconcilerd.simulator.shoppers import Invoice, Line, read_invoices
from reconcilerd.trial.bound import settles_within_s
from reconcilerd.trial.market import PACING, market, open_doors, script, shares_of
from reconcilerd.trial.run import Kept, Outcome, run_trial
from reconcilerd.trial.stage import START, Stage
from tests.cli.programs import run
from tests.trial.policies import by_chance

HOURS = 0.5


def trial(seed: int, faults: str = "hostile") -> Outcome:
    return run_trial(market(seed, skus=6), seed, HOURS, faults)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_invariant_is_broken_and_it_comes_to_rest(seed: int) -> None:
    outcome = trial(seed)
    assert outcome.violations == ()
    assert outcome.rested
    assert outcome.score.sold > 0
    assert outcome.score.writes > 0


def test_a_breach_that_keeps_a_trial_from_coming_to_rest_is_told_beside_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(stage: Stage[Kept], *_: object, **__: object) -> bool:
        breach = InvariantBroken("b", "uk", (("I3", "raised beyond it"),), "", stage.clock())
        await stage.built.daemon.desk.take((breach,))
        return False

    monkeypatch.setattr("reconcilerd.trial.run._rest", broken)
    found = [each.invariant for each in run_trial(market(1, skus=1), 1, 0.1).violations]
    assert found == ["I3", "I12"]


def test_a_seed_replays_exactly_and_another_one_is_another_business() -> None:
    assert trial(3) == trial(3)
    assert trial(3).score != trial(4).score


def test_a_daemon_that_raises_without_headroom_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(*args: object) -> int:
        return int(args[3])  # type: ignore[call-overload, no-any-return]  # what is desired, whatever is left

    monkeypatch.setattr(planning, "_granted", generous)
    monkeypatch.setattr(planning, "estimated", lambda _position, ideal: dict.fromkeys(ideal, 0))
    found = {each.invariant for seed in (3, 4) for each in trial(seed, "none").violations}
    assert found == {"I2", "I3"}


def test_a_daemon_that_leaves_a_difference_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "diff", lambda *_: ())
    outcome = trial(1, "none")
    assert "I20" in {each.invariant for each in outcome.violations}


def test_a_business_is_busy_has_a_bundle_and_two_kinds_of_pool() -> None:
    what = market(1)
    assert len(what.kinds) == 12
    assert sum(bool(kind.bundle) for kind in what.kinds) == 1
    assert {kind.split for kind in what.kinds} == {True, False}
    assert sum(kind.per_hour for kind in what.kinds) >= 20
    visits = len(script(what, 1, 10)) / 10
    assert visits >= 20


def test_a_large_business_of_its_own_policy_shows_everything_when_trade_begins() -> None:
    """Its first numbers are as many at once as a canary goes before, and the store loses one write of a hundred."""
    outcome = run_trial(market(10008, skus=120, channels=1), 10008, 0.25)
    assert outcome.violations == ()
    assert outcome.score.refused == 0


@pytest.mark.parametrize("channels", [1, 3, 12])
def test_shares_add_up_and_every_channel_has_one(channels: int) -> None:
    shares = shares_of(channels)
    assert sum(shares) == 1000
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] > 0


def test_a_policy_is_tried_on_its_own_channels_and_skus() -> None:
    base = market(1).policy
    name = ChannelName("shop-2")
    rules = replace(base, offers={(Sku("mug"), name): OfferRule(units_per_sale=6)}, skus={})
    what = market(1, skus=3, policy=rules)
    assert what.kinds[0].sku == "mug"
    world = open_doors(what)
    assert set(world.stores) == set(base.channels)
    assert [item.each for item in world.items_of("mug") if item.store == name] == [6]
    shared = base.pools["shared"]
    assert all(not kind.split for kind in what.kinds) == (shared.mode is PoolMode.ADAPTIVE)


def test_it_is_read_as_often_as_its_configuration_says_or_every_two_minutes(tmp_path: Path) -> None:
    ask = Ask(1.0, 3, 2, None, "none", None)
    assert market_of(ask)(1).pacing == PACING
    assert (PACING.channels_s, PACING.orders_s) == (120, 120)
    assert {rule.poll_ms for rule in market_of(ask)(1).policy.channels.values()} == {120_000}
    shipped = (Path(__file__).parents[2] / "config.toml").read_text("utf-8")
    config = tmp_path / "config.toml"
    config.write_text(shipped.replace("poll_s = 60\n", "poll_s = 240\n", 1), "utf-8")
    tried = market_of(replace(ask, config=config))(1)
    assert tried.pacing.paces(tried.policy.channels) == paces(load(config))
    quicker = replace(tried.pacing, of_channel={}, channels_s=60)
    bounds = [settles_within_s(tried.policy, each) for each in (tried.pacing, quicker)]
    assert bounds[0] > bounds[1], "the slowest channel bounds it"


def test_real_orders_are_replayed_at_their_own_pace() -> None:
    invoices = read_invoices(None)[:60]
    what = market(1, skus=4, invoices=invoices)
    played = [at for at, deed in script(what, 1, 1000) if "play" in str(deed)]
    assert played == sorted(played)
    assert played[-1] <= invoices[-1].at - invoices[0].at
    assert len(played) > 4


def test_however_a_shop_numbers_its_orders_each_counts_once() -> None:
    """A sign before it, a year and a stroke, or words and spaces: what a claim is about tells it all the same."""
    invoices = [
        Invoice(number, Instant(START + at * 60_000), (Line("A", "a", 1, False),), False)
        for at, number in enumerate(
            ["#1", "2010/1", "2010/2", "Rechnung 1", 'it\'s "1"', "#/ 1", "1 changed"]
        )
    ]
    outcome = run_trial(market(1, skus=1, channels=2, invoices=invoices), 1, 0.25)
    assert outcome.score.sold >= len(invoices) - 1
    assert outcome.violations == ()


def test_the_command_says_what_came_of_it(tmp_path: Path) -> None:
    done = run(tmp_path, "simulate", "--days", "0.02", "--skus", "4", "--seeds", "1..2", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) == {
        "schema",
        "exit_code",
        "seeds",
        "simulated_hours",
        "settling_hours",
        "hours_per_second",
        "orders",
        "oversold_units",
        "refused_sales",
        "hidden_unit_minutes",
        "self_made",
        "corrections",
        "held",
        "tripped",
        "faults",
        "violations",
    }
    assert result["seeds"] == [1, 2]
    assert result["violations"] == []


def test_how_far_a_long_run_is_is_said_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    ticks = iter((0.0, 4.0, 12.0, 18.0, 40.0))
    progress, hours = Progress(7, 4.0, lambda: next(ticks)), list[float]()
    run_trial(market(1, skus=1), 1, 2.25, traded=hours.append)
    assert hours == sorted(hours)
    assert 0 < hours[0] < 0.1
    assert 2.15 < hours[-1] <= 2.25
    for passed in (1.0, 2.0, 3.0, 4.0):
        progress(passed)
    assert capsys.readouterr().err == "  seed 7: 2.0 of 4 h, 0.17 a second\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--seeds", "5..1"), "is no span of seeds"),
        (("--seeds", "all"), "is no span of seeds"),
        (("--seed", "1", "--seeds", "1..2"), "exclude each other"),
        (("--days", "0"), "--days"),
        (("--days", "nan"), "--days"),
        (("--record", "nowhere/struck.jsonl"), "struck.jsonl: cannot be written"),
        (("--policy", "nowhere.toml"), "nowhere.toml"),
        (("--policy", "config.toml", "--channels", "5"), "--channels goes without --policy"),
        (("--from", "yesterday"), "is no time with a zone"),
        (("--from", "1900-01-01T00:00:00Z"), "is no time from 1971 to 2100"),
    ],
)
def test_what_cannot_be_simulated_is_refused(tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    (tmp_path / "config.toml").touch()
    done = run(tmp_path, "simulate", *args)
    assert (done.returncode, said in " ".join(done.stderr.split())) == (2, True), done.stderr


def test_an_interrupted_run_tells_what_was_played(tmp_path: Path) -> None:
    """Of four hundred seeds those that were over, their record too; the others end at once."""
    words = ["--days", "0.01", "--skus", "1", "--channels", "1", "--faults", "hostile", "--record", "r.jsonl"]
    # Whoever was started in the background may have been told to ignore interrupts.
    deaf_no_more = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import sys; from reconcilerd.cli.main import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", deaf_no_more, "simulate", "--seeds", "1..400", *words]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as told:
        assert told.stdout is not None
        played = 0
        for line in told.stdout:
            played += line.startswith("  seed ")
            if played == 2:
                os.killpg(told.pid, signal.SIGINT)
                break
        rest = told.stdout.read()
    assert told.returncode == 130
    (whole,) = re.findall(r"Interrupted: (\d+) of 400 seeds were played.", rest)
    assert 2 <= int(whole) < 400
    assert "violations of invariants" in rest
    assert (tmp_path / "r.jsonl").read_text().count("\n") > 0


@pytest.mark.parametrize("tenths", [0, 1, 100])
def test_however_wrong_the_rates_are_nothing_is_broken_and_little_is_lost(tenths: int) -> None:
    """A guess of nothing, a tenth and ten times the truth: units oversold and hidden stay within a bound."""
    what = market(3, skus=6)
    skus = {
        sku: replace(rule, rate=Rate(rule.rate.milli_per_hour * tenths // 10))
        for sku, rule in what.policy.skus.items()
    }
    outcome = run_trial(replace(what, policy=replace(what.policy, skus=skus)), 3, 1.0, "mild")
    assert outcome.violations == ()
    assert outcome.score.oversold <= 2
    assert outcome.score.self_made <= 2


@pytest.mark.parametrize(
    ("faults", "skus", "seed"), [("hostile", "4", "5"), ("stale_read:0.3+stale_cache:0.3", "12", "1")]
)
def test_a_record_of_faults_strikes_again_exactly(tmp_path: Path, faults: str, skus: str, seed: str) -> None:
    """Though what is answered again may have been answered first before anything struck."""
    plain = ("simulate", "--days", "0.02", "--skus", skus, "--seed", seed, "--json")
    first = run(tmp_path, *plain, "--faults", faults, "--record", "struck.jsonl")
    again = run(tmp_path, *plain, "--faults", "@struck.jsonl")
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    told = [json.loads(each.stdout) for each in (first, again)]
    for each in told:
        del each["hours_per_second"]
    assert told[0] == told[1]
    assert sum(told[0]["faults"].values()) > 10


def test_a_record_may_strike_and_be_written_anew(tmp_path: Path) -> None:
    record = tmp_path / "struck.jsonl"
    record.write_text(LINE, "utf-8")
    small = ("--days", "0.01", "--skus", "1", "--channels", "1", "--json")
    done = run(tmp_path, "simulate", *small, "--faults", "@struck.jsonl", "--record", "struck.jsonl")
    assert json.loads(done.stdout)["faults"] == {"5xx": 1}
    assert json.loads(record.read_text("utf-8"))["request"] == 5


def test_figures_are_not_lost_with_the_record_that_cannot_be_written(tmp_path: Path) -> None:
    """It could be opened before hours were simulated, and its disk is full afterwards."""
    small = (
        "--days",
        "0.01",
        "--skus",
        "1",
        "--channels",
        "1",
        "--faults",
        "5xx:0.2",
        "--record",
        "/dev/full",
    )
    done = run(tmp_path, "simulate", *small)
    said = " ".join(done.stderr.split())
    assert (done.returncode, "violations of invariants" in done.stdout) == (2, True)
    assert "the record is lost: /dev/full cannot be written (No space left on device)" in said
    assert "cannot begin" not in said
    told = run(tmp_path, "simulate", *small, "--json")
    assert (
        json.loads(told.stdout)["exit_code"] == json.loads(told.stderr)["exit_code"] == told.returncode == 2
    )
    assert json.loads(told.stdout)["faults"]["5xx"] > 0


LINE = '{"seed": 1, "system": "extensiv", "request": 5, "fault": "5xx", "at": 0, "subject": ""}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the record is empty"),
        (LINE.replace("1,", "7,", 1), "the record is of seed 7; play that: --seed 7"),
        (
            LINE.replace("extensiv", "shop-9"),
            "the record strikes shop-9; this business has extensiv, shop-1,",
        ),
    ],
)
def test_a_record_that_would_strike_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "struck.jsonl").write_text(text, "utf-8")
    done = run(tmp_path, "simulate", "--days", "0.01", "--faults", "@struck.jsonl")
    assert (done.returncode, said in " ".join(done.stderr.split())) == (2, True), done.stderr


def test_of_a_record_of_several_seeds_one_may_be_played() -> None:
    several = Script(exactly={seed: {("extensiv", 5): frozenset({Fault("5xx")})} for seed in (1, 2)})
    check_script(several, [2], {"extensiv"})
    check_script(several, range(2, 9), {"extensiv"})


def test_what_is_no_record_is_not_written_over(tmp_path: Path) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text("invoice\n", "utf-8")
    done = run(tmp_path, "simulate", "--days", "0.01", "--record", "orders.csv")
    assert (done.returncode, "is there and is no record" in done.stderr) == (2, True), done.stderr
    assert orders.read_text("utf-8") == "invoice\n"


def test_seed_0_is_a_seed(tmp_path: Path) -> None:
    small = ("--days", "0.01", "--skus", "1", "--channels", "1")
    done = run(tmp_path, "simulate", "--seed", "0", *small, "--json")
    assert json.loads(done.stdout)["seeds"] == [0]


def test_the_command_that_replays_a_seed_under_a_policy_plays_it(tmp_path: Path) -> None:
    """The policy names its own channels, and a command that names some too is refused."""
    by_chance(1, tmp_path)
    ask = Ask(0.01, 1, 3, tmp_path / "config.toml", "none", None)
    done = run(tmp_path, *shlex.split(_again(ask, 7))[1:], "--json")
    assert (done.returncode, json.loads(done.stdout)["seeds"]) == (0, [7]), done.stderr


def test_the_command_that_replays_a_seed_is_what_a_shell_takes() -> None:
    ask = Ask(0.123456789, 3, 2, Path("my policy.toml"), "5xx:0.2+@what struck.jsonl", Path("or'ders.csv"))
    told = shlex.split(_again(ask, 0))
    assert told[:6] == ["reconcilerd", "simulate", "--seed", "0", "--days", "0.123456789"]
    assert told[-6:] == ["--faults", ask.faults, "--policy", "my policy.toml", "--orders", "or'ders.csv"]


def test_what_is_told_fits_the_terminal_but_for_the_command_that_replays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    what = market(1, skus=1, channels=1)
    score = trial(1, "none").score
    broken = Violation(
        "I5", START, "shop-uk/gid://shopify/InventoryItem/10100001: zero, though its rule " * 2
    )
    outcome = Outcome(1, 1.0, 0.4, score, (broken,), rested=True)
    ask = Ask(0.02, 12, 3, Path("policies/next-quarter.toml"), "hostile", Path("data/orders-of-2010.csv"))
    lines = [*_told(ask, [1], what.policy), *_summary(ask, _result([outcome], 1.0))]
    assert [line[:20] for line in lines if len(line) > 80] == ["  replays exactly: r"]
    assert "zero, though its rule" in " ".join(" ".join(lines).split())


def test_what_holds_listings_at_the_end_and_what_is_tripped_is_told_beside_their_number() -> None:
    score = trial(1, "none").score
    tug = "tug-of-war:shop-1/gid://shopify/InventoryItem/1/gid://shopify/Location/1"
    one = Outcome(1, 1.0, 0.4, score, (), rested=True, held={"hold_tug_of_war": 1}, tripped=(tug,))
    two = Outcome(2, 1.0, 0.4, score, (), rested=True, held={"hold_approval": 2, "hold_tug_of_war": 1})
    ask = Ask(0.02, 12, 3, None, "hostile", None)
    result = _result([one, two], 1.0)
    assert result["held"] == {"hold_approval": 2, "hold_tug_of_war": 2}
    assert result["tripped"] == {tug: 1}
    lines = _summary(ask, result)
    at = next(at for at, line in enumerate(lines) if "listings held at the end" in line)
    assert lines[at].split()[-1] == "4"
    assert lines[at + 1] == "    held: hold_approval 2, hold_tug_of_war 2"
    assert " ".join(" ".join(lines[at + 2 :]).split()).startswith(f"tripped: {tug} in 1 of 2 seeds ")
    assert "held: " not in " ".join(_summary(ask, _result([replace(two, held={})], 1.0)))


def test_an_unknown_fault_is_told_and_the_menu_printed(tmp_path: Path) -> None:
    done = run(tmp_path, "simulate", "--faults", "hostil")
    assert (done.returncode, "did you mean 'hostile'?" in done.stderr) == (2, True)
    assert "truncated_json" in run(tmp_path, "simulate", "--faults", "list").stdout
