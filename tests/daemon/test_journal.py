"""Log events in the journal's native protocol, read back as the journal reads them."""

import io
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.daemon.journal import (
    LONGEST_NAME,
    MESSAGE_IDS,
    Journal,
    entry_of,
    field_name,
    fields_of,
    is_ours,
)

ROOT = Path(__file__).parents[2]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def parsed(entry: bytes) -> list[tuple[str, str]]:
    """Fields as the journal understands a datagram."""
    found = []
    while entry:
        end = entry.index(b"\n")
        line = entry[:end]
        if b"=" in line:
            name, _, value = line.partition(b"=")
            entry = entry[end + 1 :]
        else:
            (length,) = struct.unpack_from("<Q", entry, end + 1)
            name, value = line, entry[end + 9 : end + 9 + length]
            assert entry[end + 9 + length : end + 10 + length] == b"\n"
            entry = entry[end + 10 + length :]
        found.append((name.decode(), value.decode()))
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as here:
        here.bind(str(tmp_path / "journal"))
        here.settimeout(5)
        yield here


def received(journal: socket.socket) -> list[tuple[str, str]]:
    data, beside, _, _ = journal.recvmsg(2**20, 4096)
    if not beside:
        return parsed(data)
    (file,) = struct.unpack("i", beside[0][2])
    with os.fdopen(file, "rb") as sealed:
        assert data == b""
        sealed.seek(0)
        with pytest.raises(OSError, match="not permitted"):
            os.write(sealed.fileno(), b"x")
        return parsed(sealed.read())


@given(st.lists(st.tuples(st.from_regex("[A-Z][A-Z0-9_]{0,20}", fullmatch=True), TEXT), max_size=8))
def test_every_field_arrives_whatever_its_value_is(fields: list[tuple[str, str]]) -> None:
    assert parsed(entry_of(fields)) == fields


@given(st.text(min_size=1))
def test_a_name_is_one_that_the_journal_takes(key: str) -> None:
    name = field_name(key)
    assert name.startswith("RECONCILER_")
    assert len(name) <= LONGEST_NAME
    assert name.isascii()
    assert name == name.upper()
    assert name.replace("_", "").isalnum()


@given(
    st.dictionaries(
        st.from_regex("[a-z_]{1,12}", fullmatch=True), TEXT | st.integers() | st.none(), max_size=6
    )
)
def test_every_key_is_a_field_and_the_message_begins_with_the_event(event: dict[str, object]) -> None:
    fields = fields_of({**event, "event": "correction_planned", "level": "warning"})
    for key, value in event.items():
        if key not in {"event", "level", "exception"} and value is not None:
            assert (field_name(key), str(value)) in fields
    said = dict(fields)
    assert said["MESSAGE"].startswith("correction_planned")
    assert said["PRIORITY"] == "4"
    assert said["MESSAGE_ID"] == MESSAGE_IDS["correction_planned"]


def test_ids_are_ids_and_no_two_events_share_one() -> None:
    assert len(set(MESSAGE_IDS.values())) == len(MESSAGE_IDS)
    assert all(len(each) == 32 and int(each, 16) for each in MESSAGE_IDS.values())


def test_every_event_with_an_id_is_one_that_is_logged() -> None:
    """An id of an event that was renamed would be waited for in vain."""
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "reconcilerd").rglob("*.py"))
    assert [name for name in MESSAGE_IDS if code.count(f'"{name}"') < 2] == []


@pytest.mark.parametrize("size", [10, 100_000, 20_000_000])
def test_an_entry_of_any_size_arrives(tmp_path: Path, journal: socket.socket, size: int) -> None:
    fields = [("MESSAGE", "x" * size), ("RECONCILER_SKU", "a\nb")]
    with closing(Journal(str(tmp_path / "journal"), io.StringIO())) as way:
        way.write([*fields, ("PRIORITY", "6")])
    assert received(journal)[:2] == fields


def test_what_the_journal_does_not_take_is_said_on_the_other_way(tmp_path: Path) -> None:
    said = io.StringIO()
    with closing(Journal(str(tmp_path / "none"), said)) as way:
        way.write(fields_of({"event": "task_hangs", "level": "critical", "n": 1}))
    assert said.getvalue() == "<2>task_hangs n=1\n"


def test_a_journal_that_does_not_read_holds_nobody_up(tmp_path: Path, journal: socket.socket) -> None:
    said = io.StringIO()
    with closing(Journal(str(tmp_path / "journal"), said)) as way:
        for number in range(3_000):
            way.write(fields_of({"event": f"event {number}", "level": "info"}))
    assert "event 2999" in said.getvalue()


def test_it_is_spoken_only_where_standard_error_is_the_journals(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as file:
        found = os.fstat(file.fileno())
        assert is_ours(file, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert not is_ours(file, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
        assert not is_ours(file, {"JOURNAL_STREAM": "nonsense"})
        assert not is_ours(file, {})
    assert not is_ours(io.StringIO(), {"JOURNAL_STREAM": "1:1"})


LOGS = """
import logging, sys
from reconcilerd.config.secret import Secret, redact
from reconcilerd.daemon import journal, logs
journal.Journal.__init__.__defaults__ = (sys.argv[1], None)
import structlog
logs.configure("info", lambda: 0, redact)
word = Secret("a-canary-of-a-secret")
log = structlog.get_logger("x")
log.info("correction_planned", sku="MUG-RED", channel="shop-uk", shown=5, because={"a": [1, word.reveal()]})
log.debug("never_said")
try:
    raise ValueError(word.reveal())
except ValueError:
    log.exception("task_broke", task="poll")
logging.getLogger("library").warning("it knows %s", word.reveal())
"""


def test_events_of_ours_and_of_libraries_become_entries_and_no_secret_does(
    tmp_path: Path, journal: socket.socket
) -> None:
    with (tmp_path / "err").open("w+", encoding="utf-8") as err:
        found = os.fstat(err.fileno())
        env = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", LOGS, str(tmp_path / "journal")]
        subprocess.run(command, env=env, stderr=err, check=True, timeout=60)
        err.seek(0)
        assert err.read() == ""
    planned, broke, library = (dict(received(journal)) for _ in range(3))
    assert planned["RECONCILER_SKU"] == "MUG-RED"
    assert "sku=MUG-RED channel=shop-uk shown=5" in planned["MESSAGE"]
    assert json.loads(planned["RECONCILER_BECAUSE"]) == {"a": [1, "***"]}
    assert planned["PRIORITY"] == "6"
    assert "ValueError: ***" in broke["MESSAGE"]
    assert "<module>" in broke["MESSAGE"]
    assert broke["PRIORITY"] == "3"
    assert (library["MESSAGE"].split()[0], library["RECONCILER_LOGGER"]) == ("it", "library")
    assert "a-canary" not in str([planned, broke, library])
    journal.settimeout(0.2)
    with pytest.raises(TimeoutError):
        received(journal)
