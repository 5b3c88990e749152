"""How long a page of 100,000 SKUs takes while everything is planned, against the empty page of a daemon at rest.

Over real HTTP, asked by a process of its own, with a real ledger; every look is a new one. RECONCILERD_SKUS says how
many SKUs (100,000), each on four stores, and every listing differs from what it should show.
"""

import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from reconcilerd.assemble import Assembled, assemble
from reconcilerd.cli.run import answers_of
from reconcilerd.daemon.daemon import CATALOGUE
from reconcilerd.daemon.health import Nobody
from reconcilerd.domain.drift import Cause
from reconcilerd.domain.facts import Fact, PlanMade, SlotObserved, SweepRead
from reconcilerd.domain.feeds import EXTENSIV_ORDERS, STOCK_FEED, orders_feed, slots_feed
from reconcilerd.domain.names import FeedName, Instant
from reconcilerd.ledger.reader import open_reader
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.writer import Writer
from reconcilerd.tally import Histogram
from reconcilerd.transport.pool import in_process_transport
from reconcilerd.trial.stage import wire
from reconcilerd.web import api, meters, pages, views
from reconcilerd.web.app import Wall, build
from reconcilerd.web.leaves import ROWS
from reconcilerd.web.past import passed_of, past_of
from reconcilerd.web.serve import serve
from reconcilerd.web.sources import Sources
from reconcilerd.web.views import views_of
from tests.bench import fold
from tests.bench.ratio import Ratio
from tests.web.stage import Told
from tests.web.test_serve import free_port

BAR = 20.0
ROUNDS = 30
LOOKS = {
    "overview": "/",
    "drift": "/drift",
    "cause": "/drift?cause={cause}&page={page}",
    "mapping": "/mapping",
    "orders": "/orders",
    "passes": "/passes",
    "older": "/passes?before={entry}",
    "system": "/channels/shop-1",
    "sku": "/sku/sku-000042",
    "json": "/api/v1/drift",
    "metrics": "/metrics",
}
ASK = """
import json, socket, sys, time
port, rounds, paths = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
def ask(path):
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(f"GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n".encode())
        said = b""
        while more := one.recv(1 << 16):
            said += more
    assert said.startswith(b"HTTP/1.1 200"), (path, said[:500])
    return time.perf_counter() - began
print(json.dumps({path: [ask(path) for _ in range(rounds)] for path in paths for _ in [ask(path)]}))
"""


def ratios() -> Sequence[Ratio]:
    views.RECENT_MS = 0
    skus = int(os.environ.get("RECONCILERD_SKUS", "100000"))
    (empty,) = anyio.run(partial(_measure, 0, ["/"])).values()
    full = anyio.run(partial(_measure, skus, list(LOOKS.values())))
    base = statistics.median(empty)
    found = []
    for name, times in zip(LOOKS, full.values(), strict=True):
        middle = statistics.median(times)
        detail = (
            f"{middle * 1000:.1f} ms (worst {max(times) * 1000:.0f} ms) during a full pass over {skus} SKUs, "
            f"{base * 1000:.1f} ms of an empty page"
        )
        found.append(Ratio(f"page.{name}", middle / base, BAR, detail))
    return found


async def _measure(skus: int, paths: Sequence[str]) -> dict[str, list[float]]:
    """Seconds that each look took, by path."""
    began = time.monotonic()

    def clock() -> Instant:
        return Instant(fold.AT + int((time.monotonic() - began) * 1000))

    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        with Ledger.open(path, clock=clock) as ledger:
            async with Writer(ledger) as writer, anyio.create_task_group() as group:
                wiring = wire(fold.policy(), clock, lambda: in_process_transport(None))  # type: ignore[arg-type]
                built = assemble(wiring, writer, Nobody(), _state(skus))
                built.daemon.started.set()
                sources = Sources(built.daemon, built.clients, Told(), path, Histogram())
                port = free_port()
                group.start_soon(serve, _app(built, sources, path), "127.0.0.1", port)
                group.start_soon(built.daemon.passes.run)
                if skus:
                    built.daemon.desk.everybody()
                    while built.daemon.passes.busy:
                        await anyio.sleep(0.1)
                    group.start_soon(_again_and_again, built)
                index = built.daemon.passes.standing.index
                by_cause = Counter[Cause]()
                for (_, cause, _, _), count in index.listings.items():
                    by_cause[cause] += count
                cause, count = max(by_cause.items(), key=itemgetter(1), default=(Cause.LAG, 0))
                entry, _, _ = next(iter(ledger.history(PlanMade.kind, "plan", 1)), (0, fold.AT, None))
                page = max(1, count // ROWS)
                asked = [each.format(cause=cause, page=page, entry=entry) for each in paths]
                print(f"{skus} SKUs, {index.listings.total()} drifts", file=sys.stderr, flush=True)
                told = await anyio.run_process(
                    [sys.executable, "-c", ASK, str(port), str(ROUNDS), *asked], stderr=None
                )
                group.cancel_scope.cancel()
    times: dict[str, list[float]] = json.loads(told.stdout)
    return times


async def _again_and_again(built: Assembled) -> None:
    """One full pass after another."""
    while True:
        if not built.daemon.desk.busy:
            built.daemon.desk.everybody()
        await anyio.sleep(0.05)


def _app(built: Assembled, sources: Sources, path: Path):  # type: ignore[no-untyped-def]
    readers = built.daemon.desk.readers
    answers = answers_of(built, open_reader(path), None)
    shown = views_of(sources, answers, past_of(path, readers), passed_of(path, readers))
    return build(
        [*meters.routes(sources), *pages.routes(shown), *api.routes(shown)], Wall(built.daemon.desk.clock)
    )


def _state(skus: int) -> Iterable[Fact]:
    """Everything was read a moment ago, and nothing shows what it should."""
    for page in fold.pages(skus) if skus else ():
        for fact in page:
            yield (
                replace(fact, quantity=3 + len(fact.slot.listing) % 2)
                if isinstance(fact, SlotObserved)
                else fact
            )
    feeds = [*map(FeedName, CATALOGUE), STOCK_FEED, EXTENSIV_ORDERS]
    for channel in fold.policy().channels:
        feeds += [slots_feed(channel), orders_feed(channel)]
    for feed in feeds:
        yield SweepRead(feed, fold.AT, fold.AT, True, skus, 0, full=True)
