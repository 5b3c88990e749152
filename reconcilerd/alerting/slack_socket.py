"""Slack's Socket Mode: what people do with our messages, over a connection that we open, so that nobody can call us.

Each envelope is acknowledged before anything comes of it, and is handed on once however often Slack sends it. Before
Slack ends a connection it says so: then the next one is there before the old one goes. Whatever happens to a
connection is counted, told once and tried again; nothing but the buttons waits for it.
"""

import json
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any, Literal, Protocol

import anyio
import structlog

from reconcilerd.alerting.engine import NotTaken, Permanent
from reconcilerd.alerting.slack import Post
from reconcilerd.alerting.slack_api import ask
from reconcilerd.config.secret import Secret
from reconcilerd.errors import LedgerFault, ReconcilerdError, TryLater

log = structlog.get_logger("reconcilerd.slack")

FIRST_S = 1.0
CAP_S = 120.0
REFUSED_S = 300.0
"""What a person must set right is asked for so seldom."""
HELLO_S = 15.0
STEADY_S = 60.0
"""A connection that lived so long was a good one: the next is tried at once."""
LAST_WORDS_S = 60.0
"""How long the old connection is heard beside the new one."""
MOST_AT_ONCE = 3
"""Connections, of the ten that Slack allows: others may use the same app."""
MOST_SEEN = 2_000
MOST_WAITING = 50
"""Presses that wait for their turn; more are let go, and whoever pressed presses again."""
LONGEST_ID = 200
Heard = Literal[
    "connected", "lost", "refused", "renewed", "repeated", "malformed", "dropped", "taken", "broke"
]
"""What happens to connections and envelopes."""
HEARD: tuple[Heard, ...] = (
    "connected", "lost", "refused", "renewed", "repeated", "malformed", "dropped", "taken", "broke",
)  # fmt: skip


class Link(Protocol):
    """An open connection; both raise TryLater once it is closed."""

    async def receive(self) -> str | bytes: ...

    async def send(self, message: Mapping[str, object]) -> None: ...


Dial = Callable[[str], AbstractAsyncContextManager[Link]]
"""Opens a connection to an address. Raises TryLater."""
Waiting = deque[Mapping[str, Any]]
"""Payloads that were acknowledged, the oldest first."""
Take = Callable[[Mapping[str, Any], str], Awaitable[None]]
"""Deals with one payload; the id of the app it came for."""


class _NotLetIn(Exception):
    """Slack refuses us until a person sets something right."""


class SocketMode:
    """``stay`` and ``work`` run beside each other until cancelled."""

    def __init__(
        self,
        api: str,
        token: Secret,
        post: Post,
        dial: Dial,
        take: Take,
        counts: Counter[Heard],
        chance: Random | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        """``token``: of the app (``xapp-``), which may do nothing but open connections.

        ``waiting``: what is to be dealt with. Slack sends it never again: whoever takes our place needs it.
        """
        self._url = f"{api.rstrip('/')}/apps.connections.open"
        self._token = token
        self._post = post
        self._dial = dial
        self._take = take
        self._counts = counts
        self._chance = chance or Random()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._open = 0
        self._app = ""
        self.trouble = "not connected yet"
        """Why nobody's press would be heard now; empty while they are."""
        self._waiting = Waiting() if waiting is None else waiting
        self._news = anyio.Event()

    async def work(self) -> None:
        """Deal with what came, one after the other. Raises LedgerFault."""
        while True:
            self._news = anyio.Event()
            while self._waiting:
                await self._work_on(self._waiting.popleft())
            await self._news.wait()

    async def _work_on(self, payload: Mapping[str, Any]) -> None:
        try:
            await self._take(payload, self._app)
        except LedgerFault:
            raise
        except Exception:
            self._counts["broke"] += 1
            log.exception("press_broke")

    async def stay(self) -> None:
        """Be connected."""
        pause_s = FIRST_S
        async with anyio.create_task_group() as group:
            while True:
                renew, began_s, rest_s = anyio.Event(), anyio.current_time(), 0.0
                try:
                    address = await self._address()
                    await group.start(self._hold, address, renew)
                    await renew.wait()
                except _NotLetIn as refused:
                    self._note("refused", str(refused))
                    pause_s = REFUSED_S
                except TryLater as later:
                    self._note("lost", str(later))
                    rest_s = (later.after_ms or 0) / 1000
                if anyio.current_time() - began_s >= STEADY_S:
                    pause_s = FIRST_S
                await anyio.sleep(max(rest_s, pause_s * (0.5 + 0.5 * self._chance.random())))
                pause_s = min(CAP_S, pause_s * 2)
                while self._open >= MOST_AT_ONCE:
                    await anyio.sleep(FIRST_S)

    def _note(self, what: Heard, why: str) -> None:
        """Count it; say it once."""
        self._counts[what] += 1
        if self._open == 0 and why != self.trouble:
            self.trouble = why
            log.warning("slack_buttons_not_heard", why=why)

    async def _address(self) -> Secret:
        """Where to connect to: whoever knows it is let in. Raises _NotLetIn, TryLater."""
        try:
            told = await ask(self._post, self._url, self._token, {})
        except NotTaken as later:
            raise TryLater(str(later), after_ms=round((later.after_s or 0) * 1000)) from None
        except Permanent as refused:
            raise _NotLetIn(
                f"{refused} to alerts.slack_app_token; put the right one in place, restart"
            ) from None
        except TryLater:
            raise
        except ReconcilerdError as error:
            raise TryLater(str(error)) from None
        url = told.get("url")
        if not isinstance(url, str):
            raise TryLater("Slack does not say where to connect to")
        return Secret(url)

    async def _hold(self, address: Secret, renew: anyio.Event, *, task_status: Any) -> None:
        """Hear one connection until it ends; ``renew`` is set when the next is wanted. Raises TryLater before hello."""
        heard = False
        try:
            async with self._dial(address.reveal()) as link:
                with anyio.fail_after(HELLO_S):
                    await self._hello(link)
                heard, self.trouble = True, ""
                self._counts["connected"] += 1
                log.info("slack_buttons_heard")
                task_status.started()
                self._open += 1
                try:
                    await self._hear(link, renew)
                finally:
                    self._open -= 1
        except (TryLater, TimeoutError) as error:
            why = str(error) or "Slack says nothing"
            if not heard:
                raise TryLater(why) from None
            if not renew.is_set() or self._open == 0:
                self._note("lost", why)
        except _NotLetIn as refused:
            self._note("refused", str(refused))
        finally:
            address.forget()
            renew.set()

    async def _hello(self, link: Link) -> None:
        while True:
            said = self._read(await link.receive())
            if said is not None and said.get("type") == "hello":
                info = said.get("connection_info")
                self._app = str(info.get("app_id") or "") if isinstance(info, dict) else ""
                return

    async def _hear(self, link: Link, renew: anyio.Event) -> None:
        """Raises TryLater when the connection ends."""
        until = anyio.CancelScope()
        with until:
            while True:
                said = self._read(await link.receive())
                if said is None:
                    continue
                if said.get("type") == "disconnect":
                    if said.get("reason") == "link_disabled":
                        raise _NotLetIn(
                            "Socket Mode is switched off for the app; switch it on in its settings"
                        )
                    if not renew.is_set():
                        self._counts["renewed"] += 1
                        until.deadline = anyio.current_time() + LAST_WORDS_S
                        renew.set()
                    continue
                await self._envelope(link, said)
        raise TryLater("the old connection was let go")

    async def _envelope(self, link: Link, said: Mapping[str, Any]) -> None:
        """Acknowledge, then hand on what was not handed on before."""
        id_ = said.get("envelope_id")
        if not isinstance(id_, str) or not 0 < len(id_) <= LONGEST_ID:
            self._counts["malformed"] += 1
            return
        await link.send({"envelope_id": id_})
        if id_ in self._seen:
            self._counts["repeated"] += 1
            return
        self._seen[id_] = None
        while len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)
        payload = said.get("payload")
        if said.get("type") != "interactive" or not isinstance(payload, dict):
            self._counts["malformed"] += 1
            return
        if len(self._waiting) >= MOST_WAITING:
            self._counts["dropped"] += 1
            log.warning("press_dropped", why="too many wait")
            return
        self._waiting.append(payload)
        self._news.set()

    def _read(self, raw: str | bytes) -> Mapping[str, Any] | None:
        """A message, if it is a JSON object."""
        try:
            said = json.loads(raw) if isinstance(raw, str) else None
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            self._counts["malformed"] += 1
            return None
        return said
