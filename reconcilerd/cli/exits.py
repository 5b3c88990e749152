"""Exit codes by name, and the one shape in which a failure is told as JSON. Standard library only."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

EXITS: Final = (
    "exit codes: 0 in step, 1 bug, 2 usage or configuration, 3 differences, 4 credentials refused, "
    "5 incomplete, 6 unknown SKU, 7 refused by a rail, 8 no daemon or lock held, 130 interrupted"
)
NAMES: Final[Mapping[int, str]] = {
    1: "bug",
    2: "change_needed",
    3: "differences",
    4: "denied",
    5: "incomplete",
    6: "unknown_name",
    7: "refused",
    8: "not_reachable",
    130: "interrupted",
}
"""What programs may go by: a code is never given another meaning."""
SCHEMA: Final = "reconcilerd.error/1"
ASKED: Final = frozenset({"--json", "--jso", "--js", "--j"})
"""Also what argparse takes for it."""


def wants_json(args: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, even one that cannot be understood otherwise."""
    options = args[: args.index("--")] if "--" in args else args
    return not ASKED.isdisjoint(options)


def document_of(words: Sequence[str]) -> str:
    """Under which name the JSON of a command is described: its words, and a ``list`` goes by its group."""
    return "-".join(words[:-1] if len(words) > 1 and words[-1] == "list" else words)


def as_error(message: str, code: int, faults: Sequence[str] = ()) -> str:
    """A failure as one line of JSON. ``faults``: of a configuration, each one."""
    error: dict[str, Any] = {"code": NAMES.get(code, "bug"), "message": message, "exit_code": code}
    if faults:
        error["faults"] = list(faults)
    return json.dumps({"schema": SCHEMA, "error": error, "exit_code": code})


def error_of(answer: Mapping[str, Any]) -> str:
    """The same for the answer of a daemon, or of whoever stands in for it, that holds an error."""
    error = answer["error"]
    return as_error(str(error["message"]), int(answer["exit_code"]), error.get("faults", ()))
