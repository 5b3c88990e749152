"""Alerts as a person is shown them, what people silenced, and whether receivers hear."""

from dataclasses import dataclass

from reconcilerd.domain.alerts import STAGE_MEANS
from reconcilerd.domain.facts import AlertStage
from reconcilerd.domain.names import Instant, format_second
from reconcilerd.web.sources import AlertFigures

ROWS = 100


@dataclass(frozen=True, slots=True)
class AlertRow:
    """``quiet``: why nobody is told of it now; empty: everybody is. ``told``: by receiver, what it heard last."""

    key: str
    kind: str
    subject: str
    severity: str
    stage: str
    since: str
    summary: str
    details: tuple[tuple[str, str], ...]
    quiet: str
    told: tuple[tuple[str, str], ...]

    @property
    def stands(self) -> str:
        """The stage in words."""
        return STAGE_MEANS[AlertStage(self.stage)]


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """``kinds`` and ``subjects`` are patterns."""

    id: str
    kinds: str
    subjects: str
    by: str
    reason: str
    until: str


@dataclass(frozen=True, slots=True)
class ReceiverRow:
    """How often a receiver took what it was told, since the start."""

    name: str
    ok: int
    failed: int
    refused: int


@dataclass(frozen=True, slots=True)
class AlertsPage:
    """``alerts``: the worst first, at most ``ROWS`` of ``total``. ``unheard_since``: of the oldest news not heard."""

    total: int
    alerts: tuple[AlertRow, ...]
    silences: tuple[SilenceRow, ...]
    receivers: tuple[ReceiverRow, ...]
    unheard_since: str


def alerts_page(alerts: AlertFigures) -> AlertsPage:
    """All of it."""
    seen, deliveries, oldest = alerts.seen(), alerts.deliveries, alerts.oldest_unheard
    rows = tuple(
        AlertRow(
            key=each.episode.key,
            kind=each.episode.kind,
            subject=each.episode.subject,
            severity=each.episode.severity,
            stage=str(each.episode.stage),
            since=format_second(each.episode.began),
            summary=each.episode.summary,
            details=each.episode.details[:10],
            quiet=f"explained by {each.muted_by}" if each.muted_by else _silenced(each.silence),
            told=tuple(sorted(each.told.items())),
        )
        for each in seen[:ROWS]
    )
    silences = tuple(
        SilenceRow(each.id, each.kinds, each.subjects, each.by, each.reason, _until(each.until))
        for each in alerts.silences()[:ROWS]
    )
    receivers = tuple(
        ReceiverRow(name, *(deliveries.get((name, result), 0) for result in ("ok", "failed", "refused")))
        for name in sorted({name for name, _ in deliveries})
    )
    return AlertsPage(len(seen), rows, silences, receivers, format_second(oldest) if oldest else "")


def _silenced(silence: str) -> str:
    return f"silenced ({silence})" if silence else ""


def _until(at: Instant | None) -> str:
    return "" if at is None else format_second(at)
