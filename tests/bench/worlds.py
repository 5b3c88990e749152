"""Harm and effort over many worlds of noise in virtual time, against an in-flight-aware baseline in the same worlds.

RECONCILERD_WORLDS says how many seeds (200), RECONCILERD_HOURS how many hours each (3).
"""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from reconcilerd.cli.children import end_with_parent
from tests.bench.ratio import Ratio
from tests.world.measure import Pair, compare


def ratios() -> Sequence[Ratio]:
    worlds = int(os.environ.get("RECONCILERD_WORLDS", "200"))
    hours = float(os.environ.get("RECONCILERD_HOURS", "3"))
    total = Pair()
    with ProcessPoolExecutor(initializer=end_with_parent) as pool:
        run = partial(compare, hours=hours)
        for seed, pair in enumerate(pool.map(run, range(1, worlds + 1)), 1):
            total += pair
            for violation in pair.daemon.violations:
                print(f"seed {seed}: {violation}", file=sys.stderr)
            if sys.stderr.isatty() or seed % 10 == 0:
                print(f"{seed} of {worlds} worlds", file=sys.stderr, flush=True)
    ours, theirs = total.daemon, total.baseline
    what = f"{worlds} seeds of {hours:g} h"
    return (
        Ratio("worlds.violations", len(ours.violations), 0, what),
        Ratio(
            "worlds.oversold",
            ours.oversold / max(1, theirs.oversold),
            0.35,
            f"{ours.oversold} units against {theirs.oversold}; {what}",
        ),
        Ratio(
            "worlds.hidden",
            ours.hidden / max(1.0, theirs.hidden),
            1.15,
            f"{ours.hidden:.0f} unit-minutes against {theirs.hidden:.0f}; refused {ours.refused} and"
            f" {theirs.refused}, sold {ours.sold} and {theirs.sold}",
        ),
        Ratio(
            "worlds.writes_a_sale",
            ours.writes / max(1, ours.sold),
            1.3,
            f"{ours.writes} writes for {ours.sold} units; baseline {theirs.writes / max(1, theirs.sold):.2f}",
        ),
    )
