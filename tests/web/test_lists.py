"""Lists are bounded and say what they leave out; each cause and each kind comes with the one thing to do."""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from uuid import UUID

import anyio
import httpx
import pytest
from starlette.requests import Request

from reconcilerd.daemon.turns import Readers
from reconcilerd.domain.drift import Cause, Drift
from reconcilerd.domain.facts import FindingKind, FindingRaised, PlanMade
from reconcilerd.domain.guards import MEANS, Verdict
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.ledger.store import Ledger
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.web import drifts, lists
from reconcilerd.web.app import Wall, build
from reconcilerd.web.drifts import FIXES, drift_page
from reconcilerd.web.leaves import ROWS, leaf_of, number_of
from reconcilerd.web.lists import PassesPage, mapping_page, orders_page, passes_page
from reconcilerd.web.pages import routes
from reconcilerd.web.past import past_of
from reconcilerd.web.sku import NotShown, Row
from reconcilerd.web.systems import calls_of
from reconcilerd.web.views import View
from tests.ledger.test_ledger import stock
from tests.web.test_pages import HOSTILE, get
from tests.world.stage import Stage, play, policy, small_world


def test_every_cause_has_its_fix() -> None:
    assert FIXES.keys() == set(Cause)
    assert len(set(FIXES.values())) == len(Cause)


async def quiet(stage: Stage) -> None:
    """Long enough to know everything."""
    await anyio.sleep(60)


def test_drift_shows_the_worst_of_each_cause_and_counts_the_rest() -> None:
    async def look() -> None:
        chance = Random(1)
        standing = stage.built.daemon.passes.standing
        made: list[Drift] = []
        for number in range(10 * drifts.FIRST_ROWS):
            slot = SlotKey(ChannelName(chance.choice(["shop-uk", "shop-eu"])), str(number))
            cause = chance.choice([Cause.LAG, Cause.FOREIGN_WRITER])
            drift = Drift(slot, Sku(f"s{number}"), chance.randrange(99), chance.randrange(99), 0, cause)
            made.append(drift)
            standing.put(drift.sku, ((drift, Verdict.HOLD_FROZEN),))
        for channel in ("", "shop-eu"):
            mine = [each for each in made if channel in {"", each.slot.channel}]
            seen = drift_page(stage.built.daemon, channel)
            assert seen.listings == len(mine)
            assert {group.cause for group in seen.groups} == {"lag", "foreign_writer"}
            for group in seen.groups:
                here = [each for each in mine if each.cause == group.cause]
                worst = sorted((each.observed - each.desired for each in here), reverse=True)[
                    : drifts.FIRST_ROWS
                ]
                assert group.listings == group.held == len(here)
                assert group.units_over == sum(max(0, each.observed - each.desired) for each in here)
                assert group.units_under == sum(max(0, each.desired - each.observed) for each in here)
                assert [-row.difference for row in group.rows] == worst
                assert group.rows[0].why == MEANS[Verdict.HOLD_FROZEN]
                text = (await get(stage, f"/drift?channel={channel}")).text
                assert f"All {group.listings}: {group.cause}" in text
                await every_leaf_once(channel, group.cause, here)
        assert (await get(stage, f"/drift?channel={HOSTILE}")).status_code == 404

    async def every_leaf_once(channel: str, cause: str, there: Sequence[Drift]) -> None:
        """From leaf to leaf by the links of the page."""
        address, found = f"/drift?cause={cause}&channel={channel}", list[tuple[str, str]]()
        while address:
            text = (await get(stage, address)).text
            found += re.findall(r'<a href="/sku/(s\d+)">.*?"Difference" class="n [a-z]*">([+-]\d+|0)<', text)
            following = re.search(r'<a href="([^"]*)" rel="next">', text)
            address = html.unescape(following[1]) if following else ""
        assert sorted(sku for sku, _ in found) == sorted(each.sku for each in there)
        off = [int(each) for _, each in found]
        assert off == [*sorted(x for x in off if x < 0), *sorted((x for x in off if x >= 0), reverse=True)]

    # Once the daemon has stopped, nothing looks again at what is made up here.
    stage = play(small_world(WorldConfig(), split=True), policy(split=True), quiet)
    anyio.run(look)


def test_findings_are_grouped_bounded_and_gone_once_cleared() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        daemon = stage.built.daemon
        assert (mapping_page(daemon)).groups == ()
        kind, at = FindingKind.UNMAPPED_SKU, stage.clock()
        raised = [
            FindingRaised(kind, f"shop-uk:{HOSTILE}{number:04}", "it is in no listing", at)
            for number in range(ROWS + 3)
        ]
        await daemon.desk.take(raised)
        (group,) = (mapping_page(daemon)).groups
        assert (group.kind, group.total, len(group.rows)) == ("unmapped_sku", ROWS + 3, lists.FIRST.size)
        text = (await get(stage, "/mapping")).text
        assert f"All {ROWS + 3}: unmapped_sku" in text
        text = (await get(stage, "/mapping?kind=unmapped_sku&page=2")).text
        assert f"{ROWS + 1} to {ROWS + 3} of {ROWS + 3}" in text
        assert HOSTILE not in text
        gone = [FindingRaised(kind, each.subject, each.detail, at, cleared=True) for each in raised[1:]]
        await daemon.desk.take(gone)
        (group,) = (mapping_page(daemon)).groups
        assert group.total == 1

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_an_order_that_extensiv_lacks_is_on_the_page_of_orders() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(120)
        seen = orders_page(stage.built.daemon)
        assert (seen.differing.total, seen.missing) == (0, ())
        assert "tell the same" in (await get(stage, "/orders")).text
        stage.world.place_order("shop-uk", "4711", [("a", 1)], stage.clock())
        await anyio.sleep(1_500)
        (group,) = (orders_page(stage.built.daemon)).missing
        assert (group.channel, group.total) == ("shop-uk", 1)
        assert [row.number for row in group.rows] == ["4711"]
        assert "4711" in (await get(stage, "/orders")).text

    rarely = WorldConfig(import_ms=(10**9, 10**9))
    play(small_world(rarely, split=True), policy(split=True), scene)


async def test_a_pass_tells_what_it_sent_and_why_it_held_the_rest() -> None:
    verdicts = ((str(Verdict.SEND), 4), (str(Verdict.HOLD_FROZEN), 1), (str(Verdict.HOLD_DARK), 2))
    made = PlanMade("an-id", Instant(1_500), 7, verdicts, ())

    async def past(subjects: Sequence[tuple[str, str]], each: int, before: int | None = None) -> list[Row]:
        assert (list(subjects), each, before) == ([("plan", "plan")], lists.PASSES + 1, None)
        return [(12, Instant(1_500), made)]

    seen = await passes_page(past)
    assert (seen.before, seen.older) == (None, None)
    (row,) = seen.passes
    assert (row.at, row.entry, row.sent, row.held) == ("1970-01-01T00:00:01Z", 12, 4, 3)
    assert row.why == ((MEANS[Verdict.HOLD_DARK], 2), (MEANS[Verdict.HOLD_FROZEN], 1))


def made_by(number: int) -> PlanMade:
    return PlanMade(
        str(UUID(int=number)), Instant(1_000 * number), number, ((str(Verdict.SEND), number),), ()
    )


async def links(path: Path, address: str) -> tuple[list[int], str, int]:
    """Entries of the passes on a page, the address of those before them if there are any, and its status."""
    view = View("passes", "", PassesPage, lambda request: look(path, request), "/passes")
    transport = httpx.ASGITransport(build(routes([view]), Wall(lambda: Instant(0))))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(address)
    older = re.search(r'<a href="([^"]*)" rel="next">Older<', answer.text)
    assert ("Latest</a>" in answer.text) == ("?" in address and answer.status_code == 200)
    numbers = [int(each) for each in re.findall(r"[?]entry=(\d+)", answer.text)]
    return numbers, html.unescape(older[1]) if older else "", answer.status_code


async def look(path: Path, request: Request) -> PassesPage:
    before = request.query_params.get("before")
    return await passes_page(past_of(path, Readers()), None if before is None else int(before))


@pytest.mark.parametrize(
    "many", [0, 1, lists.PASSES, lists.PASSES + 1, 2 * lists.PASSES, 2 * lists.PASSES + 7]
)
async def test_from_page_to_page_every_pass_is_told_once_though_new_ones_come(
    tmp_path: Path, many: int
) -> None:
    path = tmp_path / "l.db"
    with Ledger.open(path, clock=lambda: Instant(9_000), durable=False) as ledger:
        there: list[int] = []
        for number in range(1, many + 1):
            ledger.append([stock("a", number, number)])
            there.append(ledger.append([stock("b", number, number), made_by(number)]))
        told, address = list[int](), "/passes"
        while address:
            numbers, address, status = await links(path, address)
            assert status == 200
            assert len(numbers) <= lists.PASSES
            told += numbers
            ledger.append([made_by(many + 1)])
        assert told == there[::-1]


async def test_before_what_is_no_pass_or_the_first_one_there_is_no_page_of_passes(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with Ledger.open(path, clock=lambda: Instant(9_000), durable=False) as ledger:
        ledger.append([made_by(1)])
        ledger.append([stock("a", 1, 1)])
        ledger.append([made_by(2)])
        assert await links(path, "/passes?before=3") == ([1], "", 200)
        for entry in (1, 2, 4):
            assert await links(path, f"/passes?before={entry}") == ([], "", 404)


def test_calls_are_summed_by_operation_and_those_never_tried_left_out() -> None:
    rows = calls_of(
        {("b", "2xx", ""): 3, ("b", "none", "timeout"): 2, ("a", "2xx", ""): 1, ("c", "2xx", ""): 0}
    )
    assert [(row.operation, row.tries, row.errors) for row in rows] == [("a", 1, 0), ("b", 5, 2)]
    assert rows[1].classes == (("2xx", 3), ("none", 2))


def test_a_system_has_a_page_and_nobody_else() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        for name in ("extensiv", "shop-uk"):
            text = (await get(stage, f"/channels/{name}")).text
            feeds = [feed for feed in stage.built.daemon.feeds if feed.startswith(f"{name}.")]
            assert feeds
            assert all(feed in text for feed in feeds)
        assert (await get(stage, "/channels/shop-x")).status_code == 404
        assert (await get(stage, "/alerts")).text.count("Nobody is told") == 1

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_leaves_hold_every_row_once_and_there_is_none_beyond_the_last() -> None:
    assert [leaf_of(1, total).pages for total in (0, 1, ROWS, ROWS + 1)] == [1, 1, 1, 2]
    leaves = [leaf_of(page, 250) for page in (1, 2, 3)]
    assert [row for leaf in leaves for row in range(250)[leaf.skip :][: leaf.size]] == list(range(250))
    for page in (0, 4):
        with pytest.raises(NotShown, match="the last one is 3"):
            leaf_of(page, 250)


@pytest.mark.parametrize("text", ["-1", "1.0", "٣", "1e3", " 1", "9" * 10, "+1"])
def test_what_is_almost_a_page_number_is_none(text: str) -> None:
    with pytest.raises(NotShown):
        number_of(text)


def test_a_page_that_is_not_there_is_not_found() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        for address in (
            *("/drift?cause=lag&page=2", "/drift?cause=x", "/mapping?kind=x", "/orders?channel=x"),
            *("/passes?before=x", "/passes?before=-1", "/passes?before=1.0", "/passes?before=0"),
        ):
            assert (await get(stage, address)).status_code == 404, address

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)
