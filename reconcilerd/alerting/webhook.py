"""A signed webhook for everything else: the body that tools know from Alertmanager, signed as Standard Webhooks are."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence

from reconcilerd.alerting.engine import NotTaken, Permanent
from reconcilerd.alerting.outbox import Notice, Pace
from reconcilerd.alerting.slack import Post, retry_after_s
from reconcilerd.alerting.wording import cut, labelled
from reconcilerd.domain.facts import Transition
from reconcilerd.domain.names import Instant, format_instant

MOST_BYTES = 20_000
"""Receivers of signed webhooks expect no more."""
MOST_LINES = 40
MOST_OF_A_LINE = 400
SECRET_PREFIX = "whsec_"  # noqa: S105 - not the secret, how each begins
LEAST_SECRET = 24


class Webhook:
    """``secret``: ``whsec_`` and base 64 of at least 24 bytes. Raises ValueError for any other."""

    name = "webhook"

    def __init__(
        self,
        url: str,
        secret: str,
        instance: str,
        post: Post,
        clock: Callable[[], Instant],
        pace: Pace | None = None,
    ) -> None:
        self.pace = pace or Pace()
        self._url = url
        self._key = key_of_secret(secret)
        self._instance = instance
        self._post = post
        self._clock = clock

    async def tell(self, notices: Sequence[Notice]) -> Mapping[str, str]:
        # The same message has the same id however often it is sent, so that a receiver can know it again.
        about = [(each.episode.key, each.episode.number, str(each.transition)) for each in notices]
        await self._send(body_of(notices, self._instance), json.dumps(about))
        return {}

    async def publish(self, title: str, lines: Sequence[str]) -> None:
        """Post what is no alert."""
        kept = [cut(each, MOST_OF_A_LINE) for each in lines[:MOST_LINES]]
        said = {"type": "digest", "instance": self._instance, "title": title, "lines": kept}
        body = json.dumps(said, ensure_ascii=False).encode()
        await self._send(body, body.decode())

    async def _send(self, body: bytes, about: str) -> None:
        at_s = self._clock() // 1000
        id_ = f"msg_{hashlib.sha256(about.encode()).hexdigest()[:32]}"
        headers = {
            "webhook-id": id_,
            "webhook-timestamp": str(at_s),
            "webhook-signature": signature(self._key, id_, at_s, body),
        }
        status, said, answered = await self._post(self._url, body, headers)
        if 200 <= status < 300:
            return
        if status == 429 or status >= 500:
            raise NotTaken(f"the webhook answered {status}", retry_after_s(answered))
        raise Permanent(f"the webhook answered {status} {said[:80]}")


def key_of_secret(secret: str) -> bytes:
    """The bytes of a signing secret. Raises ValueError."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"a webhook secret begins with {SECRET_PREFIX}")
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    if len(key) < LEAST_SECRET:
        raise ValueError(f"a webhook secret has at least {LEAST_SECRET} bytes, not {len(key)}")
    return key


def signature(key: bytes, id_: str, at_s: int, body: bytes) -> str:
    """What proves who sent a body, and when."""
    signed = hmac.digest(key, f"{id_}.{at_s}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(signed).decode()}"


def body_of(notices: Sequence[Notice], instance: str) -> bytes:
    """The body; alerts that do not fit are counted."""
    alerts = [_alert(each, instance) for each in notices]
    for kept in range(len(alerts), -1, -1):
        body = json.dumps(_message(alerts[:kept], len(alerts) - kept), ensure_ascii=False).encode()
        if len(body) <= MOST_BYTES:
            return body
    raise AssertionError("a message without alerts is short")


def _message(alerts: Sequence[Mapping[str, object]], left_out: int) -> dict[str, object]:
    firing = left_out > 0 or any(each["status"] == "firing" for each in alerts)
    return {
        "version": "4",
        "status": "firing" if firing else "resolved",
        "receiver": "reconcilerd",
        "truncatedAlerts": left_out,
        "alerts": list(alerts),
    }


def _alert(notice: Notice, instance: str) -> dict[str, object]:
    episode = notice.episode
    over = notice.transition is Transition.RESOLVED
    return {
        "status": "resolved" if over else "firing",
        **labelled(episode, instance),
        "startsAt": format_instant(episode.began),
        "endsAt": format_instant(episode.since) if over else "0001-01-01T00:00:00Z",
        "fingerprint": hashlib.sha256(episode.key.encode()).hexdigest()[:16],
    }
