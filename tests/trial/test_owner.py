"""A daemon that does not do what its owner asked for is found out, by the policy itself."""

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import pytest

from reconcilerd.domain import survey
from reconcilerd.domain.book import Book
from reconcilerd.domain.change import Closed
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, SlotKey, after
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import ChannelRule, Mode, OfferRule, Policy, Reserve, SkuRule
from reconcilerd.domain.position import ClaimKind, Position
from reconcilerd.trial.market import Market, market
from reconcilerd.trial.owner import (
    held_back,
    not_while_closed,
    only_lowered,
    within_caps,
    within_places,
)
from reconcilerd.trial.run import run_trial
from reconcilerd.trial.stage import START
from tests.domain.builders import NOW, A, B, claim, offer, position, row

X, SET = Sku("x"), Sku("set")
SECOND = LocationName("2")
UNTIL = after(START, 86_400_000 * 30)


def keeping(what: Market) -> Market:
    """Two of each SKU are never offered."""
    skus = {sku: replace(rule, safety_stock=2) for sku, rule in what.policy.skus.items()}
    return replace(what, policy=replace(what.policy, skus=MappingProxyType(skus)))


def reserving(what: Market) -> Market:
    """Two of each SKU are reserved for a month."""
    reserves = dict.fromkeys(what.policy.skus, (Reserve(2, UNTIL),))
    return replace(what, policy=replace(what.policy, reserves=MappingProxyType(reserves)))


@pytest.mark.parametrize(("where", "forgets"), [(keeping, "safety_claims"), (reserving, "reserve_claims")])
def test_a_daemon_that_offers_what_is_to_be_kept_is_found_out(
    where: Callable[[Market], Market], forgets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = where(market(1, 4))
    assert run_trial(what, 1, 0.5).violations == ()
    monkeypatch.setattr(survey, forgets, lambda *_: iter(()))
    assert "I1" in {each.invariant for each in run_trial(what, 1, 0.5).violations}


def policy(**more: object) -> Policy:
    return replace(
        Policy(
            "test", pools=MappingProxyType({}), channels=MappingProxyType({ChannelName("uk"): ChannelRule()})
        ),
        **more,  # type: ignore[arg-type]
    )


def raising(
    *kept: tuple[ClaimKind, int], uses: tuple[tuple[Sku, int], ...] = ((X, 1),), elsewhere: int = 0
) -> GroupPlan:
    """One shows one of what there is; so much of x is kept."""
    sku = X if uses == ((X, 1),) else SET
    listing = offer("uk", shown=1, sku=sku, uses=uses)
    claims = [claim(units, kind) for kind, units in kept]
    rows = [row(A, 30), *([row(B, elsewhere)] if elsewhere else [])]
    plan = make_plan(position([listing], rows, claims), Rails(Mode.AUTO))
    assert [each.target > each.current for each in plan.sends] == [True]
    return plan


def lowering() -> GroupPlan:
    """One shows more than there is."""
    plan = make_plan(position([offer("uk", shown=40)], [row(A, 30)]), Rails(Mode.AUTO))
    assert [each.target < each.current for each in plan.sends] == [True]
    return plan


SAFE = policy(default_sku=SkuRule(safety_stock=5))
SAFE_SETS = policy(skus=MappingProxyType({SET: SkuRule(safety_stock=5)}))
HELD = policy(reserves=MappingProxyType({X: (Reserve(5, Instant(NOW + 1)), Reserve(2, Instant(NOW)))}))
HELD_SETS = policy(reserves=MappingProxyType({SET: (Reserve(5, Instant(NOW + 1)),)}))
PAIRS = ((X, 2),)


@pytest.mark.parametrize(
    ("asked", "kind", "units", "uses"),
    [
        (SAFE, ClaimKind.SAFETY, 5, ((X, 1),)),
        (SAFE, ClaimKind.SAFETY, 5, PAIRS),
        (SAFE_SETS, ClaimKind.SAFETY, 10, PAIRS),
        (HELD, ClaimKind.RESERVED, 5, ((X, 1),)),
        (HELD_SETS, ClaimKind.RESERVED, 10, PAIRS),
    ],
)
def test_as_much_is_kept_as_the_policy_says_of_parts_of_bundles_too(
    asked: Policy, kind: ClaimKind, units: int, uses: tuple[tuple[Sku, int], ...]
) -> None:
    """What was reserved until now is not any more."""
    assert list(held_back(raising((kind, units), uses=uses), asked)) == []
    ((name, what),) = held_back(raising((kind, units - 1), uses=uses), asked)
    assert (name, f"is {units - 1}, and {units} by the policy" in what) == ("I1", True)
    assert list(held_back(raising(uses=uses), policy())) == []


def test_what_may_only_be_lowered_or_has_a_cap_is_raised_no_further() -> None:
    plan = raising()
    only = policy(channels=MappingProxyType({ChannelName("uk"): ChannelRule(decrease_only=True)}))
    assert [name for name, _ in only_lowered(plan, only)] == ["I17"]
    assert list(only_lowered(plan, policy())) == []
    for cap, found in ((30, []), (29, ["I1"])):
        offers = {(X, ChannelName("uk")): OfferRule(cap=cap)}
        assert [name for name, _ in within_caps(plan, policy(offers=MappingProxyType(offers)))] == found
        # A cap is in eaches: thirty packs of six are within one of 180.
        packs = {(X, ChannelName("uk")): OfferRule(cap=6 * cap, units_per_sale=6)}
        assert [name for name, _ in within_caps(plan, policy(offers=MappingProxyType(packs)))] == found


def shutting(what: Market) -> Market:
    """Nothing ships from the second warehouse."""
    skus = {
        sku: replace(rule, excluded_locations=frozenset({SECOND})) for sku, rule in what.policy.skus.items()
    }
    return replace(what, policy=replace(what.policy, skus=MappingProxyType(skus)))


def test_a_daemon_that_ships_from_where_it_may_not_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    what = shutting(market(1, 4))
    assert any(SECOND in at for rule in what.policy.channels.values() for at in rule.places.values())
    assert run_trial(what, 1, 0.5).violations == ()
    known = survey._slot

    def forgetful(book: Book, sku: Sku, slot: SlotKey, everywhere: frozenset[LocationName]) -> object:
        kept = known(book, sku, slot, everywhere)
        return None if kept is None else replace(kept, locations=everywhere)

    monkeypatch.setattr(survey, "_slot", forgetful)
    monkeypatch.setattr(Position, "excluded_of", lambda *_: frozenset[LocationName]())
    assert "I1" in {each.invariant for each in run_trial(what, 1, 0.5).violations}


def freezing(what: Market) -> Market:
    """All is closed from a quarter of an hour after the doors open."""
    begins = after(what.begins, 900_000)
    return replace(what, closed=lambda now: (Closed("", frozenset()),) if now > begins else ())


def test_a_daemon_that_writes_within_a_freeze_window_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    what = freezing(market(1, 4))
    assert {each.invariant for each in run_trial(what, 1, 0.5).violations} <= {"I12"}
    monkeypatch.setattr(Closed, "bars", lambda *_, **__: False)
    found = [each.what for each in run_trial(what, 1, 0.5).violations if each.invariant == "I17"]
    assert any("is sent" in each for each in found)
    assert any("was written within" in each for each in found)


def test_what_a_freeze_window_lets_through_is_at_most_a_lower() -> None:
    plan, lower = raising(), lowering()
    for closed, which, found in (
        (Closed(""), plan, ["I17"]),
        (Closed("uk"), plan, ["I17"]),
        (Closed("eu"), plan, []),
        (Closed("", frozenset({"lowers", "cures"})), plan, ["I17"]),
        (Closed(""), lower, ["I17"]),
        (Closed("", frozenset({"lowers"})), lower, []),
        (Closed("", frozenset({"cures"})), lower, []),
    ):
        assert [name for name, _ in not_while_closed(which, [closed])] == found, closed


def test_no_raise_is_beyond_what_lies_where_it_may_ship_from() -> None:
    """By the places of the channel, and what its SKU, its listing and its parts are not shipped from."""
    plan = raising(elsewhere=5)
    (entry,) = plan.sends
    assert entry.target == 35
    both, one = frozenset({A, B}), frozenset({A})
    slot = entry.slot

    def asked(places: frozenset[LocationName], **more: object) -> Policy:
        rule = ChannelRule(places=MappingProxyType({slot.place: places}))
        return policy(channels=MappingProxyType({slot.channel: rule}), **more)

    shut = SkuRule(excluded_locations=frozenset({B}))
    not_here = {(X, slot.channel): OfferRule(excluded_locations=frozenset({B}))}
    for which, found in (
        (asked(both), []),
        (asked(frozenset()), []),
        (asked(one), ["I1"]),
        (asked(both, skus=MappingProxyType({X: shut})), ["I1"]),
        (asked(both, offers=MappingProxyType(not_here)), ["I1"]),
    ):
        assert [name for name, _ in within_places(plan, which)] == found
    lent = replace(plan, allocations=tuple(replace(each, beyond=5) for each in plan.allocations))
    assert list(within_places(lent, asked(one))) == []
