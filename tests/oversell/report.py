"""From runs to rows, from rows to verdicts, and how both are printed. All figures are means of one run."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from tests.oversell.policies import IN_FLIGHT, OMNISCIENT, OURS, Run

OVERSOLD, HIDDEN, SELF_MADE, QUIET, ADAPTIVE = 0.35, 1.15, 0.5, 0.02, 0.3
"""The bars: parts of in-flight's figures, then units a run, then a part of a shared pool's."""
NEXT_TO_NOTHING = 0.005
"""Units a run that ours may oversell (or minutes it may hide a unit) where in-flight did not at all."""
MOST_SEEDS = 8
WIDTH = 100
INDENT = " " * 5
HEAD = f"{'world':<25} {'policy':<20} {'oversold':>8} {'self-made':>9} {'refused':>7} {'hidden':>7} {'writes/sale':>11}"


@dataclass(frozen=True, slots=True)
class Row:
    """One policy in one world: means of a run. ``hidden``: unit-minutes."""

    policy: str
    world: str
    seeds: int
    oversold: float
    self_made: float
    refused: float
    hidden: float
    writes_per_sale: float
    self_made_in_effect: float = 0.0
    worst: tuple[int, ...] = ()
    """The seeds that oversold, worst first."""
    broken: tuple[str, ...] = ()
    """Invariants that the daemon saw broken, each with its seed."""
    untold: float = 0.0
    """Those of the hidden unit-minutes of which no system told."""

    @property
    def ours(self) -> bool:
        return self.policy.startswith(OURS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One bar in one world: met if ``figure`` is at most ``most``. ``detail``: the counts behind it."""

    bar: str
    world: str
    figure: float
    most: float
    detail: str

    @property
    def met(self) -> bool:
        return self.figure <= self.most + 1e-9


def rows_of(runs: Iterable[Run]) -> tuple[Row, ...]:
    """One row for each policy in each world, in the order in which they first come."""
    together: dict[tuple[str, str], list[Run]] = {}
    for each in runs:
        together.setdefault((each.world, each.policy), []).append(each)
    return tuple(_row(world, policy, some) for (world, policy), some in together.items())


def _row(world: str, policy: str, runs: Sequence[Run]) -> Row:
    count = len(runs)
    worst = sorted((each for each in runs if each.oversold), key=lambda each: (-each.oversold, each.seed))
    return Row(
        policy=policy,
        world=world,
        seeds=count,
        oversold=sum(each.oversold for each in runs) / count,
        self_made=sum(each.self_made for each in runs) / count,
        refused=sum(each.refused for each in runs) / count,
        hidden=sum(each.hidden for each in runs) / count,
        writes_per_sale=sum(each.writes for each in runs) / max(1, sum(each.sold for each in runs)),
        self_made_in_effect=sum(each.self_made_in_effect for each in runs) / count,
        worst=tuple(each.seed for each in worst),
        untold=sum(each.untold for each in runs) / count,
        broken=tuple(f"seed {each.seed}: {what}" for each in runs for what in each.broken),
    )


def judge(rows: Sequence[Row], scarce: frozenset[str] = frozenset()) -> tuple[Verdict, ...]:
    """Every bar that these rows can be held against. ``scarce``: worlds that sell out, by name."""
    by_world: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_world.setdefault(row.world, {})[OURS if row.ours else row.policy] = row
    verdicts: list[Verdict] = []
    for world, policies in by_world.items():
        ours, theirs = policies.get(OURS), policies.get(IN_FLIGHT)
        if ours is None:
            continue
        if theirs is not None:
            verdicts += _against_in_flight(ours, theirs, policies.get(OMNISCIENT))
        verdicts.append(
            Verdict("self-made", world, ours.self_made, SELF_MADE, f"{ours.self_made:.2f} units a run")
        )
        if world.startswith("quiet-"):
            text = f"{_total(ours)} units, {ours.seeds} seeds{_seeds(ours)}"
            verdicts.append(Verdict("quiet", world, ours.oversold, QUIET, text))
        if ours.broken:
            verdicts.append(Verdict("invariants", world, len(ours.broken), 0, ours.broken[0]))
        shared = by_world.get(world.replace("adaptive", "shared"), {}).get(OURS)
        if world in scarce and "adaptive" in world and shared is not None:
            most = ADAPTIVE * shared.oversold or NEXT_TO_NOTHING
            text = f"{_total(ours)} units, {_total(shared)} from the shared pool"
            verdicts.append(Verdict("adaptive", world, ours.oversold, most, text + _seeds(ours)))
    return tuple(verdicts)


def _against_in_flight(ours: Row, theirs: Row, known: Row | None) -> tuple[Verdict, Verdict]:
    bound = f", {_total(known)} omniscient" if known is not None else ""
    oversold = Verdict(
        "oversold",
        ours.world,
        ours.oversold,
        OVERSOLD * theirs.oversold or NEXT_TO_NOTHING,
        f"{_total(ours)} units, {_total(theirs)} in-flight{bound}{_seeds(ours)}",
    )
    hidden = Verdict(
        "hidden",
        ours.world,
        ours.hidden,
        HIDDEN * theirs.hidden or NEXT_TO_NOTHING,
        f"{_hidden(ours)} unit-minutes a run, {_hidden(theirs)} in-flight",
    )
    return oversold, hidden


def _hidden(row: Row) -> str:
    return f"{row.hidden:.0f} ({row.untold:.0f} untold)"


def _total(row: Row) -> int:
    return round(row.oversold * row.seeds)


def _seeds(row: Row) -> str:
    if not row.worst:
        return ""
    more = " ..." if len(row.worst) > MOST_SEEDS else ""
    return f"; seeds {' '.join(str(each) for each in row.worst[:MOST_SEEDS])}{more}"


def as_json(rows: Sequence[Row], verdicts: Sequence[Verdict]) -> str:
    """Everything, for programs."""
    return json.dumps(
        {"rows": [_row_as_json(each) for each in rows], "verdicts": [_verdict_as_json(v) for v in verdicts]},
        indent=1,
    )


def _row_as_json(row: Row) -> Mapping[str, object]:
    return {
        "policy": row.policy,
        "world": row.world,
        "seeds": row.seeds,
        "oversold_units": round(row.oversold, 4),
        "self_made": round(row.self_made, 4),
        "self_made_in_effect": round(row.self_made_in_effect, 4),
        "refused_sales": round(row.refused, 4),
        "hidden_unit_minutes": round(row.hidden, 2),
        "untold_unit_minutes": round(row.untold, 2),
        "writes_per_sale": round(row.writes_per_sale, 4),
    }


def _verdict_as_json(each: Verdict) -> Mapping[str, object]:
    return {
        "bar": each.bar,
        "world": each.world,
        "figure": round(each.figure, 4),
        "most": round(each.most, 4),
        "met": each.met,
        "detail": each.detail,
    }


def as_text(rows: Sequence[Row], verdicts: Sequence[Verdict]) -> str:
    """A table of all rows and a line for each bar, within 100 columns."""
    missed = sum(not each.met for each in verdicts)
    last = f"{len(verdicts) - missed} of {len(verdicts)} bars met" if verdicts else "no bar to judge"
    return "\n".join([HEAD, *map(_row_as_text, rows), "", *map(_as_line, verdicts), last])


def _row_as_text(row: Row) -> str:
    return (
        f"{row.world:<25} {row.policy:<20} {row.oversold:8.2f} {row.self_made:9.2f} {row.refused:7.1f}"
        f" {row.hidden:7.0f} {row.writes_per_sale:11.2f}"
    )


def _as_line(each: Verdict) -> str:
    mark = "ok  " if each.met else "MISS"
    start = f"{mark} {each.bar:<10} {each.world:<25} {each.figure:7.2f} of {each.most:<7.5g} "
    if len(start) + len(each.detail) <= WIDTH:
        return start + each.detail
    return "\n".join(
        [start.rstrip(), *wrap(each.detail, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)]
    )
