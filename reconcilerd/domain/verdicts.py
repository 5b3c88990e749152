"""The answers of guards: one for each reason to hold a correction, and what it means to a person."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Verdict(StrEnum):
    SEND = "send"
    HOLD_STOP_FILE = "hold_stop_file"
    HOLD_BREACH = "hold_breach"
    HOLD_FROZEN = "hold_frozen"
    HOLD_PINNED = "hold_pinned"
    HOLD_NOT_IN_PLAN = "hold_not_in_plan"
    HOLD_MODE = "hold_mode"
    HOLD_APPROVAL = "hold_approval"
    HOLD_AMBIGUOUS = "hold_ambiguous"
    HOLD_NOT_OURS = "hold_not_ours"
    HOLD_SLOT_OFF = "hold_slot_off"
    HOLD_UNTRACKED = "hold_untracked"
    HOLD_NATIVE_PUSH = "hold_native_push"
    HOLD_UNKNOWN = "hold_unknown"
    HOLD_REFUSED = "hold_refused"
    HOLD_PENDING = "hold_pending"
    HOLD_REREAD = "hold_reread"
    HOLD_UNEXPLAINED = "hold_unexplained"
    HOLD_ZEROS = "hold_zeros"
    HOLD_ZEROS_LATCHED = "hold_zeros_latched"
    HOLD_CONFIRM = "hold_confirm"
    HOLD_NEVER_COUNTED = "hold_never_counted"
    HOLD_PROTECTED = "hold_protected"
    HOLD_RAISE_RATIO = "hold_raise_ratio"
    HOLD_ATTEMPTS = "hold_attempts"
    HOLD_CANARY = "hold_canary"
    HOLD_CONFIG_CHANGE = "hold_config_change"
    HOLD_FREEZE_WINDOW = "hold_freeze_window"
    HOLD_CIRCUIT = "hold_circuit"
    HOLD_TUG_OF_WAR = "hold_tug_of_war"
    HOLD_QUARANTINE = "hold_quarantine"
    HOLD_DECREASE_ONLY = "hold_decrease_only"
    HOLD_SUSPECT = "hold_suspect"
    HOLD_WINDOW_SLOTS = "hold_window_slots"
    HOLD_WINDOW_SHARE = "hold_window_share"
    HOLD_WINDOW_UNITS = "hold_window_units"
    HOLD_WINDOW_VALUE = "hold_window_value"
    HOLD_FIRST_RUN = "hold_first_run"
    HOLD_STORM = "hold_storm"
    HOLD_DARK = "hold_dark"
    HOLD_STOCK_STALE = "hold_stock_stale"
    HOLD_OWN_STALE = "hold_own_stale"
    HOLD_PEER_STALE = "hold_peer_stale"
    HOLD_PEER_UNREAD = "hold_peer_unread"
    HOLD_UNMATCHED = "hold_unmatched"
    HOLD_TOO_WIDE = "hold_too_wide"
    HOLD_HEADROOM = "hold_headroom"


MEANS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.SEND: "is sent",
        Verdict.HOLD_STOP_FILE: "the STOP file is there; remove it to go on",
        Verdict.HOLD_BREACH: "an invariant was broken; find out why, then reconcilerd breaker reset",
        Verdict.HOLD_FROZEN: "writes are frozen by a person; reconcilerd unfreeze",
        Verdict.HOLD_PINNED: "a person put it back and wants it left so; reconcilerd pins lift",
        Verdict.HOLD_NOT_IN_PLAN: "it is not in the plan that is carried out; the next pass looks at it",
        Verdict.HOLD_MODE: "mode observe only looks",
        Verdict.HOLD_APPROVAL: "mode guarded asks first; reconcilerd approve",
        Verdict.HOLD_AMBIGUOUS: "several listings carry this SKU, or it is mapped twice; keep one",
        Verdict.HOLD_NOT_OURS: "it is not managed: a rule says so, or its mapping in Extensiv has ended",
        Verdict.HOLD_SLOT_OFF: "nobody can buy it there now",
        Verdict.HOLD_UNTRACKED: "the channel does not count it",
        Verdict.HOLD_NATIVE_PUSH: "Extensiv pushes its own number; switch the push off there",
        Verdict.HOLD_UNKNOWN: "stock of a component was never read",
        Verdict.HOLD_REFUSED: "the channel would not take it; tried again later",
        Verdict.HOLD_PENDING: "our last write is not read back yet",
        Verdict.HOLD_REREAD: "the listing is read again first",
        Verdict.HOLD_UNEXPLAINED: "a large fall that no orders explain; reconcilerd approve",
        Verdict.HOLD_ZEROS: "too many unexplained zeros for now; reconcilerd approve --zero",
        Verdict.HOLD_ZEROS_LATCHED: "too many unexplained zeros; reconcilerd breaker list",
        Verdict.HOLD_CONFIRM: "the stock is read again before it is believed",
        Verdict.HOLD_NEVER_COUNTED: "its stock was never counted: zero may mean unknown; reconcilerd approve --zero",
        Verdict.HOLD_PROTECTED: "a protected SKU, and no orders explain it; reconcilerd approve",
        Verdict.HOLD_RAISE_RATIO: "a raise far beyond what it ever showed; reconcilerd approve",
        Verdict.HOLD_ATTEMPTS: "written too often within an hour; reconcilerd approve",
        Verdict.HOLD_CANARY: "a first batch was not read back as written; reconcilerd breaker list",
        Verdict.HOLD_CONFIG_CHANGE: "the policy changed and it is looked at first; reconcilerd breaker list",
        Verdict.HOLD_FREEZE_WINDOW: "a freeze window of the configuration is open",
        Verdict.HOLD_CIRCUIT: "most calls to the channel fail; reads go on and end it",
        Verdict.HOLD_TUG_OF_WAR: "somebody else keeps changing it back; reconcilerd breaker list",
        Verdict.HOLD_QUARANTINE: "the channel refused this value too often; reconcilerd breaker list",
        Verdict.HOLD_DECREASE_ONLY: "the channel is decrease_only in the configuration",
        Verdict.HOLD_SUSPECT: "a reading of a whole feed is doubtful; reconcilerd breaker list",
        Verdict.HOLD_WINDOW_SLOTS: "too many listings changed for now; reconcilerd approve",
        Verdict.HOLD_WINDOW_SHARE: "too large a part of the channel changed for now; reconcilerd approve",
        Verdict.HOLD_WINDOW_UNITS: "too many units changed for now; reconcilerd approve",
        Verdict.HOLD_WINDOW_VALUE: "changes worth too much for now; reconcilerd approve",
        Verdict.HOLD_FIRST_RUN: "not everything was read once yet",
        Verdict.HOLD_STORM: "most channels fail together: it is probably us",
        Verdict.HOLD_DARK: "the stock or the channel was not read for too long",
        Verdict.HOLD_STOCK_STALE: "the stock is read again first",
        Verdict.HOLD_OWN_STALE: "the listing is read again first",
        Verdict.HOLD_PEER_STALE: "the pool's other listings are read again first",
        Verdict.HOLD_PEER_UNREAD: "another listing of the pool was never read",
        Verdict.HOLD_UNMATCHED: "too many of the channel's orders are not found in Extensiv",
        Verdict.HOLD_TOO_WIDE: "the pool spans too many sets of warehouses",
        Verdict.HOLD_HEADROOM: "others may still be showing these units",
    }
)
"""What each means to a person, and what to do."""

NEEDS_A_PERSON = frozenset(
    {
        Verdict.HOLD_APPROVAL,
        Verdict.HOLD_ATTEMPTS,
        Verdict.HOLD_CANARY,
        Verdict.HOLD_CONFIG_CHANGE,
        Verdict.HOLD_NEVER_COUNTED,
        Verdict.HOLD_PROTECTED,
        Verdict.HOLD_RAISE_RATIO,
        Verdict.HOLD_UNEXPLAINED,
        Verdict.HOLD_WINDOW_SHARE,
        Verdict.HOLD_WINDOW_SLOTS,
        Verdict.HOLD_WINDOW_UNITS,
        Verdict.HOLD_WINDOW_VALUE,
        Verdict.HOLD_ZEROS,
        Verdict.HOLD_ZEROS_LATCHED,
    }
)
"""Holds that an approved envelope releases. All others end by themselves or by changing the cause."""


STALE = frozenset({Verdict.HOLD_STOCK_STALE, Verdict.HOLD_OWN_STALE, Verdict.HOLD_PEER_STALE})
"""Holds of a raise whose inputs are too old."""

SOON = STALE | {
    Verdict.HOLD_PENDING,
    Verdict.HOLD_REREAD,
    Verdict.HOLD_HEADROOM,
    Verdict.HOLD_CONFIRM,
}
"""Holds that a reading on its way will end."""

GOES = SOON | {Verdict.SEND}
"""What nobody need be told is held."""

SHORT_OF_ALLOWANCE = frozenset(
    {
        Verdict.HOLD_WINDOW_SHARE,
        Verdict.HOLD_WINDOW_SLOTS,
        Verdict.HOLD_WINDOW_UNITS,
        Verdict.HOLD_WINDOW_VALUE,
        Verdict.HOLD_ZEROS,
    }
)
"""Holds of a sliding window: another order of the same corrections might have let this one go."""

LATCHED = frozenset({Verdict.HOLD_CANARY, Verdict.HOLD_CONFIG_CHANGE, Verdict.HOLD_ZEROS_LATCHED})
"""Holds of a rail that has tripped: told as that, and not once more as corrections that wait."""


def meaning_of(written: str) -> str:
    """What a verdict of the ledger means; one that an older program gave, and this one does not know, by its name."""
    return MEANS[Verdict(written)] if written in set(Verdict) else f"{written}, a reason of an older version"
