"""The JSON side says what the pages say, in the shapes that its own description gives."""

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
from starlette.requests import Request

from reconcilerd.config.load import load
from reconcilerd.config.policy import policy_of
from reconcilerd.domain.drift import Cause, Drift
from reconcilerd.domain.facts import FindingKind, FindingRaised, PlanMade
from reconcilerd.domain.guards import Verdict
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.web.api import DESCRIPTION, described
from reconcilerd.web.configuration import InForce
from reconcilerd.web.downloads import MARK, downloads_of
from reconcilerd.web.sku import NotShown
from reconcilerd.web.views import RECENT_MS, Look, View, shared, status_of, views_of
from tests.web.stage import answers_of, passed_of, sources_of
from tests.web.test_lists import quiet
from tests.web.test_pages import HOSTILE, get
from tests.world.stage import Stage, play, policy, small_world


def in_force() -> InForce:
    """The shipped configuration."""
    path = Path(__file__).parents[2] / "config.toml"
    settings = load(path)
    rules = policy_of(settings, path.parent, None)
    return InForce("config.toml", path.read_text("utf-8"), settings, rules, Instant(0))


async def nothing(subjects: Sequence[tuple[str, str]], each: int, before: int | None = None) -> list[Any]:
    del subjects, each, before
    return []


def refs(value: Any) -> set[str]:
    """Every schema that a part of the document points to."""
    if isinstance(value, dict):
        return {value["$ref"]} if "$ref" in value else set().union(*map(refs, value.values()))
    return set().union(*map(refs, value)) if isinstance(value, list) else set()


def test_every_view_is_described_and_answers_in_that_shape() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(120)
        document = (await get(stage, DESCRIPTION)).json()
        sources = replace(sources_of(stage.built), config=in_force)
        views = views_of(sources, answers_of(stage.built, stage.journal), nothing, passed_of(stage.journal))
        tables = downloads_of(stage.built.daemon)
        assert document == msgspec.to_builtins(described(views, tables))
        assert len(document["paths"]) == len(views) + len(tables)
        schemas = document["components"]["schemas"]
        assert refs(document) <= {f"#/components/schemas/{name}" for name in schemas}
        for path, operations in document["paths"].items():
            operation = operations["get"]
            if path.endswith(".csv"):
                answer = await get(stage, path)
                (table,) = (each for each in tables if each.path == path)
                assert answer.text.removeprefix(MARK).splitlines()[0].split(",") == list(table.columns)
                assert all(each in operation["responses"]["200"]["description"] for each in table.columns)
                continue
            (view,) = (each for each in views if each.name == operation["operationId"])
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert set(re.findall(r"\{(\w+)\}", path)) == named
            made = next(fact.id for fact in stage.journal.facts if isinstance(fact, PlanMade))
            answer = await get(stage, path.format(name="shop-uk", sku="a", id=made), sources)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
            read: Any = msgspec.json.decode(answer.content, type=view.kind)
            assert msgspec.json.decode(msgspec.json.encode(read)) == answer.json()
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            shape = schemas[schema["$ref"].rpartition("/")[2]]
            assert set(shape["required"]) == set(answer.json())

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_what_is_not_known_is_told_in_json_too() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(120)
        for path in ("sku/none", f"drift?channel={HOSTILE}", "channels/none"):
            answer = await get(stage, f"/api/v1/{path}")
            assert answer.status_code == 404, path
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["error"]["exit_code"] == 6
        assert (await get(stage, "/api/v1/sku/none")).json()["error"]["message"].startswith("no SKU")

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_only_what_is_unknown_is_not_found() -> None:
    assert [status_of(NotShown("", code)) for code in (4, 5, 6)] == [503, 503, 404]


async def test_many_who_look_cost_no_more_than_one() -> None:
    now, looks = Instant(0), list[str]()

    async def look(request: Request) -> int:
        looks.append(request.query_params["channel"])
        await anyio.lowlevel.checkpoint()
        return len(looks)

    view = View("x", "", int, look, "/x", {"channel": ""})
    shown = shared(view, lambda: now)
    told: list[int] = []

    async def ask(channel: str) -> None:
        query = f"channel={channel}&other={len(told)}".encode()
        told.append(await shown(Request({"type": "http", "path_params": {}, "query_string": query})))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask, "a")
    assert (told, looks) == ([1] * 20, ["a"])
    await ask("b")
    now = Instant(RECENT_MS - 1)
    await ask("b")
    assert looks == ["a", "b"]
    now = Instant(RECENT_MS)
    await ask("b")
    now = Instant(0)  # a clock that went back
    await ask("b")
    assert (looks, told[-1]) == (["a", "b", "b", "b"], 4)


def test_a_look_at_very_much_takes_no_more_steps_than_one_at_little() -> None:
    async def look() -> None:
        daemon = stage.built.daemon
        steps: dict[str, list[int]] = {}
        for many in (500, 20_000):
            for number in range(many):
                slot = SlotKey(ChannelName("shop-uk"), str(number))
                drift = Drift(slot, Sku(f"s{number}"), 2, 1, 1, Cause.LAG)
                daemon.passes.standing.put(drift.sku, ((drift, Verdict.HOLD_FROZEN),))
                finding = FindingRaised(FindingKind.UNMAPPED_SKU, f"shop-uk:{number}", "", Instant(0))
                daemon.desk.book.findings[finding.about] = finding
            views = views_of(
                sources_of(stage.built),
                answers_of(stage.built, stage.journal),
                nothing,
                passed_of(stage.journal),
            )
            for view in views:
                if view.name in {"overview", "drift", "system", "mapping", "orders"}:
                    scope = {"type": "http", "path_params": {"name": "shop-uk"}, "query_string": b""}
                    steps.setdefault(view.name, []).append(await calls_of(view.look, Request(scope)))
        assert len(steps) == 5
        for name, (few, many) in steps.items():
            assert many <= few * 1.1, name

    stage = play(small_world(WorldConfig(), split=True), policy(split=True), quiet)
    anyio.run(look)


async def calls_of(look: Look, request: Request) -> int:
    """How many functions a look calls."""
    called = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal called
        called += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        await look(request)
    finally:
        sys.setprofile(None)
    return called
