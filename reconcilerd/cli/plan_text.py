"""Plans, what came of them, approvals and pins as text and as Markdown, from the plain values of the answers."""

import shlex
from collections.abc import Sequence
from typing import Any

from reconcilerd.cli.render import not_read_back, number, table, where
from reconcilerd.cli.wall import now
from reconcilerd.cli.wrapping import several, wrap
from reconcilerd.domain.names import parse_instant
from reconcilerd.domain.slot_names import names_of
from reconcilerd.domain.visible import visible

MARK = "<!-- reconcilerd.plan -->"
ROWS = 500
"""Rows of a Markdown table; the file has them all."""
CELL = 60
WAYS = {"lower": "-", "raise": "+"}
Answer = dict[str, Any]


def plan(told: Answer, columns: int) -> str:
    """A plan for a terminal."""
    said = told["plan"]
    lines = [*_heading(said, columns), ""]
    names = names_of(tuple(each["slot"]) for each in said["entries"])
    rows = [
        [
            each["sku"],
            names[tuple(each["slot"])],
            str(each["shown"]),
            _to(each),
            each["cause"],
            each["verdict"],
        ]
        for each in said["entries"]
    ]
    if rows:
        lines += table(
            ["SKU", "channel", "shows", "to", "cause", "verdict"], rows, columns, left={0, 1, 4, 5}
        )
        lines += ["", *_waits(said, columns)]
    else:
        lines.append("Nothing to do.")
    return "\n".join([*lines, *_unsure(told, columns), _exit(told["exit_code"])])


def _to(entry: Answer) -> str:
    """The number a correction writes; of one that is held at what it shows, what it wants instead of a write."""
    wants = entry["desired"] if entry["target"] == entry["shown"] else entry["target"]
    return str(entry["target"]) if wants == entry["target"] else f"(wants {wants})"


def written(name: str, told: Answer, columns: int, *, markdown: bool) -> str:
    """What was written to a file, and what one does with it."""
    from reconcilerd.domain.plan_file import WRITTEN

    said = told["plan"]
    lines = wrap(f"{name}: {several(len(said['entries']), 'correction')}, {' '.join(_good(said))}", columns)
    lines += _waits(said, columns)
    if _expired(said):
        lines.append("It is not applied any more: reconcilerd plan makes a new one")
    elif not markdown and not WRITTEN.isdisjoint(said["counts"]):
        lines.append(f"Apply: reconcilerd apply {shlex.quote(name)} --reason TEXT")
    return "\n".join([*lines, *_unsure(told, columns), _exit(told["exit_code"])])


def _heading(said: Answer, columns: int) -> list[str]:
    scope = " ".join(f"{name} {value}" for name, value in said["scope"].items() if value) or "everything"
    about = (
        f"{scope} · mode {said['mode']} · policy {said['policy']} · ledger entry {said['ledger']['entry']}"
        f" · made {said['made_at']} · {' '.join(_good(said))}"
    )
    return [f"Plan {said['id']}", *wrap(about, columns)]


def _good(said: Answer) -> tuple[str, str]:
    """Until when it may be applied, or since when no longer."""
    return "expired at" if _expired(said) else "good until", said["expires_at"]


def _expired(said: Answer) -> bool:
    return parse_instant(said["expires_at"]) <= now()


def _waits(said: Answer, columns: int) -> list[str]:
    """How many corrections have each verdict, and what they wait for."""
    means = {each["verdict"]: each["means"] for each in said["entries"]}
    lines = []
    for verdict, count in said["counts"].items():
        what = "goes by itself" if verdict == "send" else f"{verdict}: {means[verdict]}"
        lines += wrap(f"{count} {what}", columns, initial_indent="  ", subsequent_indent="      ")
    return lines


def _unsure(told: Answer, columns: int) -> list[str]:
    lines = []
    for each in told["incomplete"]:
        lines += wrap(f"incomplete: {each}", columns, subsequent_indent="    ")
    return lines


def _exit(code: int) -> str:
    meaning = {
        0: "nothing to do",
        3: "differences found",
        5: "incomplete: never read, or too long ago; try --fresh",
    }
    return f"exit {code}: {meaning.get(code, '')}".rstrip(": ")


def markdown(told: Answer) -> str:
    """A plan for a merge request: what waits for whom, then every correction."""
    said = told["plan"]
    about = [
        ("made", said["made_at"]),
        _good(said),
        ("mode", said["mode"]),
        ("policy", said["policy"]),
        ("ledger", f"entry {said['ledger']['entry']}, {said['ledger']['hash'][:12]}"),
        ("digest", said["digest"][:12]),
        *[(name, value) for name, value in said["scope"].items() if value],
    ]
    means = {each["verdict"]: each["means"] for each in said["entries"]}
    lines = [MARK, f"# Plan {said['id']}", "", *(f"- {name}: {cell(value)}" for name, value in about), ""]
    lines += [f"incomplete: {cell(each)}\n" for each in told["incomplete"]]
    if not said["entries"]:
        return "\n".join([*lines, "Nothing to do.", ""])
    counts = [[str(count), verdict, means[verdict]] for verdict, count in said["counts"].items()]
    lines += [*grid(["count", "verdict", "means"], counts, {0}), ""]
    names = names_of(tuple(each["slot"]) for each in said["entries"])
    rows = [
        [
            each["sku"],
            names[tuple(each["slot"])],
            each["listing_sku"],
            str(each["shown"]),
            _to(each),
            each["cause"],
            each["because"],
            each["verdict"],
        ]
        for each in said["entries"][:ROWS]
    ]
    head = ["SKU", "channel", "listing SKU", "shows", "to", "cause", "because", "verdict"]
    lines += [*grid(head, rows, {3, 4}), ""]
    if len(said["entries"]) > ROWS:
        lines += [f"and {len(said['entries']) - ROWS} more in the file.", ""]
    return "\n".join(lines)


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    """A table; ``right``: columns of numbers."""
    under = ["---:" if number in right else "---" for number in range(len(head))]
    return [
        f"| {' | '.join(each)} |" for each in (head, under, *([cell(one) for one in row] for row in rows))
    ]


def cell(value: Any) -> str:
    """One line of bounded width that no Markdown makes anything else of."""
    text = " ".join(visible(str(value)).split())
    text = text if len(text) <= CELL else text[: CELL - 1] + "…"
    for sign in "\\`*_~&[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return text


def applied(told: Answer, columns: int) -> str:
    """What came of a plan that was carried out."""
    lines = [f"Plan {told['id']}"]
    lines += _sent(told["sent"], columns) or ["Nothing was written."]
    lines += _held(told["held"], columns)
    lines += not_read_back(told, columns)
    if told.get("again"):
        lines += wrap("The plan is not used up: apply it again while it is good.", columns)
    meaning = {
        0: "done",
        3: "not everything is confirmed; see reconcilerd history",
        7: "a rail holds what is left",
    }
    return "\n".join([*lines, f"exit {told['exit_code']}: {meaning.get(told['exit_code'], '')}"])


def _sent(sent: Sequence[Answer], columns: int) -> list[str]:
    lines = []
    for each in sent:
        shows = "" if each["shows"] == each["to"] else f" (shows {number(each['shows'])})"
        why = f": {each['detail']}" if each.get("detail") else ""
        said = f"{where(each)} {each['sku']}  {each['from']} -> {each['to']}  {each['outcome']}{why}{shows}"
        lines += wrap(said, columns, initial_indent="  ", subsequent_indent="      ")
    return lines


def _held(held: Sequence[Answer], columns: int) -> list[str]:
    lines = []
    for each in held:
        said = f"{where(each)} {_named(each)}  held: {each['why']} ({each['verdict']})"
        lines += wrap(said, columns, initial_indent="  ", subsequent_indent="      ")
    return lines


def _named(each: Answer) -> str:
    """The SKU of a listing; its id where it sells none that is known, or an older daemon names none."""
    return str(each.get("sku") or each["listing"])


def reverted(told: Answer, columns: int) -> str:
    """What a revert did, or would do."""
    lines = [f"Pass {told['id']}"]
    if "would" in told:
        for each in told["would"]:
            held = "" if each["verdict"] == "send" else f"  held: {each['why']} ({each['verdict']})"
            said = f"{where(each)} {each['sku']}  {each['from']} -> {each['to']}{held}"
            lines += wrap(said, columns, initial_indent="  ", subsequent_indent="      ")
        if not told["would"]:
            lines.append("Nothing to put back.")
    else:
        idle = "Nothing was written." if told["held"] or told["skipped"] else "Nothing to put back."
        lines += _sent(told["sent"], columns) or [idle]
        lines += _held(told["held"], columns)
        lines += not_read_back(told, columns)
    for each in told["skipped"]:
        said = f"{where(each)} {_named(each)}  left alone: {each['why']}"
        lines += wrap(said, columns, initial_indent="  ", subsequent_indent="      ")
    verb = "would be left" if "would" in told else "is left"
    goes = told.get("sent") or [each for each in told.get("would", ()) if each["verdict"] == "send"]
    if goes:
        said = f"What is put back {verb} so until {told['until']}, unless it is more than there is: reconcilerd pins"
        lines += wrap(said, columns)
    if goes and "would" in told:
        lines.append("To do it, add: --apply --reason TEXT")
    return "\n".join([*lines, f"exit {told['exit_code']}"])


def passes(told: Answer, columns: int) -> str:
    """The newest passes."""
    rows = [[r["id"], r["at"], str(r["sent"]), str(r["held"])] for r in told["passes"]]
    return "\n".join(table(["pass", "at", "sent", "held"], rows, columns, left={0, 1}))


def approved(told: Answer, columns: int) -> str:
    """What was released until when, and what was not."""
    envelope, left = told["envelope"], told["zeros_left"]
    lines = [f"approved until {envelope['until']}: {_some(_limited(envelope))}"]
    if left:
        lines.append(f"not approved, since they go to zero: {_some(left)}; to approve that too: --zero")
    return "\n".join(line for text in lines for line in wrap(text, columns, subsequent_indent="  "))


def _limited(envelope: Answer) -> list[str]:
    """The SKUs of an approval, each with how far down or up it lets a listing go, where each has its own limits."""
    return [
        f"{each['sku']} ({' '.join(f'{way}{each[name]}' for name, way in WAYS.items() if each[name])})"
        for each in envelope.get("limits", ())
    ] or list(envelope["skus"])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def envelopes(told: Answer, columns: int) -> str:
    """Approvals in force, a few lines each."""
    lines = [] if told["envelopes"] else ["No approval is in force."]
    for each in told["envelopes"]:
        skus = _some(_limited(each))
        up_to = f"{each['direction']}s" if each["direction"] != "both" else "lowers and raises"
        most = "as many units as it says" if each.get("limits") else f"{each['ceiling']} units"
        state = f"REVOKED {each['revoked']}" if each["revoked"] else f"until {each['until']}"
        lines.append(each["id"])
        for said in (
            f"{skus}: {up_to} of up to {most} a listing, {'' if each['zeros'] else 'not '}to zero; "
            f"used {each['used']} times",
            f"{state}, by {each['by']}: {each['reason']}",
        ):
            lines += wrap(said, columns, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def revoked(told: Answer, _columns: int) -> str:
    """That an approval is no more."""
    return f"revoked: {told['revoked']}, after {told['used']} corrections went under it"


def pins(told: Answer, columns: int) -> str:
    """Listings that are left at their number."""
    lines = [] if told["pins"] else ["Nothing is pinned."]
    for each in told["pins"]:
        said = (
            f"{where(each)} {each['sku'] or each['listing']} stays at {number(each['shows'])}"
            f" until {each['until']}, by {each['by']}: {each['reason']}"
        )
        lines += wrap(said, columns, subsequent_indent="    ")
    return "\n".join(lines)


def lifted(told: Answer, columns: int) -> str:
    """Which pins are gone."""
    return "\n".join(wrap(f"lifted: {', '.join(told['lifted'])}", columns, subsequent_indent="    "))
