"""What a reply holds: its body within a bound, its JSON or why there is none, how long it asks us to wait."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx
import msgspec

from reconcilerd.config.secret import redact
from reconcilerd.domain.names import Instant, after, instant_of
from reconcilerd.errors import MalformedReply

T = TypeVar("T")
JSON_EXCERPT = 80
_NUMBER = re.compile(r"[+-]?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,9})?")
REDACTED_BYTES = 4_096
"""Redaction comes before cutting, or half a secret would pass; this much of a body is looked at."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of status 2xx. Header names in lower case; ``asked_at`` before it left."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked_at: Instant
    answered_at: Instant
    failed: int = 0
    """Tries before this one; any of them may have had its effect."""


async def body_of(where: str, response: httpx.Response, most: int) -> bytes:
    """The body, decoded. Raises MalformedReply as soon as it is larger than ``most`` bytes."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > most:
            raise MalformedReply(f"{where} answered more than {_size(most)}; the rest was not read")
        parts.append(part)
    return b"".join(parts)


def _size(count: int) -> str:
    return f"{count // 2**20} MiB" if count >= 2**20 else f"{count} bytes"


def excerpt_of(body: bytes, most: int) -> str:
    """How a body begins, without secrets: ``most`` characters."""
    return redact(body[:REDACTED_BYTES].decode("utf-8", "replace")).strip()[:most]


def json_of(reply: Reply, shape: type[T], where: str) -> T:
    """The body as ``shape``. Raises MalformedReply that names the place in it."""
    if not reply.body.strip():
        raise MalformedReply(f"{where}: an empty reply where JSON was expected")
    if reply.body.lstrip()[:1] == b"<":
        raise MalformedReply(f"{where}: HTML instead of JSON; is the base URL that of the API?")
    try:
        return msgspec.json.decode(reply.body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        began = excerpt_of(reply.body, JSON_EXCERPT)
        raise MalformedReply(f"{where}: {redact(str(error))}; the reply begins {began!r}") from None


def retry_after_ms(headers: Mapping[str, str], now: Instant) -> int | None:
    """When the other side may be asked again: Extensiv's header in milliseconds, else Retry-After."""
    for header, unit in (("x-skubana-quota-retryafter", 1), ("retry-after", 1000)):
        told = _milliseconds(headers.get(header), unit)
        if told is not None:
            return told
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(0, instant_of(parsedate_to_datetime(text)) - now)
    except (TypeError, ValueError):
        return None


class Skew:
    """How far our clock is ahead of a server's, in milliseconds, by the dates of all its answers.

    A date has whole seconds and was written between asking and answer, so that each gives bounds only. What was
    held stays while it is within them: two clocks that agree are never told apart by chance.
    """

    def __init__(self) -> None:
        self.ahead_ms = 0

    def learn(self, reply: Reply) -> None:
        """Take over what an answer proves; nothing where it has no date."""
        try:
            date = instant_of(parsedate_to_datetime(reply.headers.get("date", "")))
        except (TypeError, ValueError):
            return
        least, most = reply.asked_at - date - 1_000, reply.answered_at - date
        self.ahead_ms = max(least, min(self.ahead_ms, most))

    def ours(self, theirs: Instant) -> Instant:
        """A moment by the server's clock, by ours."""
        return after(theirs, self.ahead_ms)

    def theirs(self, ours: Instant) -> Instant:
        """A moment by our clock, by the server's; the earlier one where we are behind."""
        return after(ours, -max(0, self.ahead_ms))


def _milliseconds(text: str | None, unit: int) -> int | None:
    found = _NUMBER.fullmatch((text or "").strip())
    value = float(found[0]) * unit if found else math.inf
    return max(0, round(value)) if math.isfinite(value) else None
