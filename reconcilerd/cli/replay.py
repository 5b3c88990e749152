"""``replay``: a decision computed again, from the ledger alone, and held against what is on record."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from reconcilerd import __version__
from reconcilerd.cli.exits import no_utf8
from reconcilerd.cli.options import print_json, refuse
from reconcilerd.cli.render import columns_of
from reconcilerd.cli.wrapping import fitted
from reconcilerd.config.load import load
from reconcilerd.domain.facts import DecisionRecorded
from reconcilerd.domain.names import format_instant
from reconcilerd.domain.record import first_difference, replay
from reconcilerd.domain.visible import visible
from reconcilerd.ledger.evidence import unproven
from reconcilerd.ledger.reader import Entry, Reader, open_reader

SHOWN = 160
DOUBTS_SHOWN = 20
SUMS = ("decisions", "groups", "corrections", "bytes", "rows", "listings")
"""What of a pass is that of all its slices together."""


def replay_decision(config: Path, id_: str, *, as_json: bool) -> int:
    """Exit code 0 where it comes out the same, 1 where not, 2 for an unreadable record, 6 for an unknown id."""
    if why := no_utf8("id", id_):
        return refuse(why, 2, as_json=as_json)
    path = config.parent / load(config).ledger.path
    reader = open_reader(path)
    try:
        return _replay(reader, id_, as_json=as_json)
    finally:
        reader.close()


def _replay(reader: Reader, id_: str, *, as_json: bool) -> int:
    entries = _entries(reader, id_)
    slices = [
        (entry, fact) for entry in entries for fact in entry.facts if isinstance(fact, DecisionRecorded)
    ]
    if not slices:
        what = (
            f"entry {entries[0].seq} records no decision"
            if entries
            else "no decision of that id is written down"
        )
        return refuse(f"{id_.strip() or repr(id_)}: {what}; see reconcilerd passes", 6, as_json=as_json)
    try:
        parts = [_told(reader, entry, made) for entry, made in slices]
    except ValueError as bad:
        return refuse(str(bad), 2, as_json=as_json)
    told = _together(parts)
    return _say(told, 0 if told["identical"] and not told["unproven"] else 1, as_json=as_json)


def _entries(reader: Reader, id_: str) -> list[Entry]:
    """All entries of a pass; or the one that names anything else. Every entry names something by no text at all."""
    if not id_.strip():
        return []
    one = reader.slices(id_) or (reader.entry_naming(id_),)
    return [entry for entry in one if entry is not None]


def _told(reader: Reader, entry: Entry, made: DecisionRecorded) -> dict[str, Any]:
    """One slice, computed again. Raises ValueError for a record that is none."""
    groups = list(replay(made))
    other = next((each for each in groups if not each.identical), None)
    found = first_difference(other) if other is not None else None
    return {
        "decision": made.id,
        "entry": entry.seq,
        "decisions": 1,
        "at": format_instant(made.at),
        "policy": made.policy,
        "program": made.program,
        "groups": len(groups),
        "corrections": sum(len(each.plan.entries) for each in groups),
        "bytes": sum(len(each.recorded) for each in groups),
        "rows": sum(len(each.plan.position.stock) for each in groups),
        "listings": sum(len(each.plan.position.offers) for each in groups),
        "unproven": [what for each in groups for what in unproven(reader, entry.seq, each.plan.position)],
        "identical": other is None,
        "group": other.plan.position.group if other is not None else None,
        "difference": {"where": found[0], "recorded": found[1], "computed": found[2]} if found else None,
        "digests": dict(made.digests),
    }


def _together(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The slices of a pass as one; where and how it differs, of the first that does."""
    other = next((each for each in parts if not each["identical"]), parts[0])
    return {
        **parts[0],
        **{name: other[name] for name in ("program", "identical", "group", "difference")},
        **{name: sum(each[name] for each in parts) for name in SUMS},
        "unproven": [what for each in parts for what in each["unproven"]],
        "digests": {group: digest for each in parts for group, digest in each["digests"].items()},
    }


def _say(told: dict[str, Any], code: int, *, as_json: bool) -> int:
    if as_json:
        print_json({**told, "exit_code": code})
    else:
        columns = columns_of(sys.stdout)
        for line in map(visible, _lines(told)):
            text = line.lstrip()
            for part in fitted(text, columns, indent=" " * (len(line) - len(text))):
                click.echo(part)
    return code


def _lines(told: dict[str, Any]) -> list[str]:
    lines = [
        f"Decision {told['decision']}",
        f"  entry {told['entry']} · {told['at']} · policy {told['policy']} · by version {told['program']}",
        f"  {told['groups']} pool groups, {told['corrections']} corrections sent or held, {told['bytes']} bytes",
    ]
    if told["decisions"] > 1:
        lines.append(f"  decided in {told['decisions']} slices, of which this entry is the first")
    proof = f"{told['rows']} stock rows and {told['listings']} listings"
    if told["unproven"]:
        lines += [f"NOT what the facts before it say: {each}" for each in told["unproven"][:DOUBTS_SHOWN]]
    else:
        lines.append(f"evidence: {proof} are what the facts before it say")
    if told["identical"]:
        return [*lines, "identical: computed again, every byte is the same"]
    other = told["difference"] or {"where": "?", "recorded": None, "computed": None}
    if told["program"] != __version__:
        lines.append(f"  this is version {__version__}, which may decide otherwise")
    return [
        *lines,
        f"DIFFERENT in {told['group']}, first at {other['where']}:",
        f"  on record  {json.dumps(other['recorded'])[:SHOWN]}",
        f"  computed   {json.dumps(other['computed'])[:SHOWN]}",
    ]
