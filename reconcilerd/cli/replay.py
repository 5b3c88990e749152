"""``replay``: a decision computed again, from the ledger alone, and held against what is on record."""

import json
from pathlib import Path
from typing import Any

import click

from reconcilerd import __version__
from reconcilerd.cli.options import print_json, refuse
from reconcilerd.config.load import load
from reconcilerd.domain.facts import DecisionRecorded
from reconcilerd.domain.names import format_instant
from reconcilerd.domain.record import Again, first_difference, replay
from reconcilerd.domain.visible import visible
from reconcilerd.ledger.evidence import unproven
from reconcilerd.ledger.reader import Entry, Reader, open_reader

SHOWN = 160
DOUBTS_SHOWN = 20


def replay_decision(config: Path, id_: str, *, as_json: bool) -> int:
    """Exit code 0 where it comes out the same, 1 where not, 2 for an unreadable record, 6 for an unknown id."""
    path = config.parent / load(config).ledger.path
    reader = open_reader(path)
    try:
        return _replay(reader, id_, as_json=as_json)
    finally:
        reader.close()


def _replay(reader: Reader, id_: str, *, as_json: bool) -> int:
    # Every entry names something by no text at all.
    entry = reader.entry_naming(id_) if id_.strip() else None
    made = [fact for fact in entry.facts if isinstance(fact, DecisionRecorded)] if entry is not None else []
    if entry is None or not made:
        what = (
            "no decision of that id is written down"
            if entry is None
            else f"entry {entry.seq} records no decision"
        )
        return refuse(f"{id_.strip() or repr(id_)}: {what}; see reconcilerd passes", 6, as_json=as_json)
    try:
        groups = list(replay(made[0]))
    except ValueError as bad:
        return refuse(str(bad), 2, as_json=as_json)
    doubts = [what for each in groups for what in unproven(reader, entry.seq, each.plan.position)]
    told = _told(entry, made[0], groups, doubts)
    return _say(told, 0 if told["identical"] and not doubts else 1, as_json=as_json)


def _told(entry: Entry, made: DecisionRecorded, groups: list[Again], doubts: list[str]) -> dict[str, Any]:
    other = next((each for each in groups if not each.identical), None)
    found = first_difference(other) if other is not None else None
    return {
        "decision": made.id,
        "entry": entry.seq,
        "at": format_instant(made.at),
        "policy": made.policy,
        "program": made.program,
        "groups": len(groups),
        "corrections": sum(len(each.plan.entries) for each in groups),
        "bytes": sum(len(each.recorded) for each in groups),
        "rows": sum(len(each.plan.position.stock) for each in groups),
        "listings": sum(len(each.plan.position.offers) for each in groups),
        "unproven": doubts,
        "identical": other is None,
        "group": other.plan.position.group if other is not None else None,
        "difference": {"where": found[0], "recorded": found[1], "computed": found[2]} if found else None,
        "digests": dict(made.digests),
    }


def _say(told: dict[str, Any], code: int, *, as_json: bool) -> int:
    if as_json:
        print_json({**told, "exit_code": code})
    else:
        for line in _lines(told):
            click.echo(visible(line))
    return code


def _lines(told: dict[str, Any]) -> list[str]:
    lines = [
        f"Decision {told['decision']}",
        f"  entry {told['entry']} · {told['at']} · policy {told['policy']} · by version {told['program']}",
        f"  {told['groups']} pool groups, {told['corrections']} corrections sent or held, {told['bytes']} bytes",
    ]
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
