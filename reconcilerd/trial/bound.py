"""How long a business may take to show what it should once nothing changes any more (I12), from what it waits for."""

from reconcilerd.daemon.passes import LOOKED_LATELY_S, RESTLESS_S, WHOLE_TURN
from reconcilerd.daemon.pollers import BACKOFF_CAP_S
from reconcilerd.domain.policy import Policy
from reconcilerd.transport.client import RetryRule
from reconcilerd.trial.stage import Pacing

TURNS = 3
"""A reading that sees the news, one that sees what was written for it, one that a raise waited for."""
JITTER = 1.1


def heard_within_s(policy: Policy, pacing: Pacing) -> float:
    """How long news may go unread: one turn of every feed, after orders were shown and imported and copies made."""
    hears_ms = max(
        (rule.order_lag_ms + rule.read_lag_ms + rule.import_max_ms for rule in policy.channels.values()),
        default=0,
    )
    copies_ms = max((rule.mirror_max_ms for rule in policy.locations.values() if rule.mirror), default=0)
    return _turn_s(pacing) + (hears_ms + copies_ms) / 1000


def settles_within_s(policy: Policy, pacing: Pacing) -> float:
    """Polls, lags and limits, one after another: the last news is heard, decided, written, applied and read back."""
    applies_ms = max((rule.apply_max_ms for rule in policy.channels.values()), default=0)
    turns_s = (TURNS - 1) * _turn_s(pacing) + applies_ms / 1000
    failures_s = BACKOFF_CAP_S + RetryRule().deadline_s
    looked_s = LOOKED_LATELY_S + WHOLE_TURN * RESTLESS_S
    return heard_within_s(policy, pacing) + turns_s + failures_s + looked_s


def _turn_s(pacing: Pacing) -> float:
    return JITTER * (pacing.slowest_channel_s + pacing.orders_s + pacing.stock_s)
