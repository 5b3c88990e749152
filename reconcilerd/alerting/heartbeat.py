"""A dead man's switch outside of this machine: it hears from us only while everything is read and decided in time.

Whoever only slept until the next tick would say that all is well while nothing works any more.
"""

from collections.abc import Callable

import anyio
import structlog

from reconcilerd.alerting.slack import Post
from reconcilerd.errors import ReconcilerdError

log = structlog.get_logger("reconcilerd.heartbeat")

EVERY_S = 60.0
STARTING_S = 5.0
"""So often it is looked whether we are alive yet."""
REASON = 200


class Heartbeat:
    """``why_not``: why this moment must not count as alive; empty if it may.

    Before the first time that we are, nothing is said: a start is no failure, and one that takes too long is silence.
    """

    def __init__(self, url: str, post: Post, why_not: Callable[[], str], every_s: float = EVERY_S) -> None:
        self._url = url.rstrip("/")
        self._post = post
        self._why_not = why_not
        self._every_s = every_s
        self._failing = False
        self._lived = False

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self.beat()
            await anyio.sleep(self._every_s if self._lived else min(STARTING_S, self._every_s))

    async def beat(self) -> None:
        """Say once how it stands: alive, or once that it is not, and why. Raises nothing."""
        why = self._why_not()
        if why and (self._failing or not self._lived):
            return  # said already, or never alive; silence says it on
        self._lived = True
        try:
            status, _, _ = await self._post(
                f"{self._url}/fail" if why else self._url, {"why": why[:REASON]}, {}
            )
        except ReconcilerdError as error:
            log.warning("heartbeat_not_heard", why=str(error))
            return
        if status >= 400:
            log.warning("heartbeat_refused", status=status)
            return
        self._failing = bool(why)
