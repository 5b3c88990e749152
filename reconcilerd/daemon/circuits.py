"""The circuit breakers of all channels: told of every call by the clients, asked before every write."""

from collections.abc import Callable, Iterable

import structlog

from reconcilerd.domain.circuit import Circuit, heard
from reconcilerd.domain.facts import RailLatched
from reconcilerd.domain.latches import CIRCUIT, latch_name
from reconcilerd.domain.names import ChannelName, Instant
from reconcilerd.domain.policy import Limits

log = structlog.get_logger("reconcilerd.circuits")

WHY = "most calls to the channel fail"


class Circuits:
    """One breaker a channel. Calls are counted in memory; that one opened or closed is a fact.

    ``latched``: what holds by the ledger. What was open before a restart is half open after it: reads close it.
    """

    def __init__(
        self, limits: Limits, clock: Callable[[], Instant], latched: Iterable[RailLatched] = ()
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._news: list[RailLatched] = []
        self.known: dict[ChannelName, Circuit] = {}
        for each in latched:
            rail, _, channel = each.name.partition(":")
            if rail == CIRCUIT:
                half = Circuit(open_until=clock(), since=each.at, times=1, evidence=each.evidence)
                self.known[ChannelName(channel)] = half

    def hear(self, channel: ChannelName) -> Callable[[bool], None]:
        """What a client of this channel calls after each try: whether the other side answered."""

        def told(answered: bool) -> None:
            before, now = self.known.get(channel, Circuit()), self._clock()
            after = self.known[channel] = heard(before, now, answered, self.limits)
            opened = after.open_until is not None
            if opened != (before.open_until is not None):
                event = "circuit_opened" if opened else "circuit_closed"
                (log.error if opened else log.info)(event, channel=channel, why=after.evidence)
                why = WHY if opened else "it answers again"
                name = latch_name(CIRCUIT, channel)
                self._news.append(RailLatched(name, opened, "reconcilerd", why, now, after.evidence))

        return told

    @property
    def open(self) -> frozenset[ChannelName]:
        """Channels that are not written now."""
        return frozenset(name for name, each in self.known.items() if each.open_until is not None)

    def news(self) -> list[RailLatched]:
        """What opened and closed since this was asked last, for the ledger."""
        news, self._news = self._news, []
        return news

    def reset(self, channel: ChannelName) -> None:
        """Close it: a person says so."""
        self.known[channel] = Circuit()
