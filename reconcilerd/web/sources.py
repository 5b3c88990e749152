"""What the web room looks at: the running daemon and what was built beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from reconcilerd.alerting.engine import Seen
from reconcilerd.daemon.daemon import Daemon
from reconcilerd.domain.facts import SilenceSet
from reconcilerd.domain.names import Instant
from reconcilerd.tally import Histogram
from reconcilerd.transport.client import Client
from reconcilerd.web.configuration import InForce


class AlertFigures(Protocol):
    """How alerts and their delivery stand."""

    @property
    def severities(self) -> Mapping[str, int]:
        """How many fire, by severity."""
        ...

    @property
    def deliveries(self) -> Mapping[tuple[str, str], int]:
        """How often each receiver was told something, by receiver and what came of it."""
        ...

    @property
    def oldest_unheard(self) -> Instant | None:
        """When the oldest change was that some receiver has not heard of."""
        ...

    def seen(self) -> Sequence[Seen]:
        """Every alert that is open or waits to be, the worst first."""
        ...

    def silences(self) -> Sequence[SilenceSet]:
        """Those in force."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """``last_backup``: when the last good backup was made, if it is known; ``reloaded``: whether the last change of
    configuration that was asked for is in force; ``config``: the one that is, if it is known here.
    """

    daemon: Daemon
    clients: Mapping[str, Client]
    alerts: AlertFigures
    ledger: Path
    commits: Histogram
    last_backup: Callable[[], Instant | None] = lambda: None
    reloaded: Callable[[], bool] = lambda: True
    config: Callable[[], InForce] | None = None
