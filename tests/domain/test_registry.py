"""The table of rails is whole: every rail has its function, key, sentence, mutant, and a word on what a reset means."""

import pytest

from reconcilerd.config.defaults import describe
from reconcilerd.domain import latches
from reconcilerd.domain.registry import RAILS, RESETS, Rail
from reconcilerd.domain.size import SIZE
from reconcilerd.domain.verdicts import (
    LATCHED,
    MEANS,
    NEEDS_A_PERSON,
    SHORT_OF_ALLOWANCE,
    Verdict,
    meaning_of,
)
from tests.mutants.table import MUTANTS, function_of, without_a_mutant

KEYS = {row.key for row in describe()}


@pytest.mark.parametrize("rail", RAILS, ids=lambda rail: rail.name)
def test_a_rail_has_a_function_a_key_and_a_sentence(rail: Rail) -> None:
    assert function_of(rail).__doc__ or rail.function.partition(":")[2] in {
        "stop_file",
        "freeze",
        "observe_only",
    }
    assert rail.key in KEYS
    assert MEANS[rail.verdict]
    assert MUTANTS[rail.name].tests


def test_no_rail_is_without_a_mutant_and_no_mutant_without_a_rail() -> None:
    assert without_a_mutant() == []


def test_every_guard_of_size_is_in_the_table() -> None:
    assert {function_of(rail) for rail in RAILS} >= set(SIZE)


def test_every_latch_says_what_a_reset_of_it_means() -> None:
    named = {
        latches.ZEROS,
        latches.TUG,
        latches.QUARANTINE,
        latches.CANARY,
        latches.CIRCUIT,
        latches.CONFIG_CHANGE,
    } | set(latches.SUSPICIONS)
    assert set(RESETS) == named | {latches.INVARIANT}
    assert {rail.latch for rail in RAILS if rail.latch} == named


def test_whatever_a_rail_of_size_holds_waits_for_a_person_but_for_stock_that_is_read_again_first() -> None:
    of_size = {rail.verdict for rail in RAILS if function_of(rail) in SIZE}
    assert of_size - {Verdict.HOLD_CONFIRM} == NEEDS_A_PERSON


def test_what_waits_for_a_reset_or_for_the_window_is_told_apart() -> None:
    of_size = [rail for rail in RAILS if function_of(rail) in SIZE]
    assert {rail.verdict for rail in of_size if rail.latch} == LATCHED
    windows = {rail.verdict for rail in of_size if rail.name.startswith("window by")}
    assert windows | {Verdict.HOLD_ZEROS} == SHORT_OF_ALLOWANCE


def test_what_the_ledger_holds_of_a_reason_that_is_gone_is_told_by_its_name() -> None:
    assert {meaning_of(str(each)) for each in Verdict} == set(MEANS.values())
    assert "hold_of_old" in meaning_of("hold_of_old")
