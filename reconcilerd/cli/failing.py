"""How a command ends: what it raises becomes one sentence, or a JSON object for who asked for JSON, and a code."""

import errno
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from types import MappingProxyType
from typing import Any, Final

import click

from reconcilerd.cli.exits import as_error, complain, no_utf8, unsaid
from reconcilerd.config.secret import redact
from reconcilerd.domain.visible import LINES, visible
from reconcilerd.errors import ConfigFault, Denied, LedgerFault, LedgerLocked, ReconcilerdError

_RIGHTS: Final = "look at the rights of it and of the folders above it, or name another"
_SPACE: Final = "free space, or name another"
_ANOTHER: Final = "name another"
MENDED: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.EACCES: _RIGHTS,
        errno.EPERM: _RIGHTS,
        errno.ENAMETOOLONG: "name a shorter one",
        errno.ELOOP: "its links lead nowhere; name another",
        errno.ENOTDIR: _ANOTHER,
        errno.EISDIR: _ANOTHER,
        errno.EROFS: _ANOTHER,
        errno.ENOSPC: _SPACE,
        errno.EDQUOT: _SPACE,
    }
)
"""What a person does about a file that the system will not give: all other errors of the system are bugs of ours."""
_REST: Final = re.compile(r"(?:.*: )?\.\.\. and ([0-9]{1,9}) more", re.DOTALL)
"""How a list of faults ends that was cut, behind the name of the file that they are in where one has several."""


def code_of(error: ReconcilerdError) -> int:
    """The exit code that an error ends a command with."""
    match error:
        case LedgerLocked():
            return 8
        case ConfigFault() | LedgerFault():
            return 2
        case Denied():
            return 4
        case _:
            return 5


def ended(command: Callable[[], Any], *, as_json: bool) -> int:
    """Run a command; its exit code. A bug goes on as it is, unless JSON was asked for."""
    try:
        code = command()
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", 130) if as_json else 130
    except click.ClickException as usage:
        if as_json:
            return _say(usage.format_message(), 2)
        _show(usage)
        return 2
    except SystemExit:
        # Nobody reads on: click has silenced what is left to say, and calls it an error.
        if "PacifyFlush" not in type(sys.stdout).__name__:
            raise
        return 0
    except ReconcilerdError as trouble:
        return _told(trouble, as_json=as_json)
    except Exception as bug:
        found = _no_bug(bug)
        if found is not None:
            return _tell(*found, as_json=as_json)
        if not as_json:
            raise
        return _say(f"a bug, {type(bug).__name__}: {bug}; run it without --json to see where", 1)
    why = unsaid()
    if why:
        return _tell(why, 5, as_json=as_json)
    return code if isinstance(code, int) else 0


def _show(usage: click.ClickException) -> None:
    """What click says of it, in lines that fit a terminal."""
    from reconcilerd.cli.render import columns_of
    from reconcilerd.cli.wrapping import all_fitted

    said = StringIO()
    usage.show(said)
    complain("\n".join(all_fitted(said.getvalue(), columns_of(sys.stderr))))


def _no_bug(error: Exception) -> tuple[str, int] | None:
    """What to say of an error that a person can mend, and its exit code; None for one that nobody but us can."""
    if isinstance(error, UnicodeEncodeError):
        why = no_utf8("the text", error.object)
        return (why, 2) if why else None
    why = unsaid(error)
    if why:
        return why, 5
    if not isinstance(error, OSError) or error.filename is None or isinstance(error.filename, int):
        return None
    do = MENDED.get(error.errno or 0)
    return None if do is None else (f"{os.fsdecode(error.filename)}: {error.strerror}; {do}", 2)


def _told(trouble: ReconcilerdError, *, as_json: bool) -> int:
    code = code_of(trouble)
    faults = trouble.faults if isinstance(trouble, ConfigFault) else ()
    if as_json:
        return _say(str(trouble), code, faults)
    if not faults:
        return _tell(str(trouble), code, as_json=False)
    count = _count(faults)
    head = f"cannot begin, {count} fault{'s' * (count > 1)}:"
    return _tell("\n  ".join((head, *faults)), code, as_json=False)


def _count(faults: Sequence[str]) -> int:
    """How many there are, also those that are not told one by one."""
    rests = map(_REST.fullmatch, faults)
    return sum(1 if rest is None else int(rest[1]) for rest in rests)


def _tell(message: str, code: int, *, as_json: bool) -> int:
    """Why it ends so, in words that fit a terminal, or as JSON."""
    if as_json:
        return _say(message, code)
    from reconcilerd.cli.render import columns_of, refusal

    complain(refusal(visible(message, LINES), columns_of(sys.stderr)))
    return code


def _say(message: str, code: int, faults: tuple[str, ...] = ()) -> int:
    complain(as_error(redact(message), code, tuple(map(redact, faults))))
    return code
