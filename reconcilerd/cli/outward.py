"""All that tells people outside of this machine, or hears them: built once, and anew when the configuration changes.

What is still to be told is the engine's, and stays; only those whom it is told to are others from then on.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from reconcilerd.alerting.engine import Journal, Receiver
from reconcilerd.alerting.slack import Answer, Post
from reconcilerd.assemble import Assembled
from reconcilerd.cli.receivers import changes_of, digest_of, engine_of, heartbeat_of, receivers_of
from reconcilerd.cli.wall import now
from reconcilerd.cli.wiring import Plan
from reconcilerd.config.secret import Secret
from reconcilerd.config.settings import AlertsSection
from reconcilerd.daemon.alarms import Alarms
from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.supervisor import keep_alive
from reconcilerd.domain.facts import AlertTold
from reconcilerd.ledger.reader import Reader
from reconcilerd.transport.post import Poster

if TYPE_CHECKING:
    from reconcilerd.alerting.slack_socket import SocketMode, Waiting
    from reconcilerd.daemon.presses import Seen


@dataclass(frozen=True, slots=True)
class Terms:
    """What the configuration says of it: where nothing of this is other, nothing is built anew."""

    section: AlertsSection
    secrets: Mapping[str, Secret]
    channels: tuple[str, ...]

    @classmethod
    def of(cls, plan: Plan) -> "Terms":
        return cls(plan.settings.alerts, plan.alerts, tuple(each.name for each in plan.settings.channels))


class Outward:
    """Receivers, the dead man's switch, what is told of changes, and buttons."""

    def __init__(self, plan: Plan, journal: Journal, ledger: Reader) -> None:
        self._terms = terms = Terms.of(plan)
        self._poster = Poster(terms.section.allow_hosts)
        self._old: list[Poster] = []
        self.engine = engine_of(
            terms.section, terms.secrets, self._poster.post, journal, ledger, terms.channels
        )
        self.changes = changes_of(terms.section, terms.secrets, self._poster.post)
        self._turned = anyio.Event()
        self._socket: SocketMode | None = None
        self._seen: Seen = {}
        self._waiting: Waiting = deque()

    def alarms(self, reader: Reader) -> Alarms:
        """Answers about alerts, by the configuration in force when somebody asks."""

        async def post(url: str, body: object, headers: Mapping[str, str]) -> Answer:
            return await self._poster.post(url, body, headers)

        def digest() -> tuple[str, Sequence[str]]:
            return digest_of(self._terms.section)

        alarms = Alarms(self.engine, now, reader, self._make, post, running=True, digest=digest)
        alarms.buttons = lambda: None if self._socket is None else self._socket.trouble
        return alarms

    def start(self, group: TaskGroup, built: Assembled, answers: Answers, why_not: Callable[[], str]) -> None:
        """Run all of it in this group. ``why_not``: why this moment must not count as alive."""
        built.daemon.changed = self.changes.note
        self.hear_the_clock(built.daemon.desk)
        for name, work in (
            ("alerts", self.engine.run),
            ("changes", self.changes.run),
            ("heartbeat", partial(self._by_turns, partial(self._beat, why_not))),
            ("slack", partial(self._by_turns, partial(self._hear, built, answers))),
        ):
            group.start_soon(keep_alive, name, work)

    def hear_the_clock(self, desk: Desk) -> None:
        """Mute nobody because the clock is set back; what ends earlier for it is written down with all else."""
        desk.on_turned_back.append(lambda _: self.engine.turn_back(desk.went_back_from))
        desk.moved.append(self.engine.moved)

    def is_other(self, plan: Plan) -> bool:
        """Whether a configuration says anything else of it."""
        return Terms.of(plan) != self._terms

    def turn_to(self, plan: Plan, told: Sequence[AlertTold]) -> None:
        """Go by another configuration from here on. ``told``: what the ledger holds of it. No await."""
        self._terms = Terms.of(plan)
        self._old.append(self._poster)
        self._poster = Poster(self._terms.section.allow_hosts)
        self.engine.turn_to(self._make(self._poster.post), told)
        self.changes.turn_to(changes_of(self._terms.section, self._terms.secrets, self._poster.post))
        turned, self._turned = self._turned, anyio.Event()
        turned.set()

    async def aclose(self) -> None:
        for each in (*self._old, self._poster):
            await each.aclose()

    def _make(self, post: Post) -> list[Receiver]:
        terms = self._terms
        return receivers_of(terms.section, terms.secrets, post, now, terms.channels)

    async def _by_turns(self, work: Callable[[TaskGroup], Awaitable[None]]) -> None:
        """Run what ``work`` starts; whenever the configuration is another, end that and start again."""
        while True:
            turned = self._turned
            async with anyio.create_task_group() as group:
                await work(group)
                await turned.wait()
                group.cancel_scope.cancel()

    async def _beat(self, why_not: Callable[[], str], group: TaskGroup) -> None:
        while self._old:
            await self._old.pop().aclose()
        heartbeat = heartbeat_of(self._terms.secrets, self._poster.post, why_not)
        if heartbeat is not None:
            group.start_soon(heartbeat.run)

    async def _hear(self, built: Assembled, answers: Answers, group: TaskGroup) -> None:
        section, secrets = self._terms.section, self._terms.secrets
        if "slack_app_token" not in secrets:
            self._socket = None
            return
        # Most tenants have no buttons, and need not carry all that hears them.
        from reconcilerd.cli.slack import socket_of

        self._socket = socket_of(
            section, secrets, self._poster.post, built, answers, self.engine, self._seen, self._waiting
        )
        group.start_soon(self._socket.stay)
        group.start_soon(self._socket.work)
