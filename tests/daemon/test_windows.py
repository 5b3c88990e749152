"""What each channel's sliding windows have seen: zeros for longer than the rest, and nothing lost by a restart."""

from reconcilerd.daemon.windows import Windows
from reconcilerd.domain.change import Spent
from reconcilerd.domain.facts import CorrectionPlanned
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import ChannelName, Instant, SlotKey
from reconcilerd.domain.policy import Mode

UK, EU = ChannelName("uk"), ChannelName("eu")
WINDOW_MS, ZEROS_MS = 1_000, 3_000


def spend(number: int, at: int, *, units: int = 2, zero: bool = False) -> CorrectionPlanned:
    """A fall of some units of a listing of its own, each worth a pound."""
    now = Instant(at)
    return CorrectionPlanned(
        f"c{number}",
        SlotKey(UK, f"item {number}"),
        "x",
        9,
        now,
        9 - units,
        "lag",
        "share",
        now,
        unexplained=units,
        sold_out=zero,
        value=100 * units,
    )


def windows(*changes: CorrectionPlanned) -> Windows:
    made = Windows(WINDOW_MS, ZEROS_MS)
    for each in changes:
        made.spend(each)
    return made


def test_listings_units_and_worth_add_up_within_their_window() -> None:
    seen = windows(spend(1, 0), spend(2, 500), spend(2, 600, units=3), spend(3, 1_000))
    assert seen.spent(UK, Instant(1_000)) == Spent(slots=2, units=7, value=700)
    assert seen.spent(UK, Instant(1_600)) == Spent(slots=1, units=2, value=200)


def test_zeros_are_counted_over_a_longer_window_of_their_own() -> None:
    seen = windows(spend(1, 0, zero=True), spend(2, 500, zero=True))
    assert seen.spent(UK, Instant(2_000)) == Spent(zeros=2)
    assert seen.spent(UK, Instant(3_000)) == Spent(zeros=1)
    assert seen.spent(UK, Instant(3_500)) == Spent()


def test_what_is_known_outlives_another_length_of_the_window() -> None:
    """And what was let go of is counted again, once, from what the ledger has."""
    seen = windows(spend(1, 0), spend(2, 5_000))
    assert seen.spent(UK, Instant(5_000)).slots == 1, "the first is let go"
    seen.resize(10_000, 10_000, [spend(1, 0)])
    assert seen.spent(UK, Instant(5_001)).slots == 2
    seen.resize(10_000, 10_000, [spend(1, 0), spend(2, 5_000)])
    assert seen.spent(UK, Instant(5_001)) == Spent(slots=2, units=4, value=400)


def test_a_channel_counts_with_its_listings_and_with_its_changes_whether_or_not_it_has_both() -> None:
    seen = windows(spend(1, 0))
    assert seen.onto(Rails(Mode.AUTO), Instant(1)).spent == {UK: Spent(slots=1, units=2, value=200)}
    seen.count([SlotKey(EU, "a")])
    assert seen.onto(Rails(Mode.AUTO), Instant(1)).spent[EU] == Spent(listings=1)
    seen.count([SlotKey(EU, "a"), SlotKey(EU, "b"), SlotKey(UK, "c")])
    assert seen.onto(Rails(Mode.AUTO), Instant(1)).spent == {
        EU: Spent(listings=2),
        UK: Spent(slots=1, units=2, value=200, listings=1),
    }
