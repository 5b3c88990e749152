"""``python -m tests.oversell``: who oversells and who hides how much, world by world. Exit 1 if a bar is missed.

Stopped by Ctrl-C it prints the rows of the seeds that all worlds were played with, and exits with 130.
"""

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import structlog

from reconcilerd.cli.children import end_with_parent
from reconcilerd.errors import ConfigFault
from tests.oversell.policies import MEANS, POLICIES, Run, run
from tests.oversell.report import as_json, as_text, judge, rows_of
from tests.oversell.worlds import Setting, chosen

EVERY_S = 30.0
"""How often a long run says how far it is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 all bars met, 1 some missed, 2 for a world, policy or number that there is not."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        worlds = chosen(asked.world)
    except ConfigFault as fault:
        parser.error(str(fault))
    if asked.list:
        for each in worlds:
            print(f"{each.name:<25} {each.about}")
        return 0
    seeds = range(1, asked.seeds + 1) if asked.seed is None else range(asked.seed, asked.seed + 1)
    policies = tuple(each for each in POLICIES if each in asked.policy or not asked.policy)
    played = list[Run]()
    stopped = False
    try:
        for one in _all(worlds, policies, seeds, asked.jobs):
            played.append(one)
    except KeyboardInterrupt:
        stopped = True
        # Rows of different seeds cannot be held against each other.
        del played[len(played) - len(played) % (len(worlds) * len(policies)) :]
        print(f"stopped after {len({each.seed for each in played})} whole seeds", file=sys.stderr)
    runs = sorted(
        played,
        key=lambda each: (each.world, [p in each.policy for p in POLICIES].index(True), each.seed),
    )
    names = [each.name for each in worlds]
    rows = sorted(rows_of(runs), key=lambda row: names.index(row.world))
    verdicts = judge(rows, frozenset(each.name for each in worlds if each.scarce))
    print(as_json(rows, verdicts) if asked.json else as_text(rows, verdicts))
    if stopped:
        return 130
    return 0 if all(each.met for each in verdicts) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.oversell",
        allow_abbrev=False,
        description=__doc__,
        epilog="; ".join(f"{name}: {what}" for name, what in MEANS.items()),
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seeds", type=_above_zero, default=20, metavar="N", help="runs a row (20)")
    which.add_argument("--seed", type=_from_zero, metavar="N", help="only this seed: replays one run exactly")
    parser.add_argument(
        "--world",
        nargs="+",
        action="extend",
        default=[],
        metavar="W",
        help="worlds whose names begin so (all)",
    )
    parser.add_argument(
        "--policy", nargs="+", action="extend", default=[], choices=POLICIES, help="only these (all)"
    )
    parser.add_argument(
        "--jobs", type=_above_zero, default=os.cpu_count() or 1, metavar="N", help="at once (every core)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--list", action="store_true", help="print the worlds and stop")
    return parser


def _from_zero(text: str, least: int = 0) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number from {least} up, not {text!r}")
    return int(text)


def _above_zero(text: str) -> int:
    return _from_zero(text, 1)


def _all(
    worlds: Sequence[Setting], policies: Sequence[str], seeds: Sequence[int], jobs: int
) -> Iterator[Run]:
    """Every run there is to do, seed by seed, over several processes; how far it is goes to stderr."""
    tasks = [(world, policy, seed) for seed in seeds for world in worlds for policy in policies]
    began = said = time.monotonic()
    with ProcessPoolExecutor(jobs, initializer=_begin) as pool:
        done = pool.map(run, *zip(*tasks, strict=True)) if tasks else iter(())
        for count, each in enumerate(done, 1):
            if time.monotonic() - said > EVERY_S:
                said = time.monotonic()
                left_s = (said - began) / count * (len(tasks) - count)
                print(
                    f"{count} of {len(tasks)} runs, about {left_s / 60:.0f} min left",
                    file=sys.stderr,
                    flush=True,
                )
            yield each


def _begin() -> None:
    end_with_parent()
    _hush()


def _hush() -> None:
    # Ctrl-C reaches every process of a terminal; the first one says what comes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    sys.exit(main())
