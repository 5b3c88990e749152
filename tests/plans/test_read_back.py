"""What a person had written is told, and what was pinned for it let go, whatever can be read back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from reconcilerd.cli.plan_text import applied as applied_text
from reconcilerd.cli.plan_text import reverted
from reconcilerd.cli.render import sheets
from reconcilerd.domain.facts import FreezeSet
from reconcilerd.domain.policy import Mode
from reconcilerd.trial.stage import Door
from tests.plans.stage import Shop, opened
from tests.plans.test_revert import SHARES, applied, last_pass, revert


def shut(monkeypatch: pytest.MonkeyPatch, *paths: str) -> None:
    """From here on nothing under these paths can be reached."""
    real = Door.handle_async_request

    async def answer(self: Door, request: httpx.Request) -> httpx.Response:
        if any(request.url.path.startswith(path) for path in paths):
            raise httpx.ConnectError("nobody is there", request=request)
        return await real(self, request)

    monkeypatch.setattr(Door, "handle_async_request", answer)


def once_put(shop: Shop, then: Callable[[], None]) -> None:
    """Have something happen when corrections come to the executors, and before they leave."""
    for executor in shop.stage.built.daemon.executors.values():

        def put(batch: Any, real: Callable[[Any], None] = executor.put) -> None:
            if batch:
                then()
            real(batch)

        replaced: Any = put
        executor.put = replaced  # type: ignore[method-assign]


def pinned(told: dict[str, Any]) -> set[str]:
    return {each["channel"] for each in told["pins"]}


def test_a_revert_of_which_nothing_left_says_so_and_pins_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(shop: Shop) -> None:
        id_ = await applied(shop, sku="a")
        await revert(shop, id_, apply=False)
        shut(monkeypatch, "/extensiv", "/shopify")
        told = await revert(shop, id_)
        assert {each["outcome"] for each in told["sent"]} <= {"not sent", "not answered yet"}, told
        assert len(told["sent"]) == 3
        assert told["exit_code"] == 3
        text = " ".join(reverted(told, 80).split())
        assert all(f"NOT READ BACK: {why}" in text for why in told["not_read_back"])
        assert "cannot be reached" in text
        await anyio.sleep(600)
        assert (await shop.ask("pins"))["pins"] == []

    opened(tmp_path / "l.db", scene)


def test_what_was_written_is_told_though_extensiv_cannot_be_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(shop: Shop) -> None:
        plan = await shop.plan(sku="a", fresh=True)
        shut(monkeypatch, "/extensiv")
        told = await shop.apply(plan)
        assert {each["outcome"] for each in told["sent"]} == {"confirmed"}, told
        assert (len(told["sent"]), told["exit_code"]) == (3, 0)
        (why,) = told["not_read_back"]
        assert "extensiv" in why
        assert f"NOT READ BACK: {why}" in " ".join(applied_text(told, 80).split())
        assert shop.shown() == SHARES

    opened(tmp_path / "l.db", scene)


def test_what_one_sku_was_corrected_by_is_told_though_it_cannot_be_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(shop: Shop) -> None:
        await anyio.sleep(200)
        assert shop.shown() == SHARES
        world, clock = shop.stage.world, shop.stage.clock
        world.set_quantity(shop.stage.item("shop-us", "a"), 12, clock())
        once_put(shop, lambda: shut(monkeypatch, "/extensiv"))
        told = await shop.ask("reconcile", skus=["a"], apply=True)
        assert [(each["to"], each["read_back"]) for each in told["corrected"]] == [(8, True)], told
        assert (len(told["not_read_back"]), told["exit_code"]) == (1, 5)
        text = " ".join(sheets(told, 80).split())
        assert "Corrected, and read back: shop-us 12 -> 8 NOT READ BACK: extensiv" in text

    opened(tmp_path / "l.db", scene, mode=Mode.AUTO)


@pytest.mark.parametrize("how", ["stop", "freeze"])
def test_what_is_stopped_on_its_way_is_told_as_stopped_and_as_held(tmp_path: Path, how: str) -> None:
    async def scene(shop: Shop) -> None:
        id_, daemon = await applied(shop, sku="a"), shop.stage.built.daemon

        def hold() -> None:
            if how == "stop":
                daemon._plugs = replace(daemon._plugs, stop_file=lambda: True)
            else:
                freeze = FreezeSet("", True, "test", "on purpose", shop.stage.clock())
                daemon.desk.book.words.take(freeze)

        once_put(shop, hold)
        told = await revert(shop, id_)
        why = {"stop": "the STOP file is there", "freeze": "writes are frozen"}[how]
        assert {(each["outcome"], each["detail"]) for each in told["sent"]} == {("not sent", why)}, told
        assert told["exit_code"] == 7
        assert f"not sent: {why}" in " ".join(reverted(told, 80).split())
        assert (shop.shown(), (await shop.ask("pins"))["pins"]) == (SHARES, [])

    opened(tmp_path / "l.db", scene)


def test_a_pin_ends_when_its_correction_is_answered_in_vain_after_the_person_has_gone(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        id_, daemon = await applied(shop, sku="a"), shop.stage.built.daemon
        waiting: list[tuple[Callable[[Any], None], Any]] = []
        for executor in daemon.executors.values():
            keep: Any = lambda batch, real=executor.put: waiting.append((real, batch))  # noqa: E731
            executor.put = keep  # type: ignore[method-assign]
        told = await revert(shop, id_)
        assert {each["outcome"] for each in told["sent"]} == {"not answered yet"}
        assert pinned(await shop.ask("pins")) == set(SHARES)
        await shop.ask("freeze", reason="hands off")
        for real, batch in waiting:
            real(batch)
        await anyio.sleep(60)
        assert (await shop.ask("pins"))["pins"] == []
        deeds = [each for each in (await shop.ask("handover"))["done"] if each["what"] == "unpinned"]
        assert {(each["by"], each["reason"]) for each in deeds} == {
            ("reconcilerd", "what it was to keep did not come about")
        }

    opened(tmp_path / "l.db", scene)


def test_a_pin_ends_when_a_restart_cut_its_correction_off(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        id_ = await applied(shop, sku="a")
        for executor in shop.stage.built.daemon.executors.values():
            lost: Any = lambda _batch: None  # noqa: E731
            executor.put = lost  # type: ignore[method-assign]
        await revert(shop, id_)
        assert pinned(await shop.ask("pins")) == set(SHARES)

    async def later(shop: Shop) -> None:
        assert (await shop.ask("pins"))["pins"] == []
        assert shop.shown() == SHARES

    world = opened(tmp_path / "l.db", scene)
    opened(tmp_path / "l.db", later, world=world, start=world.now, read_s=900)


def test_a_pin_stays_where_its_correction_did_what_it_was_to(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await revert(shop, await applied(shop, sku="a"))
        await anyio.sleep(900)
        assert pinned(await shop.ask("pins")) == set(SHARES)
        assert (await last_pass(shop)) is not None

    opened(tmp_path / "l.db", scene)
