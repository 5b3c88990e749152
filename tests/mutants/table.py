"""For every rail of the registry: what stands in its place when it is taken away, and the tests that must then fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import FunctionType
from typing import Any, Final

from reconcilerd.domain.registry import RAILS, Rail


@dataclass(frozen=True, slots=True)
class Mutant:
    """``instead``: the rail's function without the rail; it takes the same arguments."""

    tests: tuple[str, ...]
    instead: Callable[..., Any] = lambda change, rails: None


GUARDS = "tests/domain/test_guards.py::"
RULES = "tests/domain/test_rails.py::"
SWEEPS = "tests/daemon/test_sweeping.py::"
SENDING = "tests/daemon/test_sending.py::"
TRIPS = "tests/domain/test_trips.py::"
WORD = GUARDS + "test_a_persons_word_and_the_window_hold_in_both_directions"

MUTANTS: Final[Mapping[str, Mutant]] = {
    "stop file": Mutant((WORD,)),
    "stop file before each write": Mutant(
        (SENDING + "test_a_stop_file_that_appears_between_two_writes_of_a_batch_stops_the_second",),
        lambda *, stop, frozen, circuit_open: None,
    ),
    "freeze": Mutant((WORD,)),
    "freeze window": Mutant((RULES + "test_a_freeze_window_lets_through_what_it_says_and_a_deny_wins",)),
    "mode observe": Mutant((WORD,)),
    "mode guarded": Mutant((GUARDS + "test_guarded_lets_go_only_lowers_that_orders_explain",)),
    "ownership": Mutant((GUARDS + "test_a_slot_that_is_not_ours_or_not_known_is_held_in_both_directions",)),
    "decrease only": Mutant((RULES + "test_a_channel_that_may_only_be_lowered_is_never_raised",)),
    "protected SKU": Mutant((RULES + "test_a_protected_sku_changes_by_orders_alone",)),
    "circuit breaker": Mutant(
        (RULES + "test_a_circuit_opens_when_half_of_twenty_calls_failed",),
        lambda circuit, at, answered, limits: circuit,
    ),
    "open circuit": Mutant((RULES + "test_an_open_circuit_holds_both_ways",)),
    "half fails": Mutant(
        (RULES + "test_half_is_not_most_and_one_is_not_many",), lambda failing, channels, limits: False
    ),
    "storm": Mutant((RULES + "test_most_channels_failing_together_stop_raises_only",)),
    "tug of war": Mutant((RULES + "test_a_tug_of_war_is_left_to_the_other_but_for_what_shows_too_much",)),
    "tug of war is counted": Mutant(
        (TRIPS + "test_another_hand_that_changes_ours_away_three_times_an_hour_trips",),
        lambda track, latches, limits: (),
    ),
    "quarantine": Mutant((RULES + "test_a_value_that_was_refused_too_often_is_parked_and_another_is_not",)),
    "refusals are counted": Mutant(
        (TRIPS + "test_the_same_value_refused_three_times_in_a_row_is_parked",),
        lambda track, sent, value, latches, limits: (),
    ),
    "attempt budget": Mutant((RULES + "test_a_slot_is_written_so_often_an_hour",)),
    "all changed": Mutant(
        (SWEEPS + "test_when_nearly_everything_changed_raises_take_the_smaller_and_lowers_the_larger",),
        lambda seen, book: None,
    ),
    "shrinking": Mutant(
        (SWEEPS + "test_much_fewer_rows_than_usual_are_doubted_and_what_is_gone_stays_for_lowers",),
        lambda seen, book, feed, rows: None,
    ),
    "sentinel": Mutant(
        (SWEEPS + "test_a_sentinel_outside_its_range_voids_the_reading",), lambda rule, said, *, ended: None
    ),
    "suspect reading": Mutant((RULES + "test_a_doubtful_reading_of_the_pool_raises_nothing",)),
    "never counted": Mutant((RULES + "test_a_zero_of_stock_that_was_never_counted_hides_nothing",)),
    "zero read thrice": Mutant(
        (RULES + "test_a_zero_that_only_a_stock_reading_brings_must_be_said_three_times",)
    ),
    "large change read twice": Mutant(
        (RULES + "test_a_change_beyond_the_size_limits_is_read_again_before_a_person_is_asked",)
    ),
    "unexplained fall": Mutant((GUARDS + "test_a_deep_fall_waits_for_a_person_unless_orders_explain_it",)),
    "raise ratio": Mutant((RULES + "test_a_raise_far_beyond_what_it_ever_showed_waits",)),
    "zeros": Mutant((GUARDS + "test_unexplained_zeros_are_counted_apart",)),
    "zeros latch": Mutant((RULES + "test_too_many_zeros_latch_and_stay_so",)),
    "window by count": Mutant((WORD,)),
    "window by share": Mutant((WORD,)),
    "window by units": Mutant((WORD,)),
    "window by value": Mutant((RULES + "test_what_changes_are_worth_is_counted_where_there_is_a_price",)),
    "canary": Mutant(
        (SENDING + "test_a_large_set_goes_in_small_batches_that_are_read_back",),
        lambda waiting, limits: False,
    ),
    "canary is read back": Mutant(
        (SENDING + "test_a_first_batch_that_did_not_take_stops_the_rest_and_latches",),
        lambda before, target, sold, read: True,
    ),
    "stopped canary": Mutant((RULES + "test_a_canary_that_stopped_holds_what_orders_do_not_explain",)),
    "config change": Mutant((RULES + "test_a_changed_policy_is_looked_at_first",)),
}
"""By the rail's name."""


def function_of(rail: Rail) -> FunctionType:
    """The one function that decides a rail. Raises AttributeError or ImportError where there is none."""
    module, _, name = rail.function.partition(":")
    found = getattr(import_module(f"reconcilerd.{module}"), name)
    assert isinstance(found, FunctionType)
    return found


def take_away(rail: Rail) -> None:
    """From here on this process has no such rail, whoever holds its function already."""
    instead = MUTANTS[rail.name].instead
    assert isinstance(instead, FunctionType)
    function_of(rail).__code__ = instead.__code__


def without_a_mutant() -> list[str]:
    """Rails that nothing takes away, and mutants of no rail."""
    return sorted({rail.name for rail in RAILS} ^ MUTANTS.keys())
