"""The circuit breakers of all channels: told of every call by the clients, asked before every write."""

from collections.abc import Callable

import structlog

from reconcilerd.domain.circuit import Circuit, heard
from reconcilerd.domain.names import ChannelName, Instant
from reconcilerd.domain.policy import Limits

log = structlog.get_logger("reconcilerd.circuits")


class Circuits:
    """One breaker a channel. In memory: an open one ends by itself, a restart begins to count anew."""

    def __init__(self, limits: Limits, clock: Callable[[], Instant]) -> None:
        self.limits = limits
        self._clock = clock
        self.known: dict[ChannelName, Circuit] = {}

    def hear(self, channel: ChannelName) -> Callable[[bool], None]:
        """What a client of this channel calls after each try: whether the other side answered."""

        def told(answered: bool) -> None:
            before = self.known.get(channel, Circuit())
            after = self.known[channel] = heard(before, self._clock(), answered, self.limits)
            if (before.open_until is None) != (after.open_until is None):
                closed = after.open_until is None
                event = "circuit_closed" if closed else "circuit_opened"
                (log.info if closed else log.error)(event, channel=channel, why=after.evidence)

        return told

    @property
    def open(self) -> frozenset[ChannelName]:
        """Channels that are not written now."""
        return frozenset(name for name, each in self.known.items() if each.open_until is not None)

    def reset(self, channel: ChannelName) -> None:
        """Close it: a person says so."""
        self.known[channel] = Circuit()
