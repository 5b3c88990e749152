"""The corpus of bad feeds as a table: ``python -m tests.badfeeds [--json] [--small]``.

Exit code 0 if no unit was wrongly published or hidden, else 3.
"""

import json
import logging
import sys
from concurrent.futures import ProcessPoolExecutor

import structlog

from tests.badfeeds.cases import cases, why_not
from tests.badfeeds.world import Case, Verdict, judged


def _judged(case: Case) -> tuple[Case, Verdict]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return case, judged(case)


def _row(case: Case, verdict: Verdict) -> dict[str, object]:
    return {
        "feed": str(case.feed),
        "bad": case.bad.name,
        "until_mended": case.long,
        "skus": case.skus,
        "pool": "split" if case.split else "shared",
        "wrongly_published": verdict.published,
        "wrongly_hidden": verdict.hidden,
        "wrong_once_mended": verdict.unshown,
        "alerts": sorted(verdict.alerts),
        "known": why_not(case),
    }


def main(arguments: list[str]) -> int:
    """Run every case, or (``--small``) those of three SKUs whose feed stays bad until it is mended."""
    small, as_json = "--small" in arguments, "--json" in arguments
    chosen = [case for case in cases(sizes=(3,) if small else (3, 30)) if case.long or not small]
    rows = []
    if not as_json:
        print(f"{'published':>9} {'hidden':>6} {'after':>5}  case; alerts")
    with ProcessPoolExecutor() as pool:
        for case, verdict in pool.map(_judged, chosen):
            rows.append(_row(case, verdict))
            if not as_json:
                told = ", ".join(sorted(verdict.alerts)) or "no alert"
                known = f"; known: {why_not(case)}" if why_not(case) else ""
                print(
                    f"{verdict.published:>9} {verdict.hidden:>6} {verdict.unshown:>5}  {case.name}; {told}{known}",
                    flush=True,
                )
    published = sum(int(str(row["wrongly_published"])) for row in rows)
    hidden = sum(int(str(row["wrongly_hidden"])) for row in rows)
    if as_json:
        print(json.dumps({"rows": rows, "wrongly_published": published, "wrongly_hidden": hidden}))
    else:
        print(f"{published:>9} {hidden:>6}        {len(rows)} cases")
    return 3 if published or hidden else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
