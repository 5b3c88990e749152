"""Requests to the control socket that are almost right: what they say, or an error that names the field."""

import json
from math import isfinite
from typing import Any

import pytest

from reconcilerd.daemon.requests import FIELDS, parse
from reconcilerd.domain.names import ChannelName
from reconcilerd.simulator.truth import WorldConfig
from tests.near_misses.damage import GONE, damaged
from tests.world.stage import Stage, play, policy, small_world
from tests.world.test_rails import answers

REQUESTS: tuple[dict[str, Any], ...] = (
    {"op": "reconcile", "skus": ["a"], "all": False, "channel": "shop-uk", "fresh": False, "apply": False},
    {"op": "explain", "sku": "a", "channel": "shop-uk", "want": "+5"},
    {"op": "history", "sku": "a", "limit": 40},
    {"op": "approve", "id": "held", "reason": "counted"},
    {"op": "freeze", "channel": "shop-uk", "for_s": 60, "reason": "stocktaking"},
    {"op": "unfreeze", "channel": "shop-uk"},
    {"op": "breaker", "reset": "canary:shop-uk", "reason": "looked"},
    {"op": "plan", "sku": "a", "channel": "shop-uk", "fresh": False},
    {"op": "passes", "limit": 20},
    {"op": "revert", "pass": "id", "apply": False, "reason": "wrong", "for_s": 60.5},
    {"op": "handover", "since_s": 3600.5},
    {"op": "digest", "since_s": 60, "send": False},
)
KINDS: dict[type, tuple[type, ...]] = {str: (str,), bool: (bool,), int: (int, float), float: (int, float)}


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: each["op"])
def test_a_field_is_of_its_kind_or_named_in_the_error(request_: dict[str, Any]) -> None:
    assert parse(request_) == request_
    for spoilt in damaged(request_):
        field = spoilt.path[0]
        try:
            found = parse(spoilt.row)
        except ValueError as error:
            assert any(name in str(error) for name in (field, *set(spoilt.row) - set(FIELDS)))
            continue
        assert set(found) <= set(FIELDS)
        assert found == {name: value for name, value in spoilt.row.items() if value is not None}
        if len(spoilt.path) == 1 and field in found:
            value = found[field]
            assert isinstance(value, KINDS.get(type(request_[field]), (type(request_[field]),)))
            assert isinstance(value, bool) == isinstance(request_[field], bool)
            assert not isinstance(value, float) or (isfinite(value) and field in {"for_s", "since_s"})


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"op": "history", "sku": "a", "limit": 1e400}', "limit"),
        ('{"op": "history", "sku": "a", "limit": true}', "limit"),
        ('{"op": "history", "sku": "a", "limit": 2.5}', "limit"),
        ('{"op": "freeze", "for_s": 1e400}', "for_s"),
        ('{"op": "freeze", "for_s": NaN}', "for_s"),
        ('{"op": "unfreeze", "channel": false}', "channel"),
        ('{"op": "unfreeze", "channel": " "}', "channel"),
        ('{"op": "unfreeze", "chanel": "shop-uk"}', "chanel"),
        ('{"op": "reconcile", "skus": "85123A"}', "skus"),
        ('{"op": "reconcile", "skus": ["a"], "apply": "false"}', "apply"),
        ('{"op": "reconcile", "all": 1}', "all"),
    ],
)
def test_what_is_almost_a_request_is_refused_by_name(line: str, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        parse(json.loads(line))


def test_whatever_is_asked_there_is_an_answer_and_nothing_wider_happens() -> None:
    """Every near miss of every request, asked of a daemon: nothing but what was named is frozen or let go."""

    async def scene(stage: Stage) -> None:
        ask = answers(stage)
        for request in REQUESTS:
            for spoilt in damaged(request):
                told = await ask.answer(dict(spoilt.row), "ops")
                assert isinstance(told["exit_code"], int)
                frozen = set(stage.built.daemon.rails().frozen)
                assert frozen <= {ChannelName("shop-uk"), ""}
                if "" in frozen:
                    assert spoilt.path == ("channel",)
                    assert spoilt.value in (GONE, None), "only a freeze that names no channel is for all"
                await ask.answer({"op": "unfreeze"}, "ops")
                await ask.answer({"op": "unfreeze", "channel": "shop-uk"}, "ops")

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)
