"""One pass and the configuration, as they are shown: all that was written and held is there, and no secret."""

import html
import re
from dataclasses import replace
from uuid import UUID

import anyio
import pytest

from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent, DecisionRecorded, FreezeSet, PlanMade
from reconcilerd.domain.guards import MEANS, Verdict
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.web.configuration import config_page
from reconcilerd.web.passed import pass_page, passed
from reconcilerd.web.sku import NotShown
from tests.web.stage import JournalReader, passed_of, sources_of
from tests.web.test_api import in_force
from tests.web.test_pages import HOSTILE_SKU, get
from tests.world.stage import Stage, play, policy, small_world

CANARY = "canary-8d02c7a1"


def test_a_pass_shows_all_that_it_wrote_what_came_of_it_and_what_it_looked_at() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(300)
        facts, book = stage.journal.facts, stage.built.daemon.desk.book
        written = {each.id: each for each in facts if isinstance(each, CorrectionPlanned)}
        answered = {
            each.id: f"{each.outcome} {each.detail}".rstrip()
            for each in facts
            if isinstance(each, CorrectionSent)
        }
        shown = list[str]()
        for made in [each for each in facts if isinstance(each, PlanMade)]:
            page = pass_page(book, await passed_of(stage.journal)(made.id, None, 1), 1)
            assert (page.id, page.listings, page.written) == (made.id, made.slots, len(page.rows))
            assert sum(count for _, count in page.counts) == made.slots
            assert dict(page.counts).get(MEANS[Verdict.SEND], 0) == page.written
            assert page.rails == ("mode auto",)
            if page.looked_at is not None:
                assert page.looked_at.groups > 0
                assert page.looked_at.stock_rows >= page.looked_at.groups
            shown += [f"{row.sku} {row.channel} {row.read} {row.target} {row.answered}" for row in page.rows]
        assert sorted(shown) == sorted(
            f"{skus[each.listing_sku != 'a']} {each.slot.channel} {each.read} {each.target} {answered[each.id]}"
            for each in written.values()
        )
        address = re.search(r'href="(/passes/[^"]+)"', (await get(stage, "/passes")).text)
        assert address is not None
        text = (await get(stage, html.unescape(address[1]))).text
        assert html.escape(HOSTILE_SKU) in text.replace("&#34;", "&quot;")
        assert "<img" not in text

    skus = ["a", HOSTILE_SKU]
    play(small_world(WorldConfig(), split=True, skus=skus), policy(split=True), scene)


def test_what_a_pass_held_is_shown_with_its_reason_and_the_rails_that_stood() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(1)
        await stage.built.daemon.desk.take((FreezeSet("", True, "ops", "a count", stage.clock()),))
        await anyio.sleep(300)
        made = next(each for each in stage.journal.facts if isinstance(each, PlanMade) and each.held)
        page = pass_page(stage.built.daemon.desk.book, await passed_of(stage.journal)(made.id, None, 1), 1)
        assert {row.why for row in page.held} <= {words for words, _ in page.counts}
        assert len(page.held) == sum(count for verdict, count in made.verdicts if verdict != Verdict.SEND)
        assert page.held_more == 0
        assert "frozen: all" in page.rails

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_a_number_of_another_entry_leads_nobody_astray_and_what_is_no_pass_is_not_found() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(300)
        stage.world.place_order("shop-uk", "1001", [("a", 40)], stage.clock())
        await anyio.sleep(300)
        reader = JournalReader(stage.journal)
        plans = [each for each in stage.journal.facts if isinstance(each, PlanMade)]
        assert len(plans) > 1
        last = plans[-1].id
        for entry in (None, 1, 10**9):
            assert passed(reader, last, entry, 1).made.id == last  # type: ignore[arg-type]
        correction = next(each for each in stage.journal.facts if isinstance(each, CorrectionPlanned))
        for wrong in ("none", last.upper(), f"{last} ", f"{{{last}}}", str(UUID(int=7)), correction.id):
            with pytest.raises(NotShown):
                passed(reader, wrong, None, 1)  # type: ignore[arg-type]
        assert (await get(stage, f"/passes/{last}?page=2")).status_code == 404
        assert (await get(stage, f"/passes/{last}?entry=x")).status_code == 404

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_a_pass_whose_inputs_are_not_kept_any_longer_says_so() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(120)
        facts = stage.journal.facts
        number, gone = next((n, each) for n, each in enumerate(facts) if isinstance(each, DecisionRecorded))
        facts[number] = replace(gone, packed="sha256:0")
        page = pass_page(stage.built.daemon.desk.book, await passed_of(stage.journal)(gone.id, None, 1), 1)
        assert page.looked_at is None
        assert "ledger.decisions_days" in page.not_kept
        facts[number] = gone

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_a_pass_that_held_for_a_reason_that_is_no_more_is_shown_with_its_name() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(120)
        facts, book = stage.journal.facts, stage.built.daemon.desk.book
        number, made = next((n, each) for n, each in enumerate(facts) if isinstance(each, PlanMade))
        old = ((next(iter(book.slots)), 1, 0, "hold_of_old"),)
        facts[number] = replace(made, verdicts=(("hold_of_old", 1),), held=old)
        try:
            page = pass_page(book, await passed_of(stage.journal)(made.id, None, 1), 1)
            assert "hold_of_old" in page.held[0].why
            assert "hold_of_old" in page.counts[0][0]
            assert "hold_of_old" in (await get(stage, "/passes")).text
        finally:
            facts[number] = made

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


@pytest.mark.parametrize("where", ["environment", "in place of the name"])
async def test_the_configuration_is_shown_with_its_lines_and_without_its_secrets(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    force = in_force()
    name = CANARY if where == "in place of the name" else "web-admin"
    if where == "environment":
        monkeypatch.setenv("WEB_ADMIN", CANARY)
    web = force.settings.web.model_copy(update={"admin_token": name})
    force = replace(
        force, settings=force.settings.model_copy(update={"web": web}), refused=f"not {CANARY}"[:3]
    )
    page = await config_page(lambda: force)
    assert CANARY not in str(page)
    rows = {each.key: each for each in page.values}
    assert rows["web.admin_token"].secret_found is (where == "environment")
    assert ("web-admin" in rows["web.admin_token"].value) == (where == "environment")
    lines = force.text.splitlines()
    for row in page.values:
        assert row.line is None or row.key.rpartition(".")[2].partition("[")[0] in lines[row.line - 1], row
    assert rows["environment"].line is not None
    assert rows["web.hosts"].line is None


def test_only_who_administers_sees_the_configuration() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        sources = replace(sources_of(stage.built), config=in_force)
        answer = await get(stage, "/config", sources)
        assert answer.status_code == 200
        assert "limits.mode" in answer.text
        assert "is NOT in force" not in answer.text
        late = replace(in_force(), refused="limits.mode: no such mode")
        text = (await get(stage, "/config", replace(sources, config=lambda: late))).text
        assert "is NOT in force" in text
        assert (await get(stage, "/config")).status_code == 503

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)
