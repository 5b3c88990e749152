"""``handover`` and ``digest`` as text, from the plain values of the answers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconcilerd.cli.alert_text import short
from reconcilerd.cli.render import where
from reconcilerd.cli.wrapping import wrap
from reconcilerd.daemon.daily_text import lines_of, title_of

Answer = Mapping[str, Any]
NOBODY = "NO DAEMON RUNS: this is what the ledger holds"


def handover(told: Answer, columns: int) -> str:
    """The whole of it; what there is none of is not told, but for what somebody would look for."""
    lines = [] if told["daemon"] else [NOBODY]
    lines += wrapped(f"Handover at {told['at']}, since {told['since']}", columns, "")
    lines.append(f"mode {told['mode']} · policy {told['policy']}")
    if told["stopped"]:
        lines.append("STOPPED: the STOP file is there, nothing is written")
    if not told["complete"]:
        lines += wrapped(
            "The ledger's older entries were compacted away: not all of it is told.", columns, ""
        )
    sections = {
        "FROZEN": _freezes(told),
        "TRIPPED": (
            f"{each['name']}, since {each['since']}{_until(each)}: {each['why']}" for each in told["tripped"]
        ),
        "HELD": _holds(told),
        "HALF APPROVED": (_half_approved(each) for each in told["half_approved"]),
        "APPROVED": (_approval(each) for each in told["approvals"]),
        "PINNED": (_pin(each) for each in told["pins"]),
        "SILENCED": (
            f"{each['kinds']} of {each['subjects']}{_until(each)}, by {each['by']}: {each['reason']} "
            f"({each['id']})"
            for each in told["silences"]
        ),
        "ALERTS OPEN": (_alert(each) for each in told["alerts"] if each["stage"] in {"firing", "keeping"}),
        "OPENED SINCE": (f"{clock(each['began'])} {_alert(each)}" for each in told["alerts_opened"]),
        "CLOSED SINCE": (f"{clock(each['ended'])} {_alert(each)}" for each in told["alerts_closed"]),
        "DONE SINCE": _done(told),
        "POLICY SINCE": (
            f"{clock(each['at'])} {each['about']}, by {each['by']}" for each in told["policies"]
        ),
    }
    for title, rows in sections.items():
        lines += section(title, list(rows), columns)
        if title == "HELD" and told["waiting_for_approval"]:
            how = "reconcilerd approve held --reason TEXT"
            lines += wrapped(f"{told['waiting_for_approval']} wait for a person: {how}", columns, "  ")
    return "\n".join(lines)


def digest(told: Answer, columns: int) -> str:
    """The words in which it is sent, fitted to a terminal, and who took them."""
    lines = [] if told["daemon"] else [NOBODY]
    lines += wrapped(title_of(told, ""), columns, "")
    for each in lines_of(told):
        lines += wrapped(each.strip(), columns, "  " if each.startswith(" ") else "")
    for each in told["sent"] or ():
        how = "sent" if each["accepted"] else f"NOT TAKEN: {each['reply']}"
        lines += wrapped(f"{each['receiver']}: {how}", columns, "")
    return "\n".join(lines)


def section(title: str, rows: Sequence[str], columns: int) -> list[str]:
    """A heading with how many there are, and a paragraph each; nothing is said in one line."""
    if not rows:
        return [f"{title:<13} none"]
    return [f"{title:<13} {len(rows)}", *(line for row in rows for line in wrapped(row, columns, "  "))]


def wrapped(text: str, columns: int, indent: str) -> list[str]:
    """Lines that fit; names are not broken."""
    return wrap(
        text,
        columns,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
    )


def clock(at: str | None) -> str:
    """A moment to the second."""
    return "?" if at is None else f"{at[:10]} {at[11:19]}Z"


def _until(each: Answer) -> str:
    return f" until {clock(each['until'])}" if each["until"] else ""


def _freezes(told: Answer) -> Iterator[str]:
    for each in told["freezes"]:
        end = _until(each) or ", until somebody lifts it"
        yield f"{each['channel']}, since {clock(each['at'])}{end}, by {each['by']}: {each['reason'] or '-'}"
    for each in told["freeze_windows"]:
        lets = ", ".join(each["allow"]) or "nothing"
        yield f"{each['channel']}, by a window of the configuration that lets through: {lets}"


def _holds(told: Answer) -> Iterator[str]:
    for each in told["holds"]:
        some = ", ".join(each["skus"]) + (" ..." if each["count"] > len(each["skus"]) else "")
        yield f"{each['count']} on {each['channel']}: {each['why']} ({each['verdict']}): {some}"


def _half_approved(each: Answer) -> str:
    skus = f"{', '.join(each['skus'][:5])}{' ...' if len(each['skus']) > 5 else ''}"
    return f"{skus} on {each['channel']}{_until(each)}: {each['by']} agreed, somebody else must, in Slack"


def _approval(each: Answer) -> str:
    skus = ", ".join(each["skus"][:5]) + (" ..." if len(each["skus"]) > 5 else "")
    gone = f"; revoked {each['revoked']}" if each["revoked"] else ""
    way = {"both": "both ways"}.get(each["direction"], f"to {each['direction']}")
    return (
        f"{skus}, {way}, up to {each['ceiling']} units{_until(each)}, by {each['by']}: {each['reason']}; "
        f"used {each['used']} times{gone} ({each['id']})"
    )


def _pin(each: Answer) -> str:
    shows = "?" if each["shows"] is None else each["shows"]
    what = f"{where(each)} {each['sku'] or each['listing']}"
    return f"{what} at {shows}{_until(each)}, by {each['by']}: {each['reason']}"


def _alert(each: Answer) -> str:
    return f"{each['severity']} {short(each['key'])}: {' '.join(each['summary'].split())}"


def _done(told: Answer) -> Iterator[str]:
    if told["done_left_out"]:
        yield f"{told['done_left_out']} more before these"
    for each in told["done"]:
        many = (
            f" and {each['count'] - 1} more"
            if each["what"] in {"pinned", "unpinned"} and each["count"] > 1
            else ""
        )
        why = f": {each['reason']}" if each["reason"] else ""
        yield f"{clock(each['at'])} {each['by']} {each['what']} {each['about']}{many}{_until(each)}{why}"
