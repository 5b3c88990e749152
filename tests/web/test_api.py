"""The JSON side says what the pages say, in the shapes that its own description gives."""

import re
from typing import Any

import anyio
import msgspec

from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.web.api import DESCRIPTION, described
from reconcilerd.web.sku import NotShown
from reconcilerd.web.views import status_of, views_of
from tests.web.stage import answers_of, sources_of
from tests.web.test_pages import HOSTILE, get
from tests.world.stage import Stage, play, policy, small_world


async def nothing(_subjects: object, _each: int) -> list[Any]:
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
        views = views_of(sources_of(stage.built), answers_of(stage.built, stage.journal), nothing)
        assert document == msgspec.to_builtins(described(views))
        assert len(document["paths"]) == len(views)
        schemas = document["components"]["schemas"]
        assert refs(document) <= {f"#/components/schemas/{name}" for name in schemas}
        for path, operations in document["paths"].items():
            operation = operations["get"]
            (view,) = (each for each in views if each.name == operation["operationId"])
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert set(re.findall(r"\{(\w+)\}", path)) == named
            answer = await get(stage, path.format(name="shop-uk", sku="a"))
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
