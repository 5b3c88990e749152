"""What changed, told to PagerDuty beside the alerts: it wakes nobody, and stands there when somebody asks what changed.

Kept in memory only, and let go if it is not taken: no decision hangs on it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import anyio
import structlog

from reconcilerd.alerting.pagerduty import SUMMARY
from reconcilerd.alerting.slack import Post, retry_after_s
from reconcilerd.alerting.wording import DETAIL, cut
from reconcilerd.domain.names import Instant, format_instant
from reconcilerd.errors import ReconcilerdError

log = structlog.get_logger("reconcilerd.changes")

MOST = 100
"""So many wait to be told; the oldest are let go."""
TRIES = 5
RETRY_S = 30.0
PACE_S = 1.0
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that somebody, or the daemon itself, changed."""

    summary: str
    details: Mapping[str, str]
    at: Instant


class Changes:
    """Tells one change after the other. Without a key nobody is told."""

    def __init__(
        self, url: str, key: str | None, source: str, post: Post, clock: Callable[[], Instant]
    ) -> None:
        self._url = f"{url.rstrip('/')}/v2/change/enqueue"
        self._key = key
        self._source = source
        self._post = post
        self._clock = clock
        self._waiting: deque[Change] = deque(maxlen=MOST)
        self._news = anyio.Event()

    def note(self, summary: str, details: Mapping[str, str] = NOTHING) -> None:
        """Something changed now. Returns at once."""
        log.info("changed", what=summary, **details)
        if self._key is not None:
            self._waiting.append(Change(summary, details, self._clock()))
            self._news.set()

    def turn_to(self, other: "Changes") -> None:
        """Tell what is told from here on, and what waits, where another would."""
        self._url, self._key, self._source, self._post = other._url, other._key, other._source, other._post

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            self._news = anyio.Event()
            while self._waiting:
                await self._tell(self._waiting.popleft())
                await anyio.sleep(PACE_S)
            await self._news.wait()

    async def _tell(self, change: Change) -> None:
        for _ in range(TRIES):
            if self._key is None:
                return  # nobody is told any more
            try:
                status, body, headers = await self._post(self._url, self._event(change), {})
            except ReconcilerdError as error:
                log.warning("change_not_told", why=str(error))
                await anyio.sleep(RETRY_S)
                continue
            if status != 429 and status < 500:
                if status != 202:
                    log.error("change_refused", status=status, why=cut(body, DETAIL))
                return
            await anyio.sleep(retry_after_s(headers) or RETRY_S)
        log.warning("change_let_go", what=change.summary)

    def _event(self, change: Change) -> dict[str, object]:
        return {
            "routing_key": self._key,
            "payload": {
                "summary": cut(change.summary, SUMMARY),
                "source": self._source,
                "timestamp": format_instant(change.at),
                "custom_details": {name: cut(text, DETAIL) for name, text in change.details.items()},
            },
        }
