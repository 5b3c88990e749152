"""One SKU: its sheet and its explanation as the command line has them, what happened to it, and charts of that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reconcilerd.daemon.answers import Answers
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    CorrectionSettled,
    Fact,
    SlotObserved,
    StockObserved,
)
from reconcilerd.domain.guards import MEANS, Verdict
from reconcilerd.domain.names import Instant, SlotKey, format_second
from reconcilerd.domain.slot_names import names_of
from reconcilerd.web.chart import Chart, Step, chart

EACH = 40
"""Entries looked up about each listing and each place."""
SUBJECTS = 80
"""Listings and places that are looked up: each is four subjects, or one."""
LINES = 60

Row = tuple[int, Instant, Fact]
"""Number of the entry, when it was written, what it says."""


class Past(Protocol):
    """What the ledger holds, read beside the loop."""

    async def __call__(
        self, subjects: Sequence[tuple[str, str]], each: int, before: int | None = None
    ) -> list[Row]:
        """So many of each subject (kind, about), subject by subject, the newest first. ``before``: only from the
        entries before one that names these subjects.
        """
        ...


class NotShown(Exception):
    """There is no such sheet. ``code``: the command line's exit code."""

    def __init__(self, why: str, code: int) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    at: str
    entry: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Listing:
    """One listing: its row of the sheet, why it should show that, and its chart if anything is known of its past.

    ``name``: its channel, with the place where it is at several.
    """

    name: str
    row: Mapping[str, Any]
    why: str
    sentences: tuple[str, ...]
    chart: Chart | None


@dataclass(frozen=True, slots=True)
class SkuPage:
    """``sheet``: what ``reconcile --sku`` answers for it. ``more``: lines of its past beyond those that are told."""

    at: str
    mode: str
    sheet: Mapping[str, Any]
    listings: tuple[Listing, ...]
    timeline: tuple[Line, ...]
    more: bool


async def sku_page(answers: Answers, past: Past, name: str, now: Instant) -> SkuPage:
    """Everything about a SKU, by its code, a listing's code or id. Raises NotShown."""
    told = await _asked(answers, {"op": "reconcile", "skus": [name]})
    sheet = told["skus"][0]
    why = await answers.answer({"op": "explain", "sku": name}, "page")
    sentences = {each["slot"]: tuple(each["sentences"]) for each in why.get("listings", ())}
    rows = await past(answers.subjects(name)[:SUBJECTS], EACH)
    rows.sort(key=lambda row: (row[1], row[0]), reverse=True)
    listings = []
    names = names_of((row["channel"], row["listing"], row["place"]) for row in sheet["channels"])
    for row in sheet["channels"]:
        slot = SlotKey(row["channel"], row["listing"], row["place"])
        listings.append(
            Listing(
                names[slot.channel, slot.listing, slot.place],
                row,
                _why(row),
                sentences.get(slot.path, ()),
                _chart_of(slot, row, rows, now),
            )
        )
    timeline = tuple(
        Line(format_second(at), entry, fact.kind, text(fact)) for entry, at, fact in rows[:LINES]
    )
    return SkuPage(
        told["generated_at"], told["mode"], sheet, tuple(listings), timeline, more=len(rows) > LINES
    )


async def _asked(answers: Answers, request: dict[str, Any]) -> dict[str, Any]:
    told = await answers.answer(request, "page")
    if "error" in told:
        raise NotShown(told["error"]["message"], told["error"]["exit_code"])
    return told


def _why(row: Mapping[str, Any]) -> str:
    return MEANS[Verdict(row["verdict"])] if row["verdict"] else ""


def _chart_of(slot: SlotKey, row: Mapping[str, Any], rows: Iterable[Row], now: Instant) -> Chart | None:
    """What was read, and what corrections aimed at; both end in what holds now."""
    observed: list[Step] = []
    desired: list[Step] = []
    for _, _, fact in rows:
        if isinstance(fact, SlotObserved) and fact.slot == slot:
            observed.append((fact.age_of, None if fact.gone else fact.quantity))
        elif isinstance(fact, CorrectionPlanned) and fact.slot == slot:
            desired.append((fact.at, fact.target))
    observed.append((now, row["observed"]))
    desired.append((now, row["desired"]))
    return chart(observed, desired, now)


def text(fact: Fact) -> str:
    """What an entry says, in a few words."""
    match fact:
        case StockObserved():
            if fact.gone:
                return f"{fact.sku} at {fact.location}: no row any more"
            return (
                f"{fact.sku} at {fact.location}: {fact.on_hand} on hand, {fact.unavailable} unavailable, "
                f"{fact.allocated} allocated"
            )
        case SlotObserved():
            shown = (
                "gone" if fact.gone else "not counted" if fact.quantity is None else f"shows {fact.quantity}"
            )
            return f"{fact.slot.channel} {shown} ({fact.state})"
        case CorrectionPlanned():
            released = f", released by {fact.released}" if fact.released else ""
            return f"{fact.slot.channel}: we decided {fact.read} to {fact.target}: {fact.cause}{released}"
        case CorrectionSent():
            return f"{fact.slot.channel} answered {fact.outcome} {fact.detail}".rstrip()
        case CorrectionSettled():
            return f"{fact.slot.channel}: correction {fact.end}"
        case _:
            return fact.kind
