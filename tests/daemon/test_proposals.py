"""What an approval would release: what is shown under an alert, and what the second of two may still agree to."""

import re
from dataclasses import replace

import pytest

from reconcilerd.cli.reconcile_entry import parser
from reconcilerd.daemon.consents import Proposal, limits_of, proposal_of, still_means
from reconcilerd.daemon.presses import SHOWN, proposal_text
from reconcilerd.domain.drift import Cause, Drift
from reconcilerd.domain.facts import ConsentGiven
from reconcilerd.domain.names import Instant, Sku
from reconcilerd.domain.verdicts import LATCHED, Verdict
from tests.domain.builders import slot

A, B = Sku("a"), Sku("b")


def test_what_a_proposal_has_no_room_for_is_shown_by_the_command_that_it_names() -> None:
    rows = tuple((Sku(f"s{n}"), f"x/{n}", 5, 1, Verdict.HOLD_UNEXPLAINED) for n in range(SHOWN + 2))
    text = proposal_text(Proposal("shop-uk", rows, tuple(each[0] for each in rows), "lower", 4, ()))
    [command] = re.findall(r"and 2 more: `reconcilerd reconcile (.*)`", text)
    asked = parser().parse_args(command.split())
    assert (asked.all, asked.channel) == (True, "shop-uk")


@pytest.mark.parametrize("verdict", sorted(LATCHED))
def test_an_approval_of_a_channel_releases_nothing_that_a_tripped_rail_holds(verdict: Verdict) -> None:
    """That is reset under its own name, by somebody who has seen why it tripped."""
    drift = Drift(slot("uk"), A, observed=9, desired=3, ideal=3, cause=Cause.LAG)
    assert proposal_of("uk", [(drift, verdict)], lambda _: []).rows == ()
    waiting = proposal_of("uk", [(drift, Verdict.HOLD_UNEXPLAINED), (drift, verdict)], lambda _: [])
    assert [row[-1] for row in waiting.rows] == [Verdict.HOLD_UNEXPLAINED]


def waits(*rows: tuple[Sku, int, int]) -> Proposal:
    """What waits on uk now: of each SKU what it shows and what it should show."""
    held = tuple((sku, f"uk/{sku}", shows, desired, Verdict.HOLD_UNEXPLAINED) for sku, shows, desired in rows)
    return Proposal("uk", held, tuple(sku for sku, _, _ in rows), "lower", 5, ())


AGREED = ConsentGiven(
    "c", "uk", (A, B), "lower", 5, ("uk/a",), "slack U0ANN", "counted", Instant(0), Instant(1_000)
)
"""Somebody agreed to fall by up to five units each, listing a to nothing if need be."""


@pytest.mark.parametrize(
    ("now", "means"),
    [
        (waits((A, 9, 4)), True),
        (waits((A, 9, 3)), False),
        (waits((A, 2, 4)), False),
        (waits((A, 3, 0)), True),
        (waits((B, 3, 0)), False),
        (waits((A, 9, 4), (B, 9, 3)), False),
        (waits((Sku("c"), 9, 4)), False),
        (waits((A, 9, 4), (Sku("c"), 9, 0)), True),
    ],
    ids=[
        "as far",
        "further",
        "the other way",
        "to a zero agreed to",
        "to another zero",
        "one of two further",
        "none of it",
        "beside others",
    ],
)
def test_the_second_of_two_agrees_to_no_more_than_the_first_did(now: Proposal, means: bool) -> None:
    assert still_means(AGREED, now) is means


@pytest.mark.parametrize(
    ("now", "means"),
    [
        (waits((A, 9, 4), (B, 9, 7)), True),
        (waits((A, 9, 4), (B, 9, 6)), False),
        (waits((B, 6, 7)), True),
        (waits((A, 6, 7)), False),
    ],
    ids=["each as far", "one as far as the other", "its own way", "the other's way"],
)
def test_the_second_of_two_agrees_to_each_sku_as_far_as_the_first_did(now: Proposal, means: bool) -> None:
    agreed = replace(AGREED, direction="both", limits=((A, 5, 0), (B, 2, 1)))
    assert still_means(agreed, now) is means


def test_a_proposal_lets_each_sku_go_as_far_as_its_own_corrections() -> None:
    held = [
        (
            Drift(slot(name), sku, observed=shows, desired=desired, ideal=0, cause=Cause.LAG),
            Verdict.HOLD_UNEXPLAINED,
        )
        for name, sku, shows, desired in (("uk", A, 600, 27), ("uk", B, 9, 8))
    ]
    shown = {A: [("uk/a", 600), ("eu/a", 573)], B: [("uk/b", 9), ("eu/b", 1), ("us/b", 2)]}
    now = proposal_of("uk", held, lambda sku: shown[sku])
    assert now.limits == ((A, 573, 0), (B, 1, 0))
    assert now.zeros == ("eu/a", "eu/b"), "what could come to nothing by as much as its own SKU falls"
    assert (now.direction, now.ceiling) == ("lower", 573)


def test_limits_are_the_farthest_that_a_correction_of_the_sku_goes_each_way() -> None:
    assert limits_of([(B, 5, 9), (A, 9, 2), (B, 5, 4), (A, 9, 8), (B, 5, 5)]) == ((A, 7, 0), (B, 1, 4))
    assert limits_of([]) == ()


def test_what_was_agreed_to_before_each_sku_had_its_own_limits_is_shown_anew_or_agreed_to_by_its_id() -> None:
    now = waits((A, 9, 4))
    old = replace(AGREED, skus=now.skus, zeros=now.zeros)
    assert now.mark_of(old) == ""
    assert now.mark_of(replace(old, limits=now.limits)) == now.mark


def test_who_agreed_to_both_ways_agreed_to_raises_too() -> None:
    assert still_means(replace(AGREED, direction="both"), waits((A, 2, 4)))
