"""A table for a spreadsheet holds every row, and nothing that it would act upon."""

import csv
import io
from collections.abc import AsyncIterator, Sequence

import anyio
import anyio.lowlevel
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.daemon.turns import STEP
from reconcilerd.domain.drift import Cause, Drift
from reconcilerd.domain.facts import FindingKind, FindingRaised
from reconcilerd.domain.guards import Verdict
from reconcilerd.domain.names import ChannelName, Sku, SlotKey
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.web.downloads import ACTS, MARK, Cell, harmless, lines
from tests.web.test_lists import quiet
from tests.web.test_pages import get
from tests.world.stage import Stage, play, policy, small_world


async def given_rows(rows: Sequence[Sequence[Cell]]) -> AsyncIterator[Sequence[Cell]]:
    for row in rows:
        await anyio.lowlevel.checkpoint()
        yield row


def read(text: str) -> list[dict[str, str]]:
    assert text.startswith(MARK)
    return list(csv.DictReader(io.StringIO(text.removeprefix(MARK), newline="")))


@given(st.lists(st.tuples(st.one_of(st.text(), st.sampled_from(ACTS)), st.integers(-99, 99)), max_size=9))
def test_what_is_written_is_read_back_and_no_text_of_it_is_a_formula(rows: list[tuple[str, int]]) -> None:
    async def write() -> str:
        return "".join([part async for part in lines(("text", "number"), given_rows(rows))])

    for (text, number), cells in zip(rows, read(anyio.run(write)), strict=True):
        assert cells["text"] in {text, f"'{text}"}
        assert not cells["text"].startswith(ACTS)
        assert int(cells["number"]) == number


def test_what_is_almost_a_formula_stays_as_it_is() -> None:
    for text in ("a=1", " =1", "'=1", "", "1-2", "a@b"):
        assert harmless(text) == text
    assert harmless(-5) == -5


async def test_a_long_table_is_sent_in_parts() -> None:
    rows = [(f"s{number}", number) for number in range(2 * STEP + 5)]
    parts = [part async for part in lines(("a", "b"), given_rows(rows))]
    assert len(parts) == 3
    assert [row["a"] for row in read("".join(parts))] == [name for name, _ in rows]


def test_every_drift_is_in_the_table_once_with_what_its_page_says_of_it() -> None:
    async def look() -> None:
        daemon = stage.built.daemon
        for number in range(3 * STEP):
            channel = ChannelName("shop-uk" if number % 2 else "shop-eu")
            cause = Cause.LAG if number % 3 else Cause.BUNDLE
            drift = Drift(SlotKey(channel, str(number)), Sku(f"=s{number}"), 9, number % 20, 1, cause)
            daemon.passes.standing.put(drift.sku, ((drift, Verdict.HOLD_FROZEN),))
        answer = await get(stage, "/drift.csv?channel=shop-uk&cause=lag")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
        name = answer.headers["content-disposition"].removeprefix('attachment; filename="').removesuffix('"')
        assert name.startswith("reconcilerd-drift-")
        assert name.removesuffix(".csv").replace("-", "").isalnum()
        rows = read(answer.text)
        wanted = [number for number in range(3 * STEP) if number % 2 and number % 3]
        assert [row["sku"] for row in rows] == [f"'=s{number}" for number in wanted]
        assert [int(row["difference"]) for row in rows] == [number % 20 - 9 for number in wanted]
        assert {(row["channel"], row["cause"], row["state"]) for row in rows} == {("shop-uk", "lag", "held")}
        assert len(read((await get(stage, "/drift.csv")).text)) == 3 * STEP
        for wrong in ("channel=x", "cause=x"):
            assert (await get(stage, f"/drift.csv?{wrong}")).status_code == 404

    stage = play(small_world(WorldConfig(), split=True), policy(split=True), quiet)
    anyio.run(look)


def test_findings_and_missing_orders_are_in_the_tables_of_their_pages() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(120)
        stage.world.place_order("shop-uk", "4711", [("a", 1)], stage.clock())
        await anyio.sleep(1_500)
        kinds = (FindingKind.UNMAPPED_SKU, FindingKind.ORDER_DIFFERS)
        await stage.built.daemon.desk.take(
            FindingRaised(kind, f"shop-uk:{kind}", "@cmd", stage.clock()) for kind in kinds
        )
        (row,) = read((await get(stage, "/mapping.csv")).text)
        assert (row["kind"], row["about"], row["detail"]) == (kinds[0], f"shop-uk:{kinds[0]}", "'@cmd")
        assert read((await get(stage, "/mapping.csv?kind=blank_sku")).text) == []
        missing, differs = read((await get(stage, "/orders.csv")).text)
        assert (missing["kind"], missing["about"]) == ("missing", "shop-uk:4711")
        assert differs["kind"] == "order_differs"
        assert read((await get(stage, "/orders.csv?channel=shop-uk")).text) == [missing]
        assert read((await get(stage, "/orders.csv?channel=order_differs")).text) == [differs]

    rarely = WorldConfig(import_ms=(10**9, 10**9))
    play(small_world(rarely, split=True), policy(split=True), scene)
