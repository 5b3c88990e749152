"""Who may see what: tokens, the sessions that browsers get for them, and how often each consumer may be wrong.

Everything on the page is read only; a role says what of it somebody sees.
"""

import hashlib
import hmac
import ipaddress
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final

from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant


class Role(IntEnum):
    """Each sees what those before it see."""

    READ = 1
    """How everything stands."""
    APPROVE = 2
    """What waits for a person, and what people released, by their names."""
    ADMIN = 3
    """The configuration in force."""


Tokens = Mapping[Role, Secret]

FAILURES: Final = 10
FAILURES_MS: Final = 60_000
"""So many wrong tokens of one consumer within a minute, and none of its is looked at for the rest of it."""
CONSUMERS: Final = 1_000
"""Whose failures are remembered; those that failed longest ago are forgotten first."""
SESSION_MS: Final = 12 * 3_600_000
SESSIONS: Final = 200


def role_of(told: str, tokens: Tokens) -> Role | None:
    """Whose token it is. All are compared, so that the time tells nothing of which, nor how much of it fits."""
    found = None
    for role, token in tokens.items():
        if hmac.compare_digest(_digest(told), _digest(token.reveal())):
            found = role
    return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def consumer_of(host: str) -> str:
    """Who is counted as one: an address; of IPv6 the network of one subscriber, who has all addresses in it."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class Failures:
    """Wrong tokens by consumer, of the last minute."""

    def __init__(self, clock: Callable[[], Instant]) -> None:
        self._clock = clock
        self._of: OrderedDict[str, deque[Instant]] = OrderedDict()

    def note(self, consumer: str) -> None:
        """One more. Forgets whoever failed longest ago where there are too many."""
        self._of.setdefault(consumer, deque(maxlen=FAILURES)).append(self._clock())
        self._of.move_to_end(consumer)
        if len(self._of) > CONSUMERS:
            self._of.popitem(last=False)

    def wait_s(self, consumer: str) -> int:
        """Seconds until a token of this consumer is looked at again; 0: now."""
        failed, now = self._of.get(consumer, deque[Instant]()), self._clock()
        while failed and not 0 <= now - failed[0] < FAILURES_MS:
            failed.popleft()
        return (FAILURES_MS - (now - failed[0])) // 1000 + 1 if len(failed) == FAILURES else 0


class Sessions:
    """What browsers hold in place of a token: an id that says nothing, ends by itself and by a word of theirs.

    Kept in memory and by its digest alone: a restart ends them all.
    """

    def __init__(
        self,
        clock: Callable[[], Instant],
        new_id: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        self._clock = clock
        self._new_id = new_id
        self._open: dict[bytes, tuple[Role, Instant]] = {}

    def begin(self, role: Role) -> str:
        """A new one's id. Ends the oldest where there are too many."""
        id_ = self._new_id()
        self._open[_digest(id_)] = role, self._clock()
        if len(self._open) > SESSIONS:
            del self._open[next(iter(self._open))]
        return id_

    def role(self, id_: str) -> Role | None:
        """Whose it is; None for one that is over, or never was."""
        key = _digest(id_)
        if key not in self._open:
            return None
        role, began = self._open[key]
        if 0 <= self._clock() - began < SESSION_MS:
            return role
        del self._open[key]
        return None

    def end(self, id_: str) -> None:
        self._open.pop(_digest(id_), None)
