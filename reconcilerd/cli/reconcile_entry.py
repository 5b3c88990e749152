"""``reconcile --sku SKU``: asks the running daemon, or does it itself where there is none.

Only the standard library is imported until it is known that no daemon answers.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from reconcilerd.cli import render
from reconcilerd.cli.socket_client import answer
from reconcilerd.domain.visible import LINES, all_visible, visible

EXITS = (
    "exit codes: 0 in step, 1 bug, 2 usage or configuration, 3 differences, 4 credentials refused, "
    "5 incomplete, 6 unknown SKU, 7 refused by a rail, 8 no daemon or lock held, 130 interrupted"
)


def parser() -> argparse.ArgumentParser:
    """The arguments of ``reconcile``."""
    made = argparse.ArgumentParser(
        prog="reconcile",
        description="Compare what channels show with what they should, for some SKUs, and correct it on demand.",
        epilog=EXITS,
    )
    made.add_argument(
        "--sku", action="append", default=[], metavar="SKU", help="SKU, listing SKU or listing id"
    )
    made.add_argument("--all", action="store_true", help="every SKU; shows only those that differ")
    made.add_argument("--channel", metavar="C", help="only listings of this channel")
    made.add_argument("--fresh", action="store_true", help="read the SKU from every system first")
    made.add_argument("--apply", action="store_true", help="correct what differs (reads first, reads back)")
    made.add_argument("--yes", action="store_true", help="do not ask before --apply")
    made.add_argument("--json", action="store_true", help="the answer as JSON")
    made.add_argument("--config", metavar="F", default=os.environ.get("RECONCILERD_CONFIG", "config.toml"))
    return made


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    try:
        return _run(parser().parse_args(argv))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(args: argparse.Namespace) -> int:
    if not args.sku and not args.all:
        return _fail(args, "say which: --sku SKU (again for more) or --all", 2)
    if args.sku and args.all:
        return _fail(args, "--sku and --all exclude each other", 2)
    if not all(each.strip() for each in args.sku):
        return _fail(args, "--sku is blank", 2)
    request: dict[str, Any] = {
        "op": "reconcile",
        "skus": args.sku,
        "all": args.all,
        "channel": args.channel,
        "fresh": args.fresh,
        "apply": False,
    }
    if args.apply and not args.yes:
        if not sys.stdin.isatty():
            return _fail(args, "--apply asks before it writes; add --yes where nobody can answer", 2)
        preview = answer(Path(args.config), {**request, "fresh": True})
        code = _show(args, preview)
        if "error" in preview or code != 3:
            return code
        if input("Write these corrections? [y/N] ").strip().lower() not in {"y", "yes"}:
            return code
    return _show(args, answer(Path(args.config), {**request, "apply": args.apply}))


def _show(args: argparse.Namespace, answer: dict[str, Any]) -> int:
    if "error" in answer:
        return _fail(args, str(answer["error"]["message"]), int(answer["exit_code"]))
    print(json.dumps(answer, indent=2) if args.json else render.sheets(all_visible(answer), render.width()))
    return int(answer["exit_code"])


def _fail(args: argparse.Namespace, message: str, code: int) -> int:
    if args.json:
        print(json.dumps({"error": {"message": message, "exit_code": code}}), file=sys.stderr)
    else:
        print(f"reconcile: {visible(message, LINES)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
