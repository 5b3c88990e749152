"""What the daemon counts of its own work, where it happens: since its start, in plain numbers.

Whoever shows them reads them here; nothing is decided by them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from reconcilerd.connectors.hints import Became, Topic
from reconcilerd.domain.facts import (
    CorrectionEnd,
    CorrectionPlanned,
    CorrectionSent,
    CorrectionSettled,
    Fact,
    Outcome,
)
from reconcilerd.domain.names import ChannelName, FeedName, Instant
from reconcilerd.domain.verdicts import Verdict
from reconcilerd.tally import MINUTES, Histogram

if TYPE_CHECKING:
    from reconcilerd.alerting.slack_socket import Heard

Phase = Literal["read", "plan", "record", "write"]
PassResult = Literal["ok", "partial", "held"]
Surface = Literal["page", "slack", "socket", "webhooks"]
CORRECTIONS = (CorrectionPlanned, CorrectionSent, CorrectionSettled)


@dataclass(slots=True)
class Counts:
    """One daemon's counts. Times are wall clock milliseconds and become seconds here."""

    phases: dict[Phase, Histogram] = field(
        default_factory=lambda: {each: Histogram() for each in ("read", "plan", "record", "write")}
    )
    """read: a sweep of one feed; plan: one slice; record: its ledger entry; write: one batch of a channel."""
    passes: Counter[PassResult] = field(default_factory=Counter)
    """partial: a pool group met a bug; held: something new waits for a person or a rail; else ok."""
    last_pass: Instant | None = None
    sweeps: Counter[tuple[FeedName, bool]] = field(default_factory=Counter)
    """By feed and completeness."""
    pages: Counter[FeedName] = field(default_factory=Counter)
    holds: Counter[Verdict] = field(default_factory=Counter)
    """Corrections that began to be held, by why."""
    planned: Counter[ChannelName] = field(default_factory=Counter)
    answered: Counter[tuple[ChannelName, Outcome]] = field(default_factory=Counter)
    settled: Counter[tuple[ChannelName, CorrectionEnd]] = field(default_factory=Counter)
    cured: dict[ChannelName, Histogram] = field(default_factory=dict)
    """Seconds from when a drift was first seen until it was gone, by channel."""
    loop_lag: Histogram = field(default_factory=Histogram)
    """Seconds by which the event loop came late to what was due."""
    hints: Counter[tuple[ChannelName, Topic, Became]] = field(default_factory=Counter)
    """What was told us unasked, by what came of it."""
    turned_away: Counter[Surface] = field(default_factory=Counter)
    """Requests of somebody who may not ask, by where they came in."""
    slack: "Counter[Heard]" = field(default_factory=Counter)
    """What happened to connections and envelopes of Slack's Socket Mode."""
    presses: Counter[str] = field(default_factory=Counter)
    """Presses of buttons in Slack, by what came of them."""

    def spent(self, phase: Phase, ms: int) -> None:
        self.phases[phase].observe(ms / 1000)

    def cure(self, channel: ChannelName, age_ms: int) -> None:
        self.cured.setdefault(channel, Histogram(MINUTES)).observe(age_ms / 1000)

    def note(self, news: Iterable[Fact]) -> None:
        """Count the corrections among news: a first reading has a million facts, and none of them is one."""
        for fact in news:
            if isinstance(fact, CORRECTIONS):
                self._count(fact)

    def _count(self, fact: CorrectionPlanned | CorrectionSent | CorrectionSettled) -> None:
        match fact:
            case CorrectionPlanned():
                self.planned[fact.slot.channel] += 1
            case CorrectionSent():
                self.answered[fact.slot.channel, fact.outcome] += 1
            case CorrectionSettled():
                self.settled[fact.slot.channel, fact.end] += 1
