"""Everything checked at once, from what was written down and what stands: for the demo, and for tests of the whole.

Judges our own writes on their recorded inputs; what the world did beside them is measured, not judged.
"""

from collections.abc import Collection, Iterable, Mapping, Set
from typing import Final

from reconcilerd.daemon.daemon import Daemon
from reconcilerd.domain.allocation import allocate
from reconcilerd.domain.book import Book
from reconcilerd.domain.drift import Drift
from reconcilerd.domain.facts import Fact
from reconcilerd.domain.facts.same import same_stock
from reconcilerd.domain.guards import GOES, STALE, Spent, Verdict
from reconcilerd.domain.invariants import Violation, check_rest
from reconcilerd.domain.names import ChannelName, Instant, SlotKey
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import Limits
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.slots import SlotTrack
from reconcilerd.domain.survey import position_of, weather_of

CHECKED: Final = (
    "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I13", "I14", "I15", "I16", "I17", "I18", "I20",
)  # fmt: skip
"""I7 is the ledger's own proof. I11, I12 and I19 are properties of the tests."""


LOOKS_FOR_ROOM: Final = STALE | {Verdict.HOLD_HEADROOM}


IN_ITS_TURN = frozenset({"I13", "I20"})
"""What is still to be written, or hidden, may be so since a moment ago: a hold, a reserve or an order has ended."""


def audit_rest(daemon: Daemon, state: Iterable[Fact]) -> tuple[Violation, ...]:
    """A daemon that has nothing left to do. ``state``: what the ledger holds."""
    book, now = daemon.desk.book, daemon.desk.clock()
    rails = daemon.windows.onto(daemon.rails(), now)
    found = [*stopped(book), *rebuilt(book, state, now)]
    weather = weather_of(book, now)
    for group in book.joins().groups.members:
        waiting = waits(daemon.passes.standing.drifts.get(group, ()))
        found += check_rest(make_plan(position_of(book, group, weather), rails), waiting)
    if daemon.passes.busy:
        found.append(Violation("I8", now, "news was written down that no plan has looked at"))
    found += _beyond_rails(rails.spent, book.policy.limits, now)
    for name, channel in weather.channels.items():
        # One whose readings are doubted is told as such, and is read less and less often.
        if channel.dark and not channel.doubted and not all(each.dark for each in weather.channels.values()):
            found.append(Violation("I16", now, f"{name} was not read while others were"))
    return tuple(found)


def waits(group: Collection[tuple[Drift, Verdict]]) -> Set[SlotKey]:
    """The listings of a pool group that wait for a person, or for what policy forbids now.

    With them wait those that lack the units which one that is not lowered goes on showing; these are read again before
    each look for room.
    """
    held = {drift.slot for drift, verdict in group if verdict not in GOES}
    if any(drift.slot in held and drift.observed > drift.desired for drift, _ in group):
        held |= {drift.slot for drift, verdict in group if verdict in LOOKS_FOR_ROOM}
    return held


def stopped(book: Book) -> list[Violation]:
    """What the daemon itself has found broken, and stopped at."""
    return [
        Violation(name, each.at, f"{each.subject}: {what}")
        for each in book.words.breaches.values()
        for name, what in each.broken
    ]


def rebuilt(book: Book, state: Iterable[Fact], now: Instant) -> Iterable[Violation]:
    """I6: a book folded anew from the ledger knows the same of every slot, and gives every listing the same share.

    Readings that changed nothing are not written down one by one: what is equal counts as read when it last was. Nor is
    it which of them was whole: a start reads each list whole first, and until then more may be in flight, never less.
    Nor when an order was first heard of: of what is there beside a doubtful row, it takes off what was placed lately.
    """
    again = Book(book.policy, awake_since=book.awake_since)
    again.load(state, now)
    again.swept_whole |= book.swept_whole
    for key, stock in again.stock.items():
        live = book.stock.get(key)
        if live is not None and same_stock(stock.row, live.row):
            stock.row = live.row
    for slot, track in book.slots.items():
        other = again.slots.get(slot)
        mine, theirs = _known(track), _known(other) if other else None
        if mine != theirs:
            yield Violation(
                "I6", now, f"{slot.path}: (shown, open writes) is {mine}, from the ledger {theirs}"
            )
    here, there = weather_of(book, now), weather_of(again, now)
    for group in book.joins().groups.members:
        position = position_of(book, group, here)
        if any(each.kind is ClaimKind.DOUBTED for each in position.claims):
            continue
        shares = {each.slot: each.ideal for each in allocate(position)}
        for each in allocate(position_of(again, group, there)):
            if each.ideal != shares.get(each.slot):
                what = f"{each.slot.path}: its share is {shares.get(each.slot)}, from the ledger {each.ideal}"
                yield Violation("I6", now, what)
                break


def _known(track: SlotTrack) -> tuple[int | None, list[int]]:
    return track.value, [each.target for each in track.open]


def _beyond_rails(spent: Mapping[ChannelName, Spent], limits: Limits, now: Instant) -> Iterable[Violation]:
    """I15: what one channel changed within the window, beyond what orders explain."""
    for name, each in spent.items():
        if each.slots > limits.window_slots or each.units > limits.window_units:
            yield Violation("I15", now, f"{name}: {each.slots} listings and {each.units} units in one window")
        if each.zeros > limits.unexplained_zeros:
            yield Violation("I15", now, f"{name}: {each.zeros} unexplained zeros in one window")
