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
SECOND_MS = 2_000
"""Two dates of whole seconds, and how long two answers took, differ by less."""
OLD_MS = 5_000
"""Dates of servers behind one name differ by less."""
SET_BACK_MS = 120_000
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

    An answer out of a cache proves nothing of a clock. It is known by its ``Age``, or by a date older than those
    that came before it; unless the dates go on from there for a while, for then the clock itself was set back.
    """

    def __init__(self) -> None:
        self.ahead_ms = 0
        self._newest: tuple[Instant, Instant] | None = None
        """The newest date, and when its answer had come."""
        self._back: tuple[Instant, Instant] | None = None
        """The first of the dates that may say that the clock was set back, and when its answer had come."""

    def learn(self, reply: Reply) -> Instant:
        """Take over what an answer proves. Returns the moment it tells of, by our clock: when it was asked for, or
        earlier, if a cache had kept it.
        """
        kept_ms = _milliseconds(reply.headers.get("age"), 1000) or 0
        if kept_ms:
            return after(reply.asked_at, -kept_ms)
        try:
            date = instant_of(parsedate_to_datetime(reply.headers.get("date", "")))
        except (TypeError, ValueError):
            return reply.asked_at
        old_ms = self._older_by(date, reply)
        if old_ms and not self._set_back(date, reply):
            return after(reply.asked_at, -old_ms)
        self._newest, self._back = (date, reply.answered_at), None
        least, most = reply.asked_at - date - 1_000, reply.answered_at - date
        self.ahead_ms = max(least, min(self.ahead_ms, most))
        return reply.asked_at

    def _older_by(self, date: Instant, reply: Reply) -> int:
        """How much older a date is than it must be by those before it, if that is no chance."""
        if self._newest is None:
            return 0
        newest, came = self._newest
        old_ms = newest + max(0, reply.asked_at - came) - date - 1_000
        return old_ms if old_ms > OLD_MS else 0

    def _set_back(self, date: Instant, reply: Reply) -> bool:
        """Whether older dates have gone on like a clock for so long that they are one."""
        if self._back is not None:
            first, came = self._back
            passed_ms = reply.answered_at - came
            if abs(date - first - passed_ms) <= SECOND_MS:
                return passed_ms >= SET_BACK_MS
        self._back = (date, reply.answered_at)
        return False

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
