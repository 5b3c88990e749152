"""Exit codes by name, and the one shape in which a failure is told as JSON. Standard library only."""

import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
AROUND: Final = 20
"""Characters that are shown on each side of one that is none."""
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""How writing to what is open already fails; a file that we write ourselves is told by its name."""
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


def no_utf8(what: str, text: str) -> str:
    """Why a text can be asked of nobody and written nowhere, and what to do; empty for one that can."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        around = text[max(0, error.start - AROUND) : error.end + AROUND]
        shown = "".join(_spelled(each) for each in around)
        return f"{what} '{shown}' is not UTF-8; write it anew, on a terminal and in a file whose text is"
    return ""


def _spelled(character: str) -> str:
    """What is no character as the byte that it was; Python keeps those of a command line so."""
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    return f"\\u{number:04x}" if 0xD800 <= number <= 0xDFFF else character


def unsaid(error: BaseException | None = None) -> str:
    """Why what was printed did not get out, as on a full disk; empty where it did. ``error``: what ended the command.

    What is left of it is dropped then: the interpreter would try once more at its end, and break off in the middle.
    """
    out: Any = sys.stdout
    try:
        if isinstance(error, OSError) and error.filename is None and error.errno in FULL:
            raise error  # nothing is left to be flushed where nothing is buffered
        if out is not None:  # it is none where whoever started us closed it
            out.flush()
    except (BrokenPipeError, ValueError):
        _drop(out)  # nobody reads on
        return ""
    except OSError as full:
        _drop(out)
        return f"standard output cannot be written ({full.strerror}): what was asked may be done, and is only not told"
    return ""


def complain(text: str) -> None:
    """Say on standard error why a command ends as it does; where that is full too, the exit code says it alone."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _drop(sys.stderr)


def _drop(stream: Any) -> None:
    """Let nothing of what a stream still holds be written."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
