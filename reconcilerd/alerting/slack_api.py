"""One call of Slack's Web API, and what its answer means for who asked."""

import json
from collections.abc import Mapping

from reconcilerd.alerting.engine import NotTaken, Permanent
from reconcilerd.alerting.slack import Post, retry_after_s
from reconcilerd.config.secret import Secret

LATER = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
"""What Slack says when it may take the same later. All else is for a person: a token, a scope, a channel."""


class SaysNo(Permanent):
    """Slack said why not, in one word of its own."""

    def __init__(self, word: str) -> None:
        super().__init__(f"Slack answered {word}")
        self.word = word


async def ask(post: Post, url: str, token: Secret, body: Mapping[str, object]) -> dict[str, object]:
    """What Slack answers. Raises NotTaken, SaysNo, Permanent, and what ``post`` raises."""
    headers = {"authorization": f"Bearer {token.reveal()}"}
    status, text, answered = await post(url, body, headers)
    if status == 429 or status >= 500:
        raise NotTaken(f"Slack answered {status}", retry_after_s(answered))
    if status != 200:
        raise Permanent(f"Slack answered {status} {text[:80]}")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise NotTaken("Slack answered something that is no JSON object")
    if told.get("ok") is True:
        return told
    word = str(told.get("error"))[:80]
    raise NotTaken(f"Slack answered {word}") if word in LATER else SaysNo(word)
