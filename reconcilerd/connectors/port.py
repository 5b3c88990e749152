"""The port every connector fills: readings of feeds, targeted reads, writes.

A connector yields facts page by page through ``emit`` and returns the ``SweepRead`` that proves, or does not
prove, completeness. It raises only errors of ``reconcilerd.errors``; rows it cannot read become ``FindingRaised``
(rejected rows) and are never guessed. A few of them a complete reading leaves out by name: it says nothing of these.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Final, Protocol

from reconcilerd.domain.facts import CorrectionPlanned, Fact, FindingKind, FindingRaised, Outcome, SweepRead
from reconcilerd.domain.names import FeedName, Instant, Sku, SlotKey


@dataclass(frozen=True, slots=True)
class Page:
    """The facts of one page of one feed."""

    feed: FeedName
    facts: tuple[Fact, ...]


Emit = Callable[[Page], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WriteAnswer:
    """What became of one correction of a batch."""

    correction: CorrectionPlanned
    outcome: Outcome
    detail: str = ""


Ours = Callable[[Instant], Instant]
"""A moment by the other side's clock, by ours."""

Withholding = Callable[[], str | None]
"""Why nothing may be written now, if so."""


def rejected_rows(facts: Iterable[Fact]) -> list[FindingRaised]:
    """Rows that were there and could not be read: none of them is a row that is gone."""
    return [
        fact for fact in facts if isinstance(fact, FindingRaised) and fact.what is FindingKind.REJECTED_ROW
    ]


LAG_MARGIN_MS: Final = 60_000
"""Orders are asked for so far beyond a poll: a replica may lag without a sign, and the next reading asks again."""
REACHES_BACK: Final = 3
"""And over so many polls: what was answered from before may be answered twice in a row, and looks whole."""
SET_ASIDE: Final = 5
SET_ASIDE_PERMILLE: Final = 20
"""So many, or such a part of its rows if that is more, a reading may leave to a person: single bad rows."""


def may_set_aside(rows: int) -> int:
    """How many of its subjects a reading of so many rows may leave to a person, and be complete for the rest."""
    return max(SET_ASIDE, rows * SET_ASIDE_PERMILLE // 1000)


def too_many_unreadable(facts: Iterable[Fact], rows: int) -> str:
    """Why a reading of so many orders is not complete, if more than a person can look at cannot be read."""
    rejected = rejected_rows(facts)
    if len(rejected) <= may_set_aside(rows):
        return ""
    return f"{len(rejected)} orders cannot be read, the first is {rejected[0].subject}: {rejected[0].detail}"


def too_many_aside(
    aside: Set[object], known: Iterable[object], rows: int, sound: Set[object] = frozenset()
) -> bool:
    """Whether so much of what is known could not be read that the reading is not complete for the rest either.

    A reading that could read nothing of it is none, however little there is. ``sound``: what was read, and is set
    aside for want of something else; that throws no doubt on the rest.
    """
    return len(aside - sound) > may_set_aside(rows) or (bool(aside) and all(each in aside for each in known))


def strangers(known: Iterable[object], met: Collection[object], rows: int, what: str) -> str:
    """Why a reading with ``rows``, which met none of what was known, is not believed.

    Somebody else's account answers just like that, or an empty one, and asking it for what is missing finds nothing
    either. The last one of all may go.
    """
    names = set(known)
    if names and names.isdisjoint(met) and (rows or len(names) > 1):
        return f"{rows} {what}, and none of the {len(names)} known: does somebody else's account answer?"
    return ""


class Source(Protocol):
    """A system whose feeds can be read. ``feeds`` lists them; ``order_feed`` is the one with orders."""

    @property
    def name(self) -> str: ...

    @property
    def feeds(self) -> tuple[FeedName, ...]: ...

    async def sweep(self, feed: FeedName, cursor: str, emit: Emit, *, whole: bool = False) -> SweepRead:
        """Read a feed: the news since ``cursor`` where the feed has cursors, everything if it is empty.

        ``whole``: everything, and no less of the news: nobody else tells what ended since the cursor.
        """
        ...


class StockSource(Source, Protocol):
    async def read_stock(self, skus: Sequence[Sku], emit: Emit) -> None:
        """Read the stock rows of exactly these SKUs now. A SKU without rows yields no fact."""
        ...


class Channel(Source, Protocol):
    async def read_slots(self, slots: Sequence[SlotKey], emit: Emit) -> None:
        """Read exactly these slots now."""
        ...

    async def write(
        self, corrections: Sequence[CorrectionPlanned], run: str, withheld: Withholding
    ) -> tuple[WriteAnswer, ...]:
        """Send corrections (at most ``batch_max``), compare-and-set where the channel can. One answer each.

        ``withheld`` is asked right before each call leaves, after all waiting.
        """
        ...

    @property
    def batch_max(self) -> int: ...
