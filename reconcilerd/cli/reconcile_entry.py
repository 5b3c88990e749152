"""``reconcile --sku SKU``: asks the running daemon, or does it itself where there is none.

Only the standard library is imported until it is known that no daemon answers.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from reconcilerd.cli import render
from reconcilerd.cli.exits import EXITS, as_error, complain, error_of, unsaid, wants_json
from reconcilerd.cli.socket_client import answer
from reconcilerd.domain.visible import LINES, all_visible, visible


class _Parser(argparse.ArgumentParser):
    """Tells what it cannot understand as JSON where that was asked for."""

    as_json = False

    def error(self, message: str) -> NoReturn:  # type: ignore[explicit-override] # not of the standard library yet
        if not self.as_json:
            super().error(message)
        self.exit(2, f"{as_error(message, 2)}\n")


def parser() -> _Parser:
    """The arguments of ``reconcile``."""
    made = _Parser(
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
    made.add_argument(
        "--config",
        metavar="F",
        default=os.environ.get("RECONCILERD_CONFIG", "config.toml"),
        help="the configuration file (also RECONCILERD_CONFIG; default: config.toml)",
    )
    return made


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    asked = os.environ.get("_RECONCILE_COMPLETE")
    if asked and argv is None:
        from reconcilerd.cli.completing import answer_thin
        from reconcilerd.cli.thin import reconcile

        return answer_thin(reconcile, asked)
    args = sys.argv[1:] if argv is None else argv
    as_json, understood = wants_json(args), parser()
    understood.as_json = as_json
    try:
        code = _run(understood.parse_args(args))
        return _unsaid(None, as_json=as_json) or code
    except SystemExit:
        # After --help, or a usage that nobody understands.
        code = _unsaid(None, as_json=as_json)
        if code:
            return code
        raise
    except KeyboardInterrupt:
        return _fail("interrupted", 130) if as_json else 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as bug:
        code = _unsaid(bug, as_json=as_json)
        if code:
            return code
        if not as_json:
            raise
        return _fail(f"a bug, {type(bug).__name__}: {bug}; run it without --json to see where", 1)


def _run(args: argparse.Namespace) -> int:
    if not args.sku and not args.all:
        return _refuse(args, "say which: --sku SKU (again for more) or --all")
    if args.sku and args.all:
        return _refuse(args, "--sku and --all exclude each other")
    if not all(each.strip() for each in args.sku):
        return _refuse(args, "--sku is blank")
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
            return _refuse(args, "--apply asks before it writes; add --yes where nobody can answer")
        preview = answer(Path(args.config), {**request, "fresh": True})
        code = _show(args, preview)
        if "error" in preview or code != 3:
            return code
        if not _agrees():
            return code
    return _show(args, answer(Path(args.config), {**request, "apply": args.apply}))


def _agrees() -> bool:
    try:
        return input("Write these corrections? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _show(args: argparse.Namespace, answer: dict[str, Any]) -> int:
    if "error" not in answer:
        print(
            json.dumps(answer, indent=2) if args.json else render.sheets(all_visible(answer), render.width())
        )
    elif args.json:
        print(error_of(answer), file=sys.stderr)
    else:
        print(_refusal(str(answer["error"]["message"])), file=sys.stderr)
    return int(answer["exit_code"])


def _refuse(args: argparse.Namespace, message: str) -> int:
    return _show(args, {"error": {"message": message}, "exit_code": 2})


def _refusal(message: str) -> str:
    return render.refusal(visible(message, LINES), render.columns_of(sys.stderr), "reconcile")


def _unsaid(error: Exception | None, *, as_json: bool) -> int:
    """Say that what was printed did not get out; the exit code, 0 where it did."""
    why = unsaid(error)
    return _fail(why, 5, as_json=as_json) if why else 0


def _fail(message: str, code: int, *, as_json: bool = True) -> int:
    complain(as_error(message, code) if as_json else _refusal(message))
    return code


if __name__ == "__main__":
    sys.exit(main())
