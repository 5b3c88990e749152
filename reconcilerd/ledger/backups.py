"""Backups: made while the daemon writes, proven before they count, kept in a bounded number, put back on request."""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from reconcilerd.domain.facts import LedgerRestored
from reconcilerd.domain.names import Instant, format_instant, parse_instant
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.copies import (
    Inspected,
    copy_of,
    fold_log,
    inspect,
    into_place,
    made_by_us,
    must_be_there,
    names_to_disk,
    renew_identity,
)
from reconcilerd.ledger.disk import files_of, log_of
from reconcilerd.ledger.identity import identity_in
from reconcilerd.ledger.lock import take_lock
from reconcilerd.ledger.owner import give
from reconcilerd.ledger.reader import open_reader
from reconcilerd.ledger.rotation import HOUR_MS, surplus
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.versions import ALL

OVERDUE_MS = 26 * HOUR_MS
"""An older last backup is told: a daily one, with two hours to be late."""
AHEAD_MS = HOUR_MS
"""What is dated later than now by more was dated by a clock that was ahead: clocks are set by less all the time."""
PART = ".part"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was proven, and when it was begun."""

    file: str
    at: Instant
    entries: int
    head: str
    bytes: int
    ledger: int = 0
    """Which ledger it is of; 0: none that was told."""


@dataclass(frozen=True, slots=True)
class Made:
    """What one run came to."""

    backup: Backup
    removed: tuple[str, ...]
    kept: int


def back_up(
    ledger: Path,
    folder: Path,
    clock: Callable[[], Instant],
    *,
    hourly: int,
    daily: int,
    rest: Callable[[float], None] = time.sleep,
) -> Made:
    """Copy, prove, name, record, and only then let older ones go. Raises LedgerFault; then no older one is gone."""
    must_be_there(ledger)
    with _alone_in(folder, ledger):
        at = clock()
        name = _name(ledger, at)
        part, final = folder / f"{name}{PART}", folder / name
        if final.exists():
            raise LedgerFault(f"{final}: is there already; wait a moment, then start again")
        head = copy_of(ledger, part, rest)
        try:
            give(part, ledger)
            proof = _proven(part, head)
            into_place(part, final)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        whose = identity_in(final)
        backup = Backup(str(final.absolute()), at, proof.entries, proof.head, proof.bytes, whose)
        _remember(ledger, backup)
        return Made(backup, *_rotate(ledger, folder, backup, hourly, daily))


def _proven(part: Path, head: bytes) -> Inspected:
    """What a copy is. Raises LedgerFault for one that does not hold what the ledger held when it was begun."""
    found = inspect(part)
    if found.head != head.hex():
        raise LedgerFault(f"{part}: the copy ends with another entry than the ledger did; start again")
    return found


@contextmanager
def _alone_in(folder: Path, ledger: Path) -> Iterator[None]:
    """Nobody else makes or removes backups there meanwhile; what an earlier run left half made is removed."""
    if folder.exists() and not folder.is_dir():
        itself = " (it is the ledger itself)" if ledger.exists() and folder.samefile(ledger) else ""
        raise LedgerFault(f"{folder}: is a file{itself}; name a folder for backups")
    try:
        if not folder.exists():
            folder.mkdir(parents=True, mode=0o700)
            give(folder, ledger.parent)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise LedgerFault(
            f"{folder}: cannot be used for backups ({error.strerror}); check its rights, or name another folder"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for each in folder.iterdir():
            left = re.sub(rf"{re.escape(PART)}(-journal|-wal|-shm)?$", "", each.name)
            if left != each.name and _moment(ledger, left) is not None:
                each.unlink(missing_ok=True)
        yield
    except BlockingIOError:
        raise LedgerFault(f"{folder}: another backup is being made there; let it end") from None
    finally:
        os.close(descriptor)


def _name(ledger: Path, at: Instant) -> str:
    return f"{ledger.stem}-{format_instant(at).translate(str.maketrans('', '', ':-'))}.db"


def _moment(ledger: Path, name: str) -> Instant | None:
    """When a backup of this ledger was begun, by its name; None for what is not named like one."""
    shape = re.escape(ledger.stem) + r"-(\d{4})(\d\d)(\d\d)(T\d\d)(\d\d)(\d\d(?:\.\d{3})?Z)\.db"
    found = re.fullmatch(shape, name, re.ASCII)
    if found is None:
        return None
    year, month, day, hour, minute, second = found.groups()
    with suppress(ValueError):
        return parse_instant(f"{year}-{month}-{day}{hour}:{minute}:{second}")
    return None


def _rotate(
    ledger: Path, folder: Path, newest: Backup, hourly: int, daily: int
) -> tuple[tuple[str, ...], int]:
    """Names of those removed, and how many are left. Only what bears our name and is of this ledger is ever touched."""
    ours = {
        moment: each
        for each in folder.iterdir()
        if (moment := _moment(ledger, each.name)) is not None and not each.is_symlink() and _of(newest, each)
    }
    old = surplus(ours, hourly, daily, newest.at)
    going = sorted(ours[each] for each in old if ours[each] != folder / Path(newest.file).name)
    for each in going:
        try:
            each.unlink()
        except OSError as error:
            raise LedgerFault(
                f"{each}: is not kept any longer and cannot be removed ({error.strerror}); the new backup is sound"
            ) from error
    return tuple(each.name for each in going), len(ours) - len(going)


def _of(newest: Backup, file: Path) -> bool:
    """Whether a file is a backup of the ledger that another is of: several may have one name, and one folder."""
    if not made_by_us(file):
        return False
    whose = identity_in(file)
    return whose == newest.ledger if whose else _goes_on_in(newest, file)


def _goes_on_in(newest: Backup, file: Path) -> bool:
    """Whether a ledger goes on from where a backup ends that says nothing of whose it is: older versions made such.

    Where that entry was compacted away since, it cannot be told, and the backup stays.
    """
    try:
        with closing(open_reader(file)) as old, closing(open_reader(Path(newest.file))) as ours:
            seq, head, anchor = old.latest_seq, old.head_hash, ours.anchor
            if seq and anchor is not None and anchor.through == seq:
                return anchor.hash == head.hex()
            return bool(seq) and ours.hash_of(seq) == head
    except LedgerFault:
        return False


def _record_of(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}.backup.json")


def _remember(ledger: Path, backup: Backup) -> None:
    """Write down which backup was the last good one, beside the ledger, wherever that backup is."""
    record = _record_of(ledger)
    part = record.with_name(record.name + PART)
    try:
        descriptor = os.open(
            part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(backup))
            file.flush()
            os.fsync(file.fileno())
        give(part, ledger)
    except OSError as error:
        raise LedgerFault(
            f"{record}: cannot be written ({error.strerror}); the backup {backup.file} is sound"
        ) from error
    into_place(part, record)


def last_backup(ledger: Path) -> Backup | None:
    """The last good backup of a ledger; None where there was none, or where its record cannot be read."""
    try:
        return msgspec.json.decode(_record_of(ledger).read_bytes(), type=Backup)
    except (OSError, msgspec.DecodeError):
        return None


def untimely(last: Instant, now: Instant) -> bool:
    """Whether a last backup was too long ago, or is dated so far ahead that nobody can say how long."""
    return not -AHEAD_MS <= now - last <= OVERDUE_MS


def overdue(backup: Backup | None, now: Instant, began: Instant | None) -> str | None:
    """What is wrong with the age of the last good backup, in one sentence; None: nothing.

    ``began``: when the ledger's oldest entry was written; None where it holds none. A young ledger needs no backup yet.
    A time that is still to come says nothing of an age: the clock was ahead when it was written, or is behind now.
    """
    if backup is None:
        late = began is not None and untimely(began, now)
        return "no backup was ever made; run: reconcilerd backup" if late else None
    if backup.at - now > AHEAD_MS:
        return (
            f"the last good backup is dated {format_instant(backup.at)}, which is still to come ({backup.file}): "
            "a clock was wrong; run: reconcilerd backup"
        )
    if now - backup.at > OVERDUE_MS:
        hours = (now - backup.at) // HOUR_MS
        return f"the last good backup is {hours} h old ({backup.file}); run: reconcilerd backup"
    return None


@dataclass(frozen=True, slots=True)
class Restored:
    """Where a backup was put, what it is, and where the ledger went that was there."""

    ledger: str
    replaced: str | None
    what: Inspected


def restore(file: Path, ledger: Path, clock: Callable[[], Instant], *, replace: bool, by: str) -> Restored:
    """Put a proven copy of a backup in a ledger's place, under its lock, with an entry that says so and ``by`` whom.

    The ledger that is there goes aside, whole, under another name; without ``replace`` it is refused. Whenever this
    ends, by a kill too, the ledger's name is that of the old one or of the new one, whole. A name that is a link stays
    one, and leads to the new ledger. Raises LedgerLocked where a daemon holds the ledger, LedgerFault otherwise; then
    the old one is there, unless the fault names where it went.
    """
    if not file.is_file():
        raise LedgerFault(f"{file}: there is no such file")
    if ledger.exists() and file.samefile(ledger):
        raise LedgerFault(f"{file}: is the ledger itself; name a backup")
    named, ledger = ledger, _led_to(ledger)
    with ExitStack() as locks:
        # A daemon holds the lock beside the name that it was given, and that may be either.
        for each in dict.fromkeys((named, ledger)):
            locks.callback(os.close, _locked(each))
        if ledger.exists() and not replace:
            raise LedgerFault(
                f"{ledger}: there is a ledger already; --replace puts it aside, under another name beside it"
            )
        part = ledger.with_name(f"{ledger.name}.restoring")
        part.unlink(missing_ok=True)  # of a run that was cut short; the lock is ours
        head = copy_of(file, part, lambda _: None)
        try:
            give(part, ledger if ledger.exists() else ledger.parent)
            found = _proven(part, head)
            at, there = clock(), ledger.exists()
            name = str(_aside(ledger, at)) if there else ""
            if there:
                fold_log(ledger)
            _settle_whose(part, named, ledger)
            told = LedgerRestored(str(file.absolute()), found.entries, found.head, name, by, at)
            _write_down(part, told, found, clock)
            aside = _put_aside(ledger, at) if there else None
            _replace(ledger, part, aside)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return Restored(str(ledger), None if aside is None else str(aside), found)


def _led_to(ledger: Path) -> Path:
    """The file itself where a ledger's name is a link to it. Root follows none: he is refused it with its lock."""
    if os.geteuid() == 0 or not ledger.is_symlink():
        return ledger
    return Path(os.path.realpath(ledger))


def _locked(ledger: Path) -> int:
    try:
        ledger.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return take_lock(ledger, 0)
    except OSError as error:
        raise LedgerFault(f"{ledger.parent}: cannot be written to ({error.strerror})") from error


def _write_down(part: Path, told: LedgerRestored, found: Inspected, clock: Callable[[], Instant]) -> None:
    """The first entry after those of the backup. One of an older version stays as it is: the next start upgrades it."""
    if found.schema != ALL:
        return
    try:
        with Ledger.open(part, clock=clock) as copy:
            copy.append([told], note="restored")
    finally:
        for each in (part.with_name(f"{part.name}.lock"), *files_of(part)[1:]):
            each.unlink(missing_ok=True)


def _settle_whose(part: Path, named: Path, ledger: Path) -> None:
    """A copy that goes where its ledger was is that ledger still. Anywhere else it lets none of its backups go."""
    whose, lasts = identity_in(part), (last_backup(named), last_backup(ledger))
    if whose and whose not in {identity_in(ledger), *(last.ledger for last in lasts if last)}:
        renew_identity(part)


def _replace(ledger: Path, made: Path, aside: Path | None) -> None:
    """Put a file in a ledger's place, whose log must be gone first: SQLite would fold it into whatever is there.

    Nothing is lost with the log: it was folded into its own file, and stands beside ``aside`` if that cannot be read.
    """
    _, log, index = files_of(ledger)
    try:
        for each in (log, index):
            each.unlink(missing_ok=True)
        into_place(made, ledger)
    except BaseException as error:
        if made.exists():
            if aside is not None:
                _take_back(aside, log)
            if isinstance(error, OSError):
                raise LedgerFault(f"{log}: cannot be removed ({error.strerror})") from error
            raise
        # Whatever went wrong after it, the new one has the name, and ``aside`` is all there is of the old one.
        if not isinstance(error, LedgerFault):
            raise
        why = getattr(error.__cause__, "strerror", None) or error
        went = f"; the ledger that was there is {aside}" if aside is not None else ""
        raise LedgerFault(
            f"{ledger}: the backup is in its place, and the disk does not say that it stays there ({why}){went}. "
            "Look at the disk (df -h, dmesg), then prove the ledger: reconcilerd ledger verify"
        ) from error


def _take_back(aside: Path, log: Path) -> None:
    """The ledger has its name still: all it needs is its log, and no second name."""
    kept = log_of(aside)
    if kept.exists():
        kept.rename(log)
        kept.unlink(missing_ok=True)  # where the log has both names still, a rename does nothing
    aside.unlink()


def _aside(ledger: Path, at: Instant) -> Path:
    return ledger.with_name(f"{ledger.name}.replaced-{_name(ledger, at).removeprefix(ledger.stem + '-')}")


def _put_aside(ledger: Path, at: Instant) -> Path:
    """A second name for the ledger, and its log if any, so that there is no moment without one. Raises LedgerFault."""
    aside, log = _aside(ledger, at), log_of(ledger)
    try:
        os.link(ledger, aside)
        try:
            if log.exists():
                os.link(log, log_of(aside))
            names_to_disk(ledger.parent)
        except BaseException:
            for each in (log_of(aside), aside):
                each.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise LedgerFault(
            f"{aside}: the ledger cannot be put aside there ({error.strerror}); move it yourself, then start again"
        ) from error
    return aside
