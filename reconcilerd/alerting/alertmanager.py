"""Prometheus Alertmanager as a receiver: it is told again and again what fires, and forgets what it is not told."""

from collections.abc import Mapping, Sequence

from reconcilerd.alerting.engine import NotTaken, Permanent
from reconcilerd.alerting.outbox import Notice, Pace
from reconcilerd.alerting.slack import Post
from reconcilerd.alerting.wording import labelled
from reconcilerd.domain.facts import Transition
from reconcilerd.domain.names import format_instant

PACE = Pace(wait_ms=0, interval_ms=0, repeat_ms=60_000, by_kind=False, least="info")
"""Grouping, silences and repeats are its own; after five minutes without a word it calls an alert resolved."""


class Alertmanager:
    """Its API v2, which answers 200 with nothing."""

    name = "alertmanager"

    def __init__(self, url: str, instance: str, post: Post, pace: Pace = PACE) -> None:
        self.pace = pace
        self._url = f"{url.rstrip('/')}/api/v2/alerts"
        self._instance = instance
        self._post = post

    async def tell(self, notices: Sequence[Notice]) -> Mapping[str, str]:
        status, body, _ = await self._post(self._url, [self._alert(each) for each in notices], {})
        if 200 <= status < 300:
            return {}
        if 400 <= status < 500 and status != 429:
            raise Permanent(f"Alertmanager answered {status} {body[:200]}")
        raise NotTaken(f"Alertmanager answered {status}")

    def _alert(self, notice: Notice) -> dict[str, object]:
        episode = notice.episode
        over = notice.transition is Transition.RESOLVED
        return {
            **labelled(episode, self._instance),
            "startsAt": format_instant(episode.began),
            **({"endsAt": format_instant(episode.since)} if over else {}),
        }
