"""One stable key per kind and subject; each change is written down, then told to every receiver, in order.

A receiver that fails keeps what it has not heard in its outbox and gets it again, after a restart too; it never holds
up the caller. Of one alert only the newest change is told.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import anyio
import structlog

from reconcilerd.domain.facts import AlertChanged, AlertTold
from reconcilerd.domain.names import Instant

log = structlog.get_logger("reconcilerd.alerts")

RETRY_S = 5.0
RETRY_CAP_S = 300.0
_NO_DETAILS: Mapping[str, str] = MappingProxyType({})


class Permanent(Exception):
    """A receiver will never take this message; trying again is useless."""


class Receiver(Protocol):
    """Somewhere alerts are told. ``tell`` raises Permanent, or anything else to be tried again."""

    @property
    def name(self) -> str: ...

    async def tell(self, alert: AlertChanged, details: Mapping[str, str]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Message:
    alert: AlertChanged
    details: Mapping[str, str]


class Router:
    """Where the daemon's alerts go. ``journal`` makes a change durable before anybody is told."""

    def __init__(
        self,
        receivers: Sequence[Receiver],
        journal: Callable[[AlertChanged | AlertTold], Awaitable[object]],
        clock: Callable[[], Instant],
        standing: Iterable[AlertChanged] = (),
        told: Iterable[AlertTold] = (),
    ) -> None:
        """``standing``: the last change of every alert, from the ledger; ``told``: who heard of which change."""
        standing = tuple(standing)
        heard = {(each.receiver, each.key): each.changed for each in told}
        self._journal = journal
        self._clock = clock
        self._firing = {each.key: each for each in standing if each.firing}
        self._receivers = receivers
        self._outboxes = {
            receiver.name: {
                each.key: _Message(each, _NO_DETAILS)
                for each in sorted(standing, key=lambda one: one.at)
                if _unheard(each, heard.get((receiver.name, each.key)))
            }
            for receiver in receivers
        }
        self._filled = {each.name: anyio.Event() for each in receivers}
        self.deliveries: Counter[tuple[str, str]] = Counter(
            {(each.name, result): 0 for each in receivers for result in ("ok", "failed", "refused")}
        )
        """How often each receiver was told something, by what came of it."""

    @property
    def severities(self) -> Counter[str]:
        """How many alerts fire, by severity."""
        return Counter(each.severity for each in self._firing.values())

    @property
    def oldest_unheard(self) -> Instant | None:
        """When the oldest change was that some receiver has not heard of."""
        return min(
            (message.alert.at for outbox in self._outboxes.values() for message in outbox.values()),
            default=None,
        )

    @property
    def firing(self) -> frozenset[str]:
        return frozenset(self._firing)

    async def raise_(
        self, kind: str, subject: str, severity: str, summary: str, details: Mapping[str, str]
    ) -> None:
        """Raise an alert; one that fires already is not told again."""
        key = _key(kind, subject)
        if key not in self._firing:
            await self._change(AlertChanged(key, True, severity, summary, self._clock()), details)

    async def resolve(self, kind: str, subject: str) -> None:
        """Resolve an alert, if it fires."""
        await self._resolve(_key(kind, subject))

    async def keep_only(self, known: Set[tuple[str, str]]) -> None:
        """Resolve every alert that fires for none of these (kind, subject)."""
        keys = {_key(kind, subject) for kind, subject in known}
        for key in sorted(self._firing.keys() - keys):
            await self._resolve(key)

    async def _resolve(self, key: str) -> None:
        old = self._firing.get(key)
        if old is not None:
            await self._change(AlertChanged(key, False, old.severity, old.summary, self._clock()), {})

    async def run(self) -> None:
        """Deliver until cancelled, each receiver at its own pace."""
        async with anyio.create_task_group() as group:
            for receiver in self._receivers:
                group.start_soon(self._deliver, receiver)

    async def _change(self, alert: AlertChanged, details: Mapping[str, str]) -> None:
        if alert.firing:
            self._firing[alert.key] = alert
        else:
            del self._firing[alert.key]
        await self._journal(alert)
        event = log.warning if alert.firing else log.info
        event("alert_raised" if alert.firing else "alert_resolved", key=alert.key, summary=alert.summary)
        for name, outbox in self._outboxes.items():
            outbox.pop(alert.key, None)
            outbox[alert.key] = _Message(alert, details)
            self._filled[name].set()

    async def _deliver(self, receiver: Receiver) -> None:
        outbox, pause = self._outboxes[receiver.name], RETRY_S
        while True:
            if not outbox:
                self._filled[receiver.name] = anyio.Event()
                await self._filled[receiver.name].wait()
            message = next(iter(outbox.values()))
            alert = message.alert
            try:
                await receiver.tell(alert, message.details)
            except Permanent as refused:
                self.deliveries[receiver.name, "refused"] += 1
                log.error("alert_refused", receiver=receiver.name, key=alert.key, why=str(refused))
            except Exception as error:
                self.deliveries[receiver.name, "failed"] += 1
                log.warning("alert_not_delivered", receiver=receiver.name, why=type(error).__name__)
                await anyio.sleep(pause)
                pause = min(RETRY_CAP_S, pause * 2)
                continue
            else:
                self.deliveries[receiver.name, "ok"] += 1
            pause = RETRY_S
            if outbox.get(alert.key) is message:
                del outbox[alert.key]
            await self._journal(AlertTold(receiver.name, alert.key, alert.at, self._clock()))


def _unheard(alert: AlertChanged, heard: Instant | None) -> bool:
    """Whether a receiver must still be told: of what fires, and of the end of what it once heard of."""
    return alert.firing if heard is None else heard != alert.at


def _key(kind: str, subject: str) -> str:
    return f"reconcilerd/{kind}/{subject}"
