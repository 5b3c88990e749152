"""Slack's incoming webhook and PagerDuty's Events v2, in their plainest correct form."""

from collections.abc import Awaitable, Callable, Mapping

from reconcilerd.alerting.router import Permanent
from reconcilerd.domain.facts import AlertChanged
from reconcilerd.domain.names import format_instant

Post = Callable[[str, object], Awaitable[tuple[int, str]]]
"""Posts JSON to a URL: (status, body). Raises on network failure."""

SLACK_TEXT = 2_900
PAGERDUTY_SUMMARY = 1_024


class NotTaken(Exception):
    """The receiver did not take the message now; it may later."""


class Slack:
    """An incoming webhook: success is 200 with the body ``ok``, and nothing else."""

    def __init__(self, url: str, post: Post) -> None:
        self._url = url
        self._post = post

    @property
    def name(self) -> str:
        return "slack"

    async def tell(self, alert: AlertChanged, details: Mapping[str, str]) -> None:
        mark = ":rotating_light:" if alert.firing else ":white_check_mark:"
        word = alert.severity.upper() if alert.firing else "RESOLVED"
        lines = [f"{mark} *{word}* {_escaped(alert.summary)}", f"`{_escaped(alert.key)}`"]
        lines += [f"{_escaped(name)}: {_escaped(value)}" for name, value in details.items()]
        status, body = await self._post(self._url, {"text": "\n".join(lines)[:SLACK_TEXT]})
        if status == 200 and body.strip() == "ok":
            return
        if status in {400, 403, 404, 410} or status == 200:
            raise Permanent(f"Slack answered {status} {body[:80]}")
        raise NotTaken(f"Slack answered {status}")


class PagerDuty:
    """Events v2: the same key opens, updates and closes one incident."""

    def __init__(self, url: str, routing_key: str, source: str, post: Post) -> None:
        self._url = f"{url.rstrip('/')}/v2/enqueue"
        self._routing_key = routing_key
        self._source = source
        self._post = post

    @property
    def name(self) -> str:
        return "pagerduty"

    async def tell(self, alert: AlertChanged, details: Mapping[str, str]) -> None:
        event: dict[str, object] = {
            "routing_key": self._routing_key,
            "event_action": "trigger" if alert.firing else "resolve",
            "dedup_key": alert.key[:255],
        }
        if alert.firing:
            event["payload"] = {
                "summary": alert.summary[:PAGERDUTY_SUMMARY],
                "source": self._source,
                "severity": alert.severity,
                "timestamp": format_instant(alert.at),
                "custom_details": dict(details),
            }
        status, body = await self._post(self._url, event)
        if status == 202:
            return
        if status == 400:
            raise Permanent(f"PagerDuty answered 400 {body[:200]}")
        raise NotTaken(f"PagerDuty answered {status}")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
