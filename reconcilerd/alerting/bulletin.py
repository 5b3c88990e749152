"""Says what is no alert, the digest of a day, to those receivers that people read at their leisure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import anyio

from reconcilerd.alerting.engine import NotTaken, Permanent, Receiver
from reconcilerd.alerting.wording import cut
from reconcilerd.config.secret import redact
from reconcilerd.errors import ReconcilerdError

TRIES = 3
RETRY_S = 2.0
LONGEST_RETRY_S = 60.0
REPLY = 200


@runtime_checkable
class Publisher(Protocol):
    """A receiver that also takes what is no alert."""

    @property
    def name(self) -> str: ...

    async def publish(self, title: str, lines: Sequence[str]) -> None:
        """Raises Permanent, NotTaken, or anything else to be tried again."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """What came of it at one receiver."""

    receiver: str
    accepted: bool
    reply: str


async def publish(
    receivers: Sequence[Receiver], to: Collection[str], title: str, lines: Sequence[str]
) -> list[Published]:
    """Tell those of the receivers that are named in ``to``; what each answered. One that fails holds up no other."""
    found: dict[str, Published] = {}

    async def one(receiver: Publisher) -> None:
        found[receiver.name] = await _publish(receiver, title, lines)

    async with anyio.create_task_group() as group:
        for each in receivers:
            if each.name in to and isinstance(each, Publisher):
                group.start_soon(one, each)
    return [found[name] for name in sorted(found)]


async def _publish(receiver: Publisher, title: str, lines: Sequence[str]) -> Published:
    why = ""
    for number in range(TRIES):
        wait_s = RETRY_S * 2**number
        try:
            await receiver.publish(title, lines)
        except Permanent as refused:
            return Published(receiver.name, False, _said(str(refused)))
        except NotTaken as later:
            why, wait_s = str(later), later.after_s or wait_s
        except ReconcilerdError as error:
            why = str(error)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        else:
            return Published(receiver.name, True, "accepted")
        if number + 1 < TRIES:
            await anyio.sleep(min(LONGEST_RETRY_S, wait_s))
    return Published(receiver.name, False, _said(why))


def _said(text: str) -> str:
    return cut(" ".join(redact(text).split()), REPLY)
