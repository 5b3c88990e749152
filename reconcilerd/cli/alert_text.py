"""Alerts, silences and tests of receivers as text, from the plain values of the answers."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from reconcilerd.cli.render import table
from reconcilerd.cli.wrapping import wrap

Answer = Mapping[str, Any]
PREFIX = "reconcilerd/"


def listed(told: Answer, columns: int) -> str:
    """``alerts list``: a block an alert, the worst first; then silences, and who hears."""
    lines = [] if told["daemon"] else ["NO DAEMON RUNS: this is what the ledger holds, and nobody is told"]
    for each in told["alerts"]:
        lines += [*_alert(each, columns), *_next(each, columns), ""]
    for each in told["silences"]:
        lines += [*_silence(each, columns), ""]
    for each in told["half_approved"]:
        lines += [*_half_approved(each, columns), ""]
    lines += wrap(_sum(told), columns)
    if told["buttons"]:
        lines += wrap(f"BUTTONS IN SLACK ARE NOT HEARD: {told['buttons']}", columns, subsequent_indent="  ")
    if told["unheard"]:
        lines += wrap(told["unheard"], columns, subsequent_indent="  ")
    return "\n".join(lines)


def _sum(told: Answer) -> str:
    open_ = sum(each["stage"] in {"firing", "keeping"} for each in told["alerts"])
    waits = len(told["alerts"]) - open_
    pending = f", not for long enough yet: {waits}" if waits else ""
    if not told["daemon"]:
        hears = "nobody is told until a daemon runs"
    elif told["receivers"]:
        hears = f"told to {', '.join(told['receivers'])}"
    else:
        hears = "NOBODY IS TOLD: no receiver is configured"
    return f"open: {open_}{pending}; silences: {len(told['silences'])}; {hears}."


def shown(told: Answer, columns: int) -> str:
    """``alerts show``: the same block, with its details and how it changed."""
    lines = _alert(told, columns)
    for name, text in sorted(told["details"].items()):
        lines += _labelled(name, text, columns)
    lines += _labelled("to do", told["runbook"], columns)
    rows = [[each["at"], each["stage"], str(each["episode"])] for each in told["changes"]]
    return "\n".join([*lines, "", *table(["at", "stage", "episode"], rows, columns, left={0, 1})])


def _alert(each: Answer, columns: int) -> list[str]:
    from reconcilerd.domain.alerts import STAGE_MEANS
    from reconcilerd.domain.facts import AlertStage

    stage = "" if each["stage"] == "firing" else f", {STAGE_MEANS[AlertStage(each['stage'])]}"
    heard = ", ".join(f"{name} ({what})" for name, what in sorted(each["told"].items()))
    lines = [f"{each['severity'].upper()} {short(each['key'])}"]
    lines += wrap(each["summary"], columns, initial_indent="  ", subsequent_indent="  ")
    lines += _labelled("since", f"{each['began']}{stage}", columns)
    lines += _labelled("told", heard or "nobody yet", columns)
    if each["muted_by"]:
        lines += _labelled("muted", f"explained by {short(each['muted_by'])}", columns)
    if each["silence"]:
        lines += _labelled("silenced", each["silence"], columns)
    return lines


def _next(each: Answer, columns: int) -> list[str]:
    """What to do about it, and where more is said: who reads a list at night looks no further."""
    do = each["details"].get("do", "")
    return [*(_labelled("do", do, columns) if do else []), *_labelled("more", each["runbook"], columns)]


def _labelled(label: str, text: str, columns: int) -> list[str]:
    return wrap(
        text,
        columns,
        initial_indent=f"  {label:<9}",
        subsequent_indent=" " * 11,
        break_long_words=False,
    ) or [f"  {label}"]


def short(key: str) -> str:
    """A key as commands take it."""
    return key.removeprefix(PREFIX)


def _silence(each: Answer, columns: int) -> list[str]:
    of = f"{each['kinds']} of {each['subjects']}"
    text = f"SILENCE {each['id']}: {of} until {each['until']}, by {each['by']}: {each['reason']}"
    return wrap(text, columns, subsequent_indent="  ", break_long_words=False)


def _half_approved(each: Answer, columns: int) -> list[str]:
    skus = f"{', '.join(each['skus'][:5])}{' ...' if len(each['skus']) > 5 else ''}"
    text = (
        f"HALF APPROVED on {each['channel']}: {skus}; {each['zeros']} listings could come to zero. "
        f"{each['by']} agreed; somebody else must, in Slack, until {each['until']}"
    )
    return wrap(text, columns, subsequent_indent="  ", break_long_words=False)


def silenced(told: Answer, columns: int) -> str:
    """``alerts silence``: what it covers now, and how it is lifted."""
    covers = ", ".join(short(each) for each in told["covers"]) or "nothing that is open"
    lines = [*_silence(told["silence"], columns), *wrap(f"It covers {covers}.", columns)]
    return "\n".join(
        [*lines, f"To lift it: reconcilerd alerts unsilence {shlex.quote(told['silence']['id'])}"]
    )


def tried(told: Answer, columns: int) -> str:
    """``alerts test``: a line for each thing that a receiver was told."""
    rows = [
        [
            each["receiver"],
            step["what"],
            "accepted" if step["accepted"] else "REFUSED",
            "-" if step["status"] is None else str(step["status"]),
            f"{step['latency_ms']} ms",
            step["reply"],
        ]
        for each in told["receivers"]
        for step in each["steps"]
    ]
    head = ["receiver", "told", "outcome", "status", "took", "reply"]
    return "\n".join(table(head, rows, columns, left={0, 1, 2, 5}))


def in_status(told: Answer, columns: int, most: int = 10) -> list[str]:
    """A line for each open alert and each silence, cut to fit."""
    open_ = [each for each in told["alerts"] if each["stage"] in {"firing", "keeping"}]
    lines = [
        f"HALF APPROVED on {each['channel']} by {each['by']}, until {each['until']}: {', '.join(each['skus'])}"
        for each in told["half_approved"]
    ]
    lines += [_one_line(each) for each in open_[:most]]
    if len(open_) > most:
        lines.append(f"and {len(open_) - most} more alerts: reconcilerd alerts list")
    lines += [
        f"SILENCE {each['kinds']} of {each['subjects']} until {each['until']}, by {each['by']}: {each['reason']}"
        for each in told["silences"]
    ]
    return [line if len(line) <= columns else f"{line[: columns - 1]}…" for line in lines]


def _one_line(each: Answer) -> str:
    quiet = " (silenced)" if each["silence"] else " (muted)" if each["muted_by"] else ""
    quiet += " (ends soon)" if each["stage"] == "keeping" else ""
    return f"ALERT {each['severity']}{quiet} {short(each['key'])}: {' '.join(each['summary'].split())}"


def kinds(known: Sequence[tuple[str, str, str]], columns: int) -> str:
    """``runbook`` without a kind: (name, severity, meaning) of each."""
    names, severities = (2 + max(len(each[i]) for each in known) for i in (0, 1))
    lines = [f"  {'kind':<{names}}{'severity':<{severities}}means"]
    for name, severity, means in known:
        head = f"  {name:<{names}}{severity:<{severities}}"
        lines += wrap(means, columns, initial_indent=head, subsequent_indent=" " * len(head))
    return "\n".join([*lines, "", "reconcilerd runbook KIND says what to do."])
