"""``plan --against``: what another policy would make of what a ledger holds. Without network, credentials or daemon.

Everything is taken to be as fresh as it was when the ledger was last written: it is the policy that is looked at.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click

from reconcilerd.cli import plan_text
from reconcilerd.cli.plan import STDIO, may_be_written, write
from reconcilerd.cli.wrapping import several
from reconcilerd.config.load import load
from reconcilerd.config.policy import policy_of
from reconcilerd.domain.book import Book
from reconcilerd.domain.guards import MEANS, Rails
from reconcilerd.domain.names import Instant, SlotKey, after, format_instant
from reconcilerd.domain.plan import Entry
from reconcilerd.domain.policy import Policy
from reconcilerd.domain.record import decide
from reconcilerd.domain.survey import position_of, weather_of
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.copies import NOTHING_YET, Inspected, inspect
from reconcilerd.ledger.reader import open_reader
from reconcilerd.ledger.releases import standing

DAY_MS: Final = 86_400_000
FRESH_MS: Final = 36_500 * DAY_MS
ROWS: Final = 200

Would = Mapping[SlotKey, Entry]
"""What would be written, or is held, by slot."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a policy would do otherwise than another: corrections that are new or other ones, and those not made."""

    other: tuple[Entry, ...]
    dropped: tuple[Entry, ...]


def plan_against(config: Path, ledger: Path, base: Path | None, output: str | None) -> int:
    """Write down, as Markdown, what a configuration's policy would do; with ``base`` what it would do otherwise.

    Exit code 0: nothing (else); 3: something. Raises ConfigFault, LedgerFault, BadFile.
    """
    if output not in {None, STDIO}:
        may_be_written(Path(str(output)))
    found = inspect(ledger)
    if found.at is None:
        raise LedgerFault(f"{ledger}: {NOTHING_YET}")
    policy = _policy(config)
    would = _would(ledger, policy, found.at)
    before = {} if base is None else _would(ledger, _policy(base), found.at)
    change = change_of(before, would)
    text = _markdown(config, base, policy, found, change)
    if output in {None, STDIO}:
        click.echo(text, nl=False)
    else:
        write(Path(str(output)), text)
        click.echo(f"{output}: {several(len(change.other) + len(change.dropped), 'correction')}")
    return 3 if change.other or change.dropped else 0


def change_of(before: Would, now: Would) -> Change:
    """What is otherwise than before, by slot."""
    other = tuple(entry for slot, entry in sorted(now.items()) if _deed(before.get(slot)) != _deed(entry))
    return Change(other, tuple(entry for slot, entry in sorted(before.items()) if slot not in now))


def _deed(entry: Entry | None) -> tuple[int, str] | None:
    return None if entry is None else (entry.target, entry.verdict)


def _policy(config: Path) -> Policy:
    return policy_of(load(config), config.resolve().parent)


def _would(ledger: Path, policy: Policy, at: Instant) -> Would:
    """Every correction that a policy would plan for what a ledger holds, at a moment."""
    old = replace(policy.ages, stock_ms=FRESH_MS, own_slot_ms=FRESH_MS, peer_slot_ms=FRESH_MS)
    patient = replace(
        policy, ages=replace(old, max_age_ms=FRESH_MS, lower_reread_ms=FRESH_MS, dark_grace_ms=FRESH_MS)
    )
    book = Book(patient, awake_since=after(at, -DAY_MS))
    with closing(open_reader(ledger)) as reader:
        book.load(standing(reader, at), at)
    words, weather = book.words, weather_of(book, at)
    rails = Rails(
        mode=policy.limits.mode,
        frozen=words.frozen(at),
        envelopes=words.in_force(at),
        pinned=words.pinned(at),
        latched=book.latches.on(at),
    )
    found: dict[SlotKey, Entry] = {}
    for group in sorted(book.joins().groups.members):
        plan = decide(position_of(book, group, weather), rails, None)
        rails = plan.rails
        found.update((entry.slot, entry) for entry in plan.entries)
    return found


def _markdown(config: Path, base: Path | None, policy: Policy, found: Inspected, change: Change) -> str:
    what = "otherwise than before" if base is not None else "now"
    assert found.at is not None
    about = {
        "configuration": f"{config}, policy {policy.revision}, mode {policy.limits.mode}",
        "before": str(base or "not compared"),
        "ledger": f"entry {found.entries}, {found.head[:12]}, of {format_instant(found.at)}",
    }
    lines = [plan_text.MARK, f"# What this policy would do {what}", ""]
    lines += [f"- {name}: {plan_text.cell(value)}" for name, value in about.items()]
    lines += [
        "",
        "Decided on what the ledger held, as fresh as it was then. Nothing was read, nothing is written.",
    ]
    if not change.other and not change.dropped:
        return "\n".join([*lines, "", "Nothing." if base is None else "Nothing changes.", ""])
    counts: dict[str, list[str]] = {}
    for entry in change.other:
        row = counts.setdefault(entry.verdict, ["0", entry.verdict, MEANS[entry.verdict]])
        row[0] = str(int(row[0]) + 1)
    if change.other:
        lines += ["", *plan_text.grid(["count", "verdict", "means"], list(counts.values()), {0})]
        lines += ["", *_table(change.other)]
    if change.dropped:
        lines += [
            "",
            f"Not made any more, {several(len(change.dropped), 'correction')} of the policy before:",
        ]
        lines += ["", *_table(change.dropped)]
    return "\n".join([*lines, ""])


def _table(entries: tuple[Entry, ...]) -> list[str]:
    rows = [
        [
            entry.sku,
            entry.slot.channel,
            entry.listing_sku,
            str(entry.current),
            str(entry.target),
            str(entry.because),
            str(entry.verdict),
        ]
        for entry in entries[:ROWS]
    ]
    head = ["SKU", "channel", "listing SKU", "shows", "to", "because", "verdict"]
    more = [] if len(entries) <= ROWS else ["", f"and {len(entries) - ROWS} more."]
    return [*plan_text.grid(head, rows, {3, 4}), *more]
