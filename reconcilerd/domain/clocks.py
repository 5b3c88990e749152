"""What a clock that was set back leaves behind: stamps later than now, which nobody may believe.

It knows facts, and which of their moments are of our own clock; a channel's own times are its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from reconcilerd.domain.facts import (
    ConsentGiven,
    CorrectionSent,
    EnvelopeApproved,
    Fact,
    FreezeSet,
    ListingDeclared,
    LocationObserved,
    OrderObserved,
    ProductObserved,
    RailLatched,
    SilenceSet,
    SlotObserved,
    SlotPinned,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.names import Instant, after

_Key = TypeVar("_Key")
_Mapped = TypeVar("_Mapped", ProductObserved, ListingDeclared, LocationObserved)
_Word = TypeVar("_Word", ConsentGiven, EnvelopeApproved, FreezeSet, RailLatched, SlotPinned)
_Release = TypeVar("_Release", ConsentGiven, EnvelopeApproved)


def latest(fact: Fact) -> Instant:
    """The latest moment of our own clock that a fact names."""
    match fact:
        case SlotObserved() | StockObserved():
            return max(fact.as_of, fact.age_of)
        case CorrectionSent():
            return max(fact.sent, fact.at)
        case _:
            return fact.as_of


def by_a_clock_that_went_back(fact: Fact, now: Instant) -> Fact:
    """A fact that was begun before the clock was set back to ``now``, so that it keeps nothing newer out.

    What was read stays, its age does not; and of a whole reading nobody can tell how old it is.
    """
    match fact:
        case SlotObserved() | StockObserved():
            return replace(fact, as_of=now, age_of=Instant(0))
        case OrderObserved() | ProductObserved() | ListingDeclared() | LocationObserved():
            return replace(fact, as_of=now)
        case SweepRead():
            return cut_by_the_clock(fact, now)
        case CorrectionSent():
            return replace(fact, sent=min(fact.sent, now), at=now)
        case _:
            return fact


def cut_by_the_clock(sweep: SweepRead, now: Instant) -> SweepRead:
    """A reading during which the clock was set back to ``now``."""
    why = "the clock was set back while it was read"
    return replace(sweep, began=min(sweep.began, now), ended=now, complete=False, why=why)


def read_before(sweep: SweepRead, now: Instant) -> SweepRead:
    """A whole reading from before the clock was set back to ``now``: it is as it was, but nobody can tell how old."""
    return replace(sweep, began=Instant(0), ended=min(sweep.ended, now))


def read_by(known: Mapping[_Key, _Mapped], now: Instant) -> dict[_Key, _Mapped]:
    """What was read later than ``now`` was read by now: what it says stays until something newer says otherwise."""
    return {key: replace(each, as_of=min(each.as_of, now)) for key, each in known.items()}


def said_by(word: _Word, now: Instant) -> _Word:
    """What was said later than ``now`` was said now, and holds as long from now on as it was to hold."""
    ahead = max(0, word.at - now)
    until = None if word.until is None else after(word.until, -ahead)
    return replace(word, at=after(word.at, -ahead), until=until) if ahead else word


def released_by(word: _Release, now: Instant, before: Instant | None) -> _Release:
    """What a person released likewise. ``before``: what the clock had come to, if anybody knows.

    What was over stays so. Of what was said before the new now, nobody can tell whether it was shortened already.
    """
    said = said_by(word, now)
    over = before is not None and word.until <= before and word.at > now
    return replace(said, until=now) if over else said


def silent_by(silence: SilenceSet, now: Instant, before: Instant) -> SilenceSet:
    """A silence by a clock that was set back from ``before`` to ``now``: it holds for what was left of it."""
    until = silence.until
    if until is not None:
        until = min(until, after(now, max(0, until - before)))
    return replace(silence, at=min(silence.at, now), until=until)
