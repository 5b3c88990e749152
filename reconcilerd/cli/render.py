"""Sheets, explanations and history as text, from the plain values the daemon answers with.

Standard library only: the thin ``reconcile`` entry prints with it. Numbers stand right, words carry the state,
unknown is ``?`` and never 0, a SKU is never cut. At most 100 columns.
"""

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from reconcilerd.cli.wrapping import NARROW, all_fitted, fitted, wrap
from reconcilerd.domain.slot_names import Slot, names_of

WIDEST = 100
NARROWEST = 40
LEFT_OF_IT = 8
"""Characters of a column that is cut, at the least."""
NAMED = 5
"""Of a list that may be long, so many are named: the rest of the screen must stay in sight."""


def width() -> int:
    """Columns to use: the terminal's, at most 100."""
    return _bounded(shutil.get_terminal_size((WIDEST, 24)).columns)


def columns_of(stream: TextIO) -> int | None:
    """Columns of the terminal that a stream is, or that COLUMNS speaks of; None for a file or a pipe.

    What is read there by programs, or searched later, keeps its lines whole.
    """
    said = os.environ.get("COLUMNS", "")
    try:
        columns = int(said) if said.isdecimal() else os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None
    return _bounded(columns) if columns else None


def _bounded(columns: int) -> int:
    return max(NARROWEST, min(WIDEST, columns))


def refusal(message: str, columns: int | None, program: str = "reconcilerd") -> str:
    """Why a command does not do what was asked: lines that fit, each as far in as it was."""
    return "\n".join(all_fitted(f"{program}: {message}", columns))


def sheets(answer: dict[str, Any], columns: int) -> str:
    """The whole answer to ``reconcile``."""
    parts = [sheet(each, answer, columns) for each in answer["skus"]]
    many = answer["looked_at"] > 1 or not parts
    if many:
        differ = sum(1 for each in answer["skus"] if each["would_do"])
        parts.append(f"{answer['looked_at']} SKUs looked at, {differ} differ.")
    for each in answer["corrected"]:
        by = "Corrected" if answer["applied"] else "Corrected meanwhile by the daemon"
        back = "and read back" if each.get("read_back", True) else "not read back yet"
        parts.append(f"{by}, {back}: {where(each)} {each['from']} -> {each['to']}")
    parts += not_read_back(answer, columns)
    if answer["applied"] and not answer["corrected"]:
        parts.append("Nothing was written.")
    parts.append(_ending(answer, columns))
    return "\n".join(parts)


def not_read_back(answer: Mapping[str, Any], columns: int) -> list[str]:
    """What could not be read after writes, whatever came of these."""
    lines = []
    for why in answer.get("not_read_back", ()):
        lines += wrap(f"NOT READ BACK: {why}", columns, subsequent_indent="  ", break_long_words=False)
    return lines


def tripped(answer: dict[str, Any], columns: int) -> str:
    """``breaker list``: one block a rail, the command that resets it whole on its line."""
    if not answer["tripped"]:
        return "Nothing is tripped."
    lines: list[str] = []
    for each in answer["tripped"]:
        until = f", until {each['until']} at the latest" if each["until"] else ""
        lines.append(each["name"])
        for label, text in (
            ("since", f"{each['since']}{until}"),
            ("why", each["why"]),
            ("evidence", each["evidence"] or "-"),
            ("reset", f"means: {each['reset_means']}"),
        ):
            lines += wrap(
                text,
                columns,
                initial_indent=f"  {label:<9}",
                subsequent_indent=" " * 11,
                break_long_words=False,
            )
        lines += [f"           reconcilerd breaker reset {shlex.quote(each['name'])} --reason TEXT", ""]
    lines.append(f"{len(answer['tripped'])} tripped.")
    return "\n".join(lines)


def audited(answer: dict[str, Any], columns: int) -> str:
    """``audit``: what differs after everything was read, and what could not be read."""
    lines = [sheets(answer, columns)]
    for feed, why in sorted(answer["unread"].items()):
        lines += wrap(f"NOT READ {feed}: {why}", columns, subsequent_indent="  ", break_long_words=False)
    if answer["ledger"] != "proven":
        lines += wrap(f"LEDGER BROKEN at {answer['ledger']}", columns, subsequent_indent="  ")
    return "\n".join(lines)


def reloaded(answer: dict[str, Any], columns: int) -> str:
    """What a reload put in force, and what it cannot."""
    before, policy = answer["before"], answer["policy"]
    same = f"the same policy, {policy}" if before == policy else f"policy {before} -> {policy}"
    said = f"reloaded: {same}, mode {answer['mode']}"
    if before != policy:
        said += (
            "; it is looked at first and goes by itself only if it changes little (reconcilerd breaker list)"
        )
    lines = wrap(said, columns, break_long_words=False)
    for key in answer["changed"]:
        lines.append(f"  {key}")
    return "\n".join([*lines, *wrap(answer["note"], columns, break_long_words=False)])


def sheet(one: dict[str, Any], answer: dict[str, Any], columns: int) -> str:
    """One SKU: heading, supply, channels, what would be done."""
    done = "read now" if answer["fresh"] else "as last read"
    lines = [
        f"{one['sku']}  {one['title']}".rstrip(),
        *wrap(
            f"{done} · mode {answer['mode']} · policy {answer['policy']} · {answer['generated_at']}", columns
        ),
    ]
    if one["bundle_of"]:
        parts = ", ".join(f"{each['units']} x {each['sku']}" for each in one["bundle_of"])
        lines += wrap(f"bundle of {parts}", columns)
    if one["shares_stock_with"]:
        lines += wrap(f"shares stock with {', '.join(one['shares_stock_with'])}", columns)
    lines += [
        "",
        *_supply(one, columns),
        "",
        *_channels(one, columns),
        "",
        *_would_do(one, answer, columns),
        "",
    ]
    return "\n".join(lines)


def _supply(one: dict[str, Any], columns: int) -> list[str]:
    supply = one["supply"]
    bundle = bool(one["bundle_of"])
    head = ["location", "on hand", "unavail", "committed", "available", "age", ""]
    rows = [
        [
            f"{row['sku']} {row['name']}" if bundle else str(row["name"]),
            str(row["on_hand"]),
            str(row["unavailable"]),
            str(row["committed"]),
            str(row["available"]),
            age(row["age_s"]),
            "" if row["counted"] else "not for this SKU",
        ]
        for row in supply["locations"]
    ]
    rows += [[str(name), "?", "-", "-", "?", "-", "never read"] for name in supply["unknown"]]
    lines = ["SUPPLY", *table(head, rows, columns, left={0, 6})]
    if supply["in_flight"]:
        orders = ", ".join(f"{o['order']} ({o['channel']})" for o in supply["in_flight_orders"][:4])
        more = " ..." if len(supply["in_flight_orders"]) > 4 else ""
        lines += wrap(
            f"  in flight {supply['in_flight']}: sold, not yet in Extensiv{': ' + orders + more if orders else ''}",
            columns,
            subsequent_indent="    ",
        )
    for each in supply["otherwise_taken"]:
        lines += wrap(f"  taken {each['units']}: {each['why']}", columns, subsequent_indent="    ")
    if supply["safety_stock"]:
        lines.append(f"  safety stock {supply['safety_stock']}, never offered")
    if supply["reserved"]:
        lines.append(f"  reserved {supply['reserved']}, offered again by itself")
    if supply["inbound"]:
        lines.append(f"  inbound {supply['inbound']} counted on, only where zero does not stop sales")
    total = ", ".join(f"{each['sku'] + ' ' if bundle else ''}{each['units']}" for each in supply["available"])
    if total:
        lines += wrap(f"  available in all: {total}", columns, subsequent_indent="    ")
    return lines


def _channels(one: dict[str, Any], columns: int) -> list[str]:
    head = ["channel", "rule", "desired", "observed", "diff", "age", "state", "cause"]
    names = names_of(map(_slot, one["channels"]))
    rows = [
        [
            names[_slot(row)],
            str(row["rule"]),
            number(row["desired"]),
            number(row["observed"]),
            "-" if row["difference"] is None else f"{row['difference']:+d}" if row["difference"] else "0",
            age(row["age_s"]),
            _state(row),
            str(row["cause"] or "-"),
        ]
        for row in one["channels"]
    ]
    rows += [[str(name), "-", "?", "?", "-", "-", "never read", "-"] for name in one["not_read"]]
    lines = (
        ["CHANNELS", *table(head, rows, columns, left={0, 1, 6, 7})] if rows else ["CHANNELS  none listed"]
    )
    for row in one["channels"]:
        packs = f", {row['units_per_sale']} units a sale" if row["units_per_sale"] > 1 else ""
        if packs or row["listing_sku"] != str(one["sku"]).casefold():
            said = f"{names[_slot(row)]} sells it as {row['listing_sku']}{packs}"
            lines += wrap(said, columns, initial_indent="  ", subsequent_indent="    ")
    kind = "split" if one["split"] else "shared"
    said = f"pool {one['pool']} ({kind}) · exposure {one['exposure']} · hidden units {one['hidden']}"
    return [*lines, *wrap(said, columns, initial_indent="  ", subsequent_indent="    ")]


def _slot(row: dict[str, Any]) -> Slot:
    return row["channel"], row["listing"], row.get("place", "")


def _state(row: dict[str, Any]) -> str:
    if row["state"] != "buyable":
        return str(row["state"])
    if row["native_push"] and row["verdict"] != "send":
        return "Extensiv pushes"
    if row["verdict"] is None:
        return "in step" if row["ideal"] == row["desired"] else f"kept, ideal {row['ideal']}"
    return "DRIFT" if row["verdict"] == "send" else "held"


def _would_do(one: dict[str, Any], answer: dict[str, Any], columns: int) -> list[str]:
    if not one["would_do"]:
        return ["WOULD DO  nothing"]
    verb = "LEFT TO DO" if answer["applied"] else "WOULD DO"
    lines = [verb]
    names = names_of(map(_slot, one["channels"]))
    for action in one["would_do"]:
        verdict = "" if action["verdict"] == "send" else f"  held: {action['why']}"
        # A daemon that was started before its programs were renewed names no place.
        name = names.get(_slot(action), action["channel"])
        said = f"{name}  {action['from']} -> {action['to']}{verdict}"
        lines += wrap(said, columns, initial_indent="  ", subsequent_indent="      ")
    return lines


def _ending(answer: dict[str, Any], columns: int) -> str:
    meaning = {
        0: "in step",
        3: "differences remain" if answer["applied"] else "differences found",
        5: "incomplete: never read, or too long ago to say; try --fresh",
        7: "a rail holds what is left",
    }
    hints = ""
    goes = [each["sku"] for each in answer["skus"] if any(a["verdict"] == "send" for a in each["would_do"])]
    differ = [each["sku"] for each in answer["skus"] if each["would_do"]]
    if answer["exit_code"] == 3 and not answer["applied"] and differ:
        said = [f"Apply: reconcile --sku {shlex.quote(goes[0])} --apply"] if goes else []
        said.append(f"Why: reconcilerd explain --sku {shlex.quote((goes or differ)[0])}")
        together = "    ".join(said)
        hints = (together if len(together) <= columns else "\n".join(said)) + "\n"
    ending = f"exit {answer['exit_code']}: {meaning.get(answer['exit_code'], '')}"
    return hints + "\n".join(wrap(ending, columns, subsequent_indent="  "))


def explanation(answer: dict[str, Any], columns: int) -> str:
    """The sentences of ``explain``, one paragraph a listing."""
    parts = []
    for listing in answer["listings"]:
        channel = listing["slot"].partition("/")[0]
        lines = [f"{listing['sku']} on {channel}, {listing['at']}", f"  slot {listing['slot']}"]
        for sentence in listing["sentences"]:
            lines += wrap(sentence, columns, initial_indent="  ", subsequent_indent="    ")
        lines += _what_if(listing["what_if"], columns) if "what_if" in listing else []
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _what_if(told: dict[str, Any], columns: int) -> list[str]:
    """What would have to change, each alone: first what does it, then what cannot."""
    wanted, shows = told["wanted"], told["shows"]
    if wanted is None:
        said = "What it shows is unknown, so nobody can say what more than that is: give a number, like --want 20."
        return wrap(said, columns, initial_indent="  ", subsequent_indent="  ")
    if shows is not None and shows >= wanted:
        return [f"  It shows {shows}: that is {wanted} or more already."]
    if not told["levers"]:
        return [f"  It is corrected to {wanted} or more as it stands: nothing has to change."]
    instead = f"For {wanted} instead of {_or_unknown(shows)}"
    does = [each for each in told["levers"] if each["by"] is not None]
    any_would = "any one of these would do" if does else "no change alone would do"
    lines = wrap(f"{instead} {any_would}:", columns, initial_indent="  ", subsequent_indent="    ")
    for each in does:
        by = f", by {each['by']} {each['unit']}" if each["unit"] else ""
        said = f"{each['what']}{by}: it shows {each['shows']}, {each['then']}"
        lines += wrap(said, columns, initial_indent="    ", subsequent_indent="      ")
    for each in (each for each in told["levers"] if each["by"] is None):
        most = "unknown" if each["shows"] is None else f"at most {each['shows']}"
        said = f"not by {each['what']}: {most} then, {each['then']}"
        lines += wrap(said, columns, initial_indent="    ", subsequent_indent="      ")
    return lines


def _or_unknown(shows: int | None) -> str:
    return "a number that is unknown" if shows is None else str(shows)


def history(answer: dict[str, Any], columns: int) -> str:
    """One line a fact, newest first."""
    lines = [f"History of {answer['sku']}, newest first"]
    slots = {str(row["fact"]["slot"]) for row in answer["rows"] if "slot" in row["fact"]}
    names = {slot: _slot_name(slot, slots) for slot in slots}
    for row in answer["rows"]:
        name = names.get(str(row["fact"].get("slot")), "")
        lines += wrap(
            f"{row['at']}  #{row['entry']}  {_fact(row['kind'], row['fact'], name)}",
            columns,
            subsequent_indent="    ",
        )
    cut = answer["compacted"]
    if any(row["entry"] <= cut for row in answer["rows"]):
        text = f"Entries up to #{cut} were compacted away (ledger.keep_days): of those, only what held then is known."
        lines += wrap(text, columns)
    return "\n".join(lines)


def _slot_name(slot: str, among: set[str]) -> str:
    """The channel, where it has one slot of this SKU; else the slot in full."""
    channel = slot.partition("/")[0]
    alike = [each for each in among if each.partition("/")[0] == channel]
    return channel if len(alike) == 1 else slot


def _fact(kind: str, fact: dict[str, Any], slot: str) -> str:
    match kind:
        case "stock":
            gone = ", gone" if fact["gone"] else ""
            return (
                f"stock {fact['sku']} at {fact['location']}: {fact['on_hand']} on hand, "
                f"{fact['unavailable']} unavailable, {fact['allocated']} allocated{gone}"
            )
        case "slot":
            return f"{slot} shows {number(fact['quantity'])} ({fact['state']})"
        case "correction":
            return f"{slot} planned {fact['read']} -> {fact['target']} ({fact['cause']}, {fact['reason']})"
        case "sent":
            return f"{slot} answered {fact['outcome']} {fact['detail']}".rstrip()
        case _:
            return f"{slot} {kind} {fact.get('end', '')}".rstrip()


def status(answer: dict[str, Any], columns: int) -> str:
    """The few figures of ``status``."""
    from reconcilerd.cli.alert_text import in_status

    lines = [] if answer["daemon"] else fitted("NO DAEMON RUNS: this is what the ledger holds", columns)
    lines += fitted(f"mode {answer['mode']} · {answer['skus']} SKUs · {answer['at']}", columns)
    if answer["stopped"]:
        lines += fitted("STOPPED: the STOP file is there, nothing is written", columns)
    for each in answer["breaches"]:
        name, what = each["broken"][0]
        said = f"STOPPED: {name} was broken at {each['at']} ({each['subject']}: {what}); reconcilerd breaker list"
        lines += wrap(said, columns, subsequent_indent="  ")
    for each in answer["freezes"]:
        until = f" until {each['until']}" if each["until"] else ""
        said = f"FROZEN: {each['channel']}{until}, by {each['by']}: {each['reason']}"
        lines += wrap(said, columns, subsequent_indent="  ")
    for each in answer["freeze_windows"]:
        allow = ", ".join(each["allow"]) or "nothing"
        lines += fitted(f"FREEZE WINDOW: {each['channel']}, lets through: {allow}", columns)
    if answer["tripped"]:
        more = len(answer["tripped"]) - NAMED
        names = [*answer["tripped"][:NAMED], *([f"and {more} more"] if more > 0 else [])]
        said = f"TRIPPED: {', '.join(names)}; see reconcilerd breaker list"
        lines += wrap(said, columns, subsequent_indent="  ", break_long_words=False)
    lines += in_status(answer, columns)
    lines += table(
        ["channel", "listings", "drifts", "held", "queued"],
        [
            [str(each[k]) for k in ("channel", "listings", "drifts", "held", "queued")]
            for each in answer["channels"]
        ],
        columns,
        left={0},
    )
    lines += _feeds(answer["feeds"], columns)
    lines += fitted(
        f"exposed units {answer['exposed_units']} · hidden units {answer['hidden_units']}", columns
    )
    for each in (answer["ledger"] or {}).get("warnings", ()):
        lines += wrap(f"LEDGER: {each}", columns, subsequent_indent="  ", break_long_words=False)
    lines += _jobs(answer["jobs"], columns)
    if answer["waiting_for_approval"]:
        said = f"{answer['waiting_for_approval']} corrections wait:"
        do = "reconcilerd approve held --reason ..."
        together = f"{said} {do}"
        # A command is copied: it has a line of its own before it is broken.
        lines += [together] if len(together) <= columns else [said, *fitted(do, columns, indent="  ")]
    if answer["findings"]:
        found = ", ".join(f"{k} {v}" for k, v in sorted(answer["findings"].items()))
        lines += fitted(f"findings: {found}", columns)
    return "\n".join(lines)


def _feeds(feeds: Sequence[dict[str, Any]], columns: int) -> list[str]:
    """How old each reading is; what is wrong with one is told whole, since its end says what was answered."""
    rows = [[each["feed"], age(each["age_s"])] for each in feeds]
    head, *told = blocks(["feed", "last whole reading"], rows, columns, left={0})
    size = max((len(line) for block in told for line in block), default=0) + 2
    beside = all(len(block) == 1 for block in told) and columns - size >= NARROW
    lines = [f"{line}  trouble" if beside else line for line in head]
    for block, each in zip(told, feeds, strict=True):
        if each["why"] and beside:
            start = f"{block[0]}  "
            lines += wrap(each["why"], columns, initial_indent=start, subsequent_indent=" " * len(start))
        else:
            lines += block
            lines += wrap(each["why"], columns, initial_indent="    ", subsequent_indent="    ")
    return lines


def _jobs(jobs: Sequence[dict[str, Any]], columns: int) -> list[str]:
    """How each ended last: those that failed one by one, the others in a line."""
    sound = [f"{each['job']} done {each['ended'] or 'never yet'}" for each in jobs if each["ok"] is not False]
    said = [f"jobs: {', '.join(sound)}"] if sound else []
    said += [
        f"JOB FAILED: the {each['job']} at {each['ended']}: {each['why']}"
        for each in jobs
        if each["ok"] is False
    ]
    return [line for each in said for line in wrap(each, columns, subsequent_indent="  ")]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], columns: int, left: set[int]) -> list[str]:
    """Aligned columns, two spaces apart, indented by two: see ``blocks`` for what does not fit. ``left``: of words."""
    return [line for block in blocks(head, rows, columns, left) for line in block]


def blocks(
    head: Sequence[str], rows: Sequence[Sequence[str]], columns: int, left: set[int]
) -> list[list[str]]:
    """The lines of the head, then of each row. Columns that do not fit are set closer.

    If they still do not, the last one is cut, never the first; and where it is a number, or hardly anything of it would
    be left, each row is told below its name instead, without a head: half a number is another one.
    """
    widths = [max(len(str(row[i])) for row in (head, *rows)) for i in range(len(head))]
    for indent, gap in ((2, 2), (0, 1)):
        lines = [_line(row, widths, left, indent, gap) for row in (head, *rows)]
        if max(map(len, lines)) <= columns:
            return [[line] for line in lines]
    for indent, gap in ((2, 2), (0, 1)):
        begins = indent + sum(widths[:-1]) + gap * (len(head) - 1)
        if len(head) - 1 in left and columns - begins >= LEFT_OF_IT:
            lines = [_line(row, widths, left, indent, gap) for row in (head, *rows)]
            return [[line if len(line) <= columns else f"{line[: columns - 1]}…"] for line in lines]
    return [[], *(_folded(head, row, columns) for row in rows)]


def _line(row: Sequence[str], widths: Sequence[int], left: set[int], indent: int, gap: int) -> str:
    cells = [
        str(cell).ljust(size) if i in left else str(cell).rjust(size)
        for i, (cell, size) in enumerate(zip(row, widths, strict=True))
    ]
    return (" " * indent + (" " * gap).join(cells)).rstrip()


def _folded(head: Sequence[str], row: Sequence[str], columns: int) -> list[str]:
    said = [f"{name} {cell}".strip() for name, cell in zip(head[1:], row[1:], strict=True) if cell]
    return [f"  {row[0]}", *fitted(", ".join(said), columns, indent="    ", further="    ")]


def where(each: Mapping[str, Any]) -> str:
    """What a listing is called. A daemon that was started before its programs were renewed names channels alone."""
    return str(each.get("where", each["channel"]))


def number(value: int | None) -> str:
    """A number, or ``?`` for unknown."""
    return "?" if value is None else str(value)


def age(seconds: int | None) -> str:
    """Seconds in the unit a person would use."""
    if seconds is None:
        return "never"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
