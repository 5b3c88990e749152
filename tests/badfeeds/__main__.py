"""The corpus of bad feeds as a table: ``python -m tests.badfeeds [--json] [--small]``.

Exit code 0 if every feed was got over: no unit wrongly published or hidden, nothing wrong once it was mended, and
people told of whatever anybody could notice; else 1.
"""

import argparse
import json
import logging
import shutil
import sys
import textwrap
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import structlog

from reconcilerd.cli.children import end_with_parent
from tests.badfeeds.cases import cases, untold, why_not
from tests.badfeeds.world import Case, Verdict, judged

Judged = tuple[Case, Verdict]
SMALL = 3
ALL: Sequence[Case] = tuple(cases())


def _judged(number: int) -> Verdict:
    """Case ``number`` of all: a case itself does not travel between processes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return judged(ALL[number])


def is_right(case: Case, verdict: Verdict) -> bool:
    """Whether nothing at all went wrong in a case."""
    harm = verdict.published, verdict.hidden, verdict.unshown, verdict.violations
    return not any(harm) and not untold(case, verdict)


def row(case: Case, verdict: Verdict) -> dict[str, object]:
    """One case as JSON has it."""
    return {
        "feed": str(case.feed),
        "bad": case.bad.name,
        "until_mended": case.long,
        "skus": case.skus,
        "pool": "split" if case.split else "shared",
        "wrongly_published": verdict.published,
        "wrongly_hidden": verdict.hidden,
        "wrong_once_mended": verdict.unshown,
        "violations": verdict.violations,
        "alerts": sorted(verdict.alerts),
        "known": why_not(case),
        "right": is_right(case, verdict),
    }


def line(case: Case, verdict: Verdict, width: int) -> str:
    """One case as the table has it, no line longer than ``width``."""
    told = ", ".join(sorted(verdict.alerts)) or ("nobody told" if untold(case, verdict) else "no alert")
    known = f"; known: {why_not(case)}" if why_not(case) else ""
    mark = "" if is_right(case, verdict) else "WRONG "
    numbers = f"{verdict.published:>9} {verdict.hidden:>6} {verdict.unshown:>5}  "
    indent = " " * len(numbers)
    return textwrap.fill(
        f"{mark}{case.name}; {told}{known}", width, initial_indent=numbers, subsequent_indent=indent
    )


def summary(found: Sequence[Judged]) -> dict[str, int]:
    """What all cases come to."""
    return {
        "wrongly_published": sum(verdict.published for _, verdict in found),
        "wrongly_hidden": sum(verdict.hidden for _, verdict in found),
        "cases": len(found),
        "wrong": sum(not is_right(*each) for each in found),
    }


def main(arguments: list[str]) -> int:
    """Run every case, or only the small ones. Exit code: 0 none wrong, 1 some, 2 for an option that there is not."""
    parser = argparse.ArgumentParser(prog="python -m tests.badfeeds", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--small",
        action="store_true",
        help="only the cases of three SKUs whose feed stays bad until it is mended",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(arguments)
    small, as_json = asked.small, asked.json
    width = shutil.get_terminal_size().columns
    chosen = [at for at, case in enumerate(ALL) if not small or (case.long and case.skus == SMALL)]
    found: list[Judged] = []
    if not as_json:
        print(f"{'published':>9} {'hidden':>6} {'after':>5}  case; alerts")
    with ProcessPoolExecutor(initializer=end_with_parent) as pool:
        for at, verdict in zip(chosen, pool.map(_judged, chosen), strict=True):
            found.append((ALL[at], verdict))
            if not as_json:
                print(line(ALL[at], verdict, width), flush=True)
    total = summary(found)
    if as_json:
        print(json.dumps({"rows": [row(*each) for each in found], **total}))
    else:
        print(
            f"{total['wrongly_published']:>9} {total['wrongly_hidden']:>6}        {total['cases']} cases,"
            f" {total['wrong']} wrong"
        )
    return 1 if total["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
