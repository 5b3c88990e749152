"""PagerDuty's Events v2: one key opens, repeats and closes one incident, whatever restarts in between."""

import hashlib
from collections.abc import Mapping, Sequence

from reconcilerd.alerting.engine import NotTaken, Permanent
from reconcilerd.alerting.outbox import Notice, Pace
from reconcilerd.alerting.slack import Post, retry_after_s
from reconcilerd.alerting.wording import cut, details_of, runbook
from reconcilerd.domain.facts import Transition
from reconcilerd.domain.names import format_instant
from reconcilerd.domain.visible import visible

SUMMARY = 1_024
DEDUP_KEY = 255
PACE = Pace(wait_ms=0, repeat_ms=None, by_kind=False, least="critical")
"""Whoever is paged is told at once, and again by PagerDuty itself."""


class PagerDuty:
    """``keys``: the routing key in use first, then those that may still have open incidents.

    An incident is closed by the key that opened it: PagerDuty drops what another one says.
    """

    name = "pagerduty"

    def __init__(
        self,
        url: str,
        keys: Sequence[str],
        source: str,
        post: Post,
        pace: Pace = PACE,
        client: str = "reconcilerd",
    ) -> None:
        self.pace = pace
        self._url = f"{url.rstrip('/')}/v2/enqueue"
        self._keys = {key_id(key): key for key in reversed(keys)}
        self._key = keys[0]
        self._source = source
        self._post = post
        self._client = client

    async def tell(self, notices: Sequence[Notice]) -> Mapping[str, str]:
        known: dict[str, str] = {}
        for notice in notices:
            reference = known.get(notice.episode.key, notice.reference)
            known[notice.episode.key] = await self._send(notice, reference)
        return known

    async def _send(self, notice: Notice, reference: str) -> str:
        """Send one event. Returns the name of the key under which the incident is."""
        over = notice.transition is Transition.RESOLVED
        key = self._keys.get(reference) if over and reference else self._key
        if key is None:
            raise Permanent("the key that opened this incident is not configured any more; close it by hand")
        status, body, headers = await self._post(self._url, self._event(notice, key, over=over), {})
        if status == 202:
            return key_id(key)
        if status == 429:
            raise NotTaken("PagerDuty answered 429", retry_after_s(headers))
        if 400 <= status < 500:
            raise Permanent(f"PagerDuty answered {status} {body[:200]}")
        raise NotTaken(f"PagerDuty answered {status}")

    def _event(self, notice: Notice, key: str, *, over: bool) -> dict[str, object]:
        episode = notice.episode
        event: dict[str, object] = {
            "routing_key": key,
            "event_action": "resolve" if over else "trigger",
            "dedup_key": dedup_key(self._source, episode.key),
        }
        if not over:
            event["client"] = self._client
            event["payload"] = {
                "summary": cut(visible(episode.summary), SUMMARY),
                "source": self._source,
                "severity": episode.severity,
                "timestamp": format_instant(episode.began),
                "component": visible(episode.subject),
                "class": episode.kind,
                "custom_details": {**dict(details_of(episode)), "runbook": runbook(episode)},
            }
        return event


def dedup_key(source: str, key: str) -> str:
    """One name per instance and alert, for ever; a long one ends in a digest of all of it."""
    prefix, _, rest = key.partition("/")
    whole = f"{prefix}/{source}/{rest}"
    if len(whole) <= DEDUP_KEY:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return f"{whole[: DEDUP_KEY - 17]}-{digest}"


def key_id(key: str) -> str:
    """A name for a routing key that does not give it away."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]
