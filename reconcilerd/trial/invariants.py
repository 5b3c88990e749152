"""The twenty invariants: what each promises, which functions judge it, and where these run.

The one list of them. Tests hold it against the code: every check exists, every invariant is judged in every trial, and
a daemon that breaks it on purpose is found out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Where(StrEnum):
    """Where a check runs. In production a breach stops every write until a person lifts it."""

    PLAN = "every plan, in production too"
    WRITE = "every write before it leaves, in production too"
    STEP = "every plan, ledger entry, request and write of a trial"
    SAMPLE = "a seeded sample of the plans of a trial"
    REST = "when a trial has come to rest"
    LEDGER = "over everything that a trial wrote down"


@dataclass(frozen=True, slots=True)
class Invariant:
    """``checks``: where each runs, and its function as ``module:name``."""

    sentence: str
    checks: tuple[tuple[Where, str], ...]


_PLAN = (Where.PLAN, "reconcilerd.domain.invariants:check_plan")
_WRITE = (Where.WRITE, "reconcilerd.domain.invariants:check_write")
_HISTORY = (Where.LEDGER, "reconcilerd.domain.invariants:check_history")
_WINDOWS = (Where.LEDGER, "reconcilerd.domain.invariants:check_windows")
_REST = (Where.REST, "reconcilerd.domain.invariants:check_rest")
_AUDIT = (Where.REST, "reconcilerd.daemon.audit:audit_rest")
_REBUILT = (Where.REST, "reconcilerd.daemon.audit:rebuilt")
_CHAIN = (Where.LEDGER, "reconcilerd.ledger.reader:Reader.verify")
_ROOM = (Where.STEP, "reconcilerd.trial.arithmetic:sends_beyond_room")
_HELD_BACK = (Where.STEP, "reconcilerd.trial.owner:held_back")
_CAPS = (Where.STEP, "reconcilerd.trial.owner:within_caps")
_PLACES = (Where.STEP, "reconcilerd.trial.owner:within_places")
_BLIND = (Where.STEP, "reconcilerd.trial.arithmetic:blind_raises")
_ORDERS = (Where.STEP, "reconcilerd.trial.oracle:Oracle.conservation")
_TRUTH = (Where.REST, "reconcilerd.trial.oracle:Oracle.shows_what_there_is")
_ENTRY = (Where.STEP, "reconcilerd.trial.witness:Witness.committed")
_PLANNED = (Where.STEP, "reconcilerd.trial.witness:Witness.planned")
_DOOR = (Where.STEP, "reconcilerd.trial.witness:Witness.wrote")

INVARIANTS: Final[Mapping[str, Invariant]] = MappingProxyType(
    {
        "I1": Invariant("No target is above what could ship.", (_PLAN, _ROOM, _HELD_BACK, _CAPS, _PLACES)),
        "I2": Invariant(
            "No union of locations of a split pool is shown beyond its stock by our raises.", (_PLAN, _ROOM)
        ),
        "I3": Invariant(
            "A raise stays within the headroom that all may still be showing leaves.", (_PLAN, _ROOM)
        ),
        "I4": Invariant("A raise uses only known inputs, each as fresh as a raise needs.", (_PLAN, _BLIND)),
        "I5": Invariant(
            "Zero is published only for a known reason.",
            (_PLAN, (Where.STEP, "reconcilerd.trial.arithmetic:silent_zeros")),
        ),
        "I6": Invariant(
            "Balances are the fold of the ledger; a finished order nets to zero.",
            (_ORDERS, _PLANNED, _REBUILT),
        ),
        "I7": Invariant(
            "Entries never change; an older reading never overwrites a newer one.", (_ENTRY, _PLANNED, _CHAIN)
        ),
        "I8": Invariant(
            "Every input that was written down is followed by a plan computed from it or later.",
            (_ENTRY, (Where.STEP, "reconcilerd.trial.witness:Witness.arrived"), _AUDIT),
        ),
        "I9": Invariant("An order counts once, however often it is delivered.", (_PLAN, _ORDERS)),
        "I10": Invariant("A write computed from an outdated reading is not sent.", (_WRITE, _HISTORY)),
        "I11": Invariant(
            "What is older than its limit counts as unknown, and raises nothing.", (_PLAN, _BLIND)
        ),
        "I12": Invariant(
            "With constant inputs every listing shows what it should within a computed bound.",
            ((Where.REST, "reconcilerd.trial.run:_rest"), _TRUTH),
        ),
        "I13": Invariant(
            "At rest nothing is written.", (_REST, (Where.REST, "reconcilerd.trial.witness:Witness.at_rest"))
        ),
        "I14": Invariant(
            "The same inputs give the same plan, byte by byte.",
            (_REST, (Where.SAMPLE, "reconcilerd.trial.arithmetic:undetermined")),
        ),
        "I15": Invariant(
            "What orders do not explain is bounded per channel and sliding window.", (_PLAN, _WINDOWS, _AUDIT)
        ),
        "I16": Invariant("A slow or dead channel delays no other.", (_ENTRY, _AUDIT)),
        "I17": Invariant(
            "Only slots that are ours are written, and only how and when their owner lets them.",
            (
                _PLAN,
                (Where.STEP, "reconcilerd.trial.arithmetic:strangers"),
                (Where.STEP, "reconcilerd.trial.owner:only_lowered"),
                (Where.STEP, "reconcilerd.trial.owner:not_while_closed"),
                _DOOR,
            ),
        ),
        "I18": Invariant(
            "Every write has exactly one intent before it; every alert has its evidence.",
            (_WRITE, _DOOR, (Where.STEP, "reconcilerd.trial.witness:Witness.alerted"), _HISTORY),
        ),
        "I19": Invariant(
            "More stock lowers no share, splits are exact, and the order of channels does not matter.",
            ((Where.SAMPLE, "reconcilerd.trial.arithmetic:unfair_shares"),),
        ),
        "I20": Invariant("At rest nothing that policy would offer stays hidden.", (_REST, _TRUTH)),
    }
)
"""Every one is judged in every trial, but I12's and I20's truth, which waits: one seed in four."""
