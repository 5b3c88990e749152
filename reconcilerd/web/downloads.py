"""Whole tables for a spreadsheet: streamed row by row, and nothing in them is a formula to it."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.turns import STEP, steps
from reconcilerd.domain.drift import Cause
from reconcilerd.domain.facts import FindingKind
from reconcilerd.domain.names import Instant, format_second
from reconcilerd.web.drifts import FIXES, row_of
from reconcilerd.web.lists import DIFFERS, DIFFERS_FIX, MAPPING
from reconcilerd.web.sku import NotShown
from reconcilerd.web.views import allow, asked_for, status_of

MARK: Final = "\ufeff"
"""Without it a spreadsheet takes UTF-8 for something else."""
MISSING_FIX: Final = "See why Extensiv does not import it: it takes stock that is still offered."
ACTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What opens a formula, in some spreadsheet of some language."""

Cell = str | int
Rows = AsyncIterator[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Download:
    """One table. ``rows`` gives each turn to others in between; it raises NotShown before its first row or never."""

    name: str
    says: str
    columns: tuple[str, ...]
    rows: Callable[[Request], Rows]
    parameters: Mapping[str, str]

    @property
    def path(self) -> str:
        return f"/{self.name}.csv"


def downloads_of(daemon: Daemon) -> list[Download]:
    """Every table; each takes what its page takes."""
    book, standing = daemon.desk.book, daemon.passes.standing

    def drifts(request: Request) -> Rows:
        channel = asked_for(request, "channel", book.policy.channels)
        cause = asked_for(request, "cause", frozenset(map(str, Cause)))

        async def rows() -> Rows:
            async for group in steps(standing.drifts.values()):
                for drift, verdict in group:
                    if channel in {"", drift.slot.channel} and cause in {"", drift.cause}:
                        row = row_of(daemon, drift, verdict)
                        yield (
                            *(row.sku, row.channel, row.listing, row.observed, row.desired, row.difference),
                            *(drift.cause, row.state, row.why, row.for_s, FIXES[drift.cause]),
                        )

        return rows()

    def orders(request: Request) -> Rows:
        channel = asked_for(request, "channel", {*book.policy.channels, DIFFERS})

        async def rows() -> Rows:
            for name, lost in sorted(daemon.health.missing.items()):
                if channel in {"", name}:
                    async for each in steps(lost):
                        placed = format_second(each.placed)
                        yield "missing", f"{name}:{each.order.key.number}", f"placed {placed}", MISSING_FIX
            if channel in {"", DIFFERS}:
                async for found in steps(book.findings.standing(FindingKind.ORDER_DIFFERS).values()):
                    yield found.what, found.subject, found.detail, DIFFERS_FIX

        return rows()

    def mapping(request: Request) -> Rows:
        kind = asked_for(request, "kind", frozenset(map(str, MAPPING)))

        async def rows() -> Rows:
            for each in MAPPING:
                if kind in {"", each}:
                    async for found in steps(book.findings.standing(each).values()):
                        yield found.what, found.subject, found.detail, MAPPING[each]

        return rows()

    cause = {"channel": "Only listings of this channel.", "cause": "Only this cause."}
    listings = ("sku", "channel", "listing", "observed", "desired", "difference", "cause", "state", "why")
    findings = ("kind", "about", "detail", "do")
    return [
        Download("drift", "Listings that differ.", (*listings, "for_s", "do"), drifts, cause),
        Download(
            "orders",
            "Orders of which two sides tell differently.",
            findings,
            orders,
            {"channel": f"Only those missing of this channel; {DIFFERS}: those that differ."},
        ),
        Download(
            "mapping", "What is mapped to nothing, or twice.", findings, mapping, {"kind": "Only this kind."}
        ),
    ]


def routes(downloads: Iterable[Download], clock: Callable[[], Instant]) -> list[Route]:
    """Each as a route."""
    return [Route(each.path, _sent(each, clock)) for each in downloads]


def _sent(download: Download, clock: Callable[[], Instant]) -> Callable[[Request], Awaitable[Response]]:
    async def sent(request: Request) -> Response:
        try:
            allow(request)
            rows = download.rows(request)
        except NotShown as why:
            return PlainTextResponse(f"{why}\n", status_of(why))
        at = format_second(clock()).replace(":", "")
        return StreamingResponse(
            lines(download.columns, rows),
            media_type="text/csv; charset=utf-8; header=present",
            headers={"Content-Disposition": f'attachment; filename="reconcilerd-{download.name}-{at}.csv"'},
        )

    return sent


async def lines(columns: Sequence[str], rows: Rows) -> AsyncIterator[str]:
    """The text of a table, some thousand rows at a time: each part is gone before the next is made."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    text.write(MARK)
    table.writerow(columns)
    number = 0
    async for row in rows:
        number += 1
        table.writerow([harmless(each) for each in row])
        if number % STEP == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def harmless(cell: Cell) -> Cell:
    """A text that a spreadsheet would act upon, as a text; a number of ours is one."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(ACTS) else cell
