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
ALIKE_MS = 1_000
"""What the answers of one machine tell of its clock agrees but for less."""
OLD_MS = 5_000
"""Dates of servers behind one name differ by less."""
GOES_ON_MS = 120_000
"""So long dates that are none of the clock that is known must go on like a clock, and without a break, to be one."""
REDACTED_BYTES = 4_096
"""Redaction comes before cutting, or half a secret would pass; this much of a body is looked at."""
BEGINNING_BYTES = 65_536
"""A page of an error is mostly shorter: it is read to its end, and its connection serves on."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of status 2xx. Header names in lower case; ``asked_at`` before it left."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked_at: Instant
    answered_at: Instant
    failed: int = 0
    """Tries before this one."""
    set_ms: int = 0
    """How far our clock is from one that nobody sets: another number than before tells that ours was set."""
    in_doubt: int = 0
    """How many of the tries before may have had their effect: what was not let in, or did not leave, had none."""


async def body_of(where: str, response: httpx.Response, most: int) -> bytes:
    """The body, decoded. Raises MalformedReply as soon as it is larger than ``most`` bytes."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > most:
            raise MalformedReply(f"{where} answered more than {_size(most)}; the rest was not read")
        parts.append(part)
    return b"".join(parts)


async def beginning_of(response: httpx.Response) -> bytes:
    """The beginning of a body that is read by people only, if at all: however long it is, it is an answer."""
    parts, size = [], 0
    try:
        async for part in response.aiter_bytes():
            parts.append(part[: BEGINNING_BYTES - size])
            size += len(parts[-1])
            if size >= BEGINNING_BYTES:
                break
    except httpx.DecodingError:
        # Its status says what to do, whatever it is packed in.
        pass
    return b"".join(parts)


async def passed_over(response: httpx.Response) -> None:
    """Have a body read no further, nor unpacked: httpx reads that of an answer whole before it signs in again."""
    size, stream = 0, response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    try:
        async for part in stream:
            size += len(part)
            if size > BEGINNING_BYTES:
                break
    except httpx.TransportError:
        # Its status was all there was to know.
        pass
    finally:
        await stream.aclose()
    response.headers.pop("content-encoding", None)
    response.stream = httpx.ByteStream(b"")


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


def moment_of(text: str | None) -> Instant | None:
    """What a date in a header says, if it can be read."""
    try:
        return instant_of(parsedate_to_datetime(text or ""))
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def retry_after_ms(headers: Mapping[str, str], now: Instant) -> int | None:
    """When the other side may be asked again: Extensiv's header in milliseconds, else Retry-After.

    A date there is by the other side's clock: it is held against the answer's own date, where it has one.
    """
    for header, unit in (("x-skubana-quota-retryafter", 1), ("retry-after", 1000)):
        told = _milliseconds(headers.get(header), unit)
        if told is not None:
            return told
    until = moment_of(headers.get("retry-after"))
    if until is None:
        return None
    date = moment_of(headers.get("date"))
    return max(0, until - (now if date is None else date))


@dataclass(frozen=True, slots=True)
class _Span:
    """Between how many milliseconds our clock is ahead, by one answer: its date has whole seconds, and was written at
    some moment between asking and answer.
    """

    least: int
    most: int

    def near(self, other: "_Span", by_ms: int) -> bool:
        return self.least <= other.most + by_ms and other.least <= self.most + by_ms

    def within(self, other: "_Span") -> "_Span":
        """What both allow, if they do not exclude each other."""
        least, most = max(self.least, other.least), min(self.most, other.most)
        return _Span(least, most) if least <= most else self

    def moved(self, by_ms: int) -> "_Span":
        """Once our clock was set, or stood still: it may be either."""
        return _Span(self.least + min(0, by_ms), self.most + max(0, by_ms))


_AGREE = _Span(0, 0)


class Skew:
    """How far our clock is ahead of a server's, in milliseconds, by the dates of all its answers.

    What was held stays while it is within the bounds that an answer gives: two clocks that agree are never told apart
    by chance. A date far from what it should be by those before it moves nothing: an answer out of a cache proves
    nothing of a clock, and one machine of many may have a clock that is wrong. Only if such dates go on for a while,
    and none as before comes between, was the clock itself set.

    Until as much is known of the first ones, dates that agree with our own clock are right and others are not.

    An answer out of a cache is known by its ``Age``, or by a date older than it should be.
    """

    def __init__(self) -> None:
        self.ahead_ms = 0
        self._held: _Span | None = None
        """By the last answer that was believed."""
        self._rival: tuple[_Span, int] | None = None
        """By dates that were not, and since when (by the clock that nobody sets) they go on."""
        self._since: int | None = None
        """When what is held was told first; once it went on for long it is no longer asked for."""
        self._gone_on = False
        self._set_ms: int | None = None

    def learn(self, reply: Reply) -> Instant:
        """Take over what an answer proves. Returns the moment it tells of, by our clock: when it was asked for, or
        earlier, if a cache had kept it.
        """
        kept_ms = _milliseconds(reply.headers.get("age"), 1000) or 0
        if kept_ms:
            return after(reply.asked_at, -min(kept_ms, reply.asked_at))
        date = moment_of(reply.headers.get("date"))
        if date is None:
            return reply.asked_at
        self._look_at_our_clock(reply.set_ms)
        told = _Span(reply.asked_at - date - 1_000, max(reply.asked_at, reply.answered_at) - date)
        steady = reply.answered_at - reply.set_ms
        if self._held is None or told.near(self._held, OLD_MS):
            self._believe(told, steady, new=self._held is None)
        elif not self._gone_on and told.near(_AGREE, ALIKE_MS):
            self._believe(told, steady, new=True)
        elif self._goes_on(told, steady):
            self._believe(told, steady, new=False)
        else:
            return after(reply.asked_at, -max(0, told.least - self._held.most))
        return reply.asked_at

    def _believe(self, told: _Span, steady: int, *, new: bool) -> None:
        self._held, self._rival = told, None
        self.ahead_ms = max(told.least, min(self.ahead_ms, told.most))
        if new or self._since is None:
            self._since = steady
        self._gone_on = self._gone_on or steady - self._since >= GOES_ON_MS

    def _goes_on(self, told: _Span, steady: int) -> bool:
        """Whether dates that are not as before have gone on like a clock for so long that they are one."""
        if self._rival is not None:
            span, since = self._rival
            if told.near(span, ALIKE_MS):
                self._rival = span.within(told), since
                return steady - since >= GOES_ON_MS
        self._rival = told, steady
        return False

    def _look_at_our_clock(self, set_ms: int) -> None:
        """Have no server blamed for it that ours was set, or that this machine slept."""
        by_ms = 0 if self._set_ms is None else set_ms - self._set_ms
        self._set_ms = set_ms
        if by_ms and self._held is not None:
            self._held = self._held.moved(by_ms)
        if by_ms and self._rival is not None:
            self._rival = self._rival[0].moved(by_ms), self._rival[1]

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
