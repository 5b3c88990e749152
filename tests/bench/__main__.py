"""``python -m tests.bench [NAME...] [--json]``: run benchmarks, print their ratios, exit 1 if one misses its bar."""

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from importlib import import_module

import structlog

from tests.bench.ratio import Benchmark, Ratio

NAMES: Mapping[str, str] = {
    "poll": "a full poll of 10,000 SKUs on 4 systems over real HTTP, against the rate limit (about 2 minutes)",
    "idle": "memory and processor time of a daemon with nine pollers while nothing happens (three minutes)",
    "fold": "a first reading folded and planned, four times the listings against four times the time (a minute)",
    "page": "the page of 100,000 SKUs during a full pass, against an empty one (about 5 minutes)",
    "worlds": "harm and effort in worlds of noise, against a baseline built by hand (200 seeds: about 40 minutes)",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        epilog="; ".join(f"{name}: {what}" for name, what in NAMES.items()),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(NAMES)} (all)")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(NAMES)}")
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    ratios = [ratio for name in asked.names or NAMES for ratio in _benchmark(name)()]
    if asked.json:
        print(json.dumps([_as_json(each) for each in ratios], indent=1))
    else:
        for each in ratios:
            print(_as_line(each))
    return 0 if all(each.ok for each in ratios) else 1


def _benchmark(name: str) -> Benchmark:
    found: Benchmark = import_module(f"tests.bench.{name}").ratios
    return found


def _as_json(each: Ratio) -> dict[str, object]:
    return {
        "name": each.name,
        "ratio": round(each.ratio, 5),
        "bar": each.bar,
        "ok": each.ok,
        "detail": each.detail,
    }


def _as_line(each: Ratio) -> str:
    return (
        f"{'ok  ' if each.ok else 'MISS'} {each.name:<24} {each.ratio:9.4f} of {each.bar:<7g} {each.detail}"
    )


if __name__ == "__main__":
    sys.exit(main())
