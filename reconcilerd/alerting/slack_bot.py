"""Slack by its Web API: what Slack's own app may do and a webhook may not, scope ``chat:write``.

A message is changed when what it tells is over, and what is said again goes into its thread. It is known by
``channel:ts``. What each message tells is kept in memory: one from before a restart gets the end as an answer.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from reconcilerd.alerting.buttons import Button, message_of, row_of, sections_of
from reconcilerd.alerting.engine import Permanent
from reconcilerd.alerting.outbox import Notice, Pace, by_episode
from reconcilerd.alerting.slack import BUDGET, Post, bulletin, text_of
from reconcilerd.alerting.slack_api import SaysNo, ask
from reconcilerd.alerting.wording import cut
from reconcilerd.config.secret import Secret
from reconcilerd.domain.facts import Transition

MOST_KEPT = 200
"""Messages that can still be changed; the oldest are let go."""
UPDATE = "chat.update"
UNCHANGEABLE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""Why a message stays as it is."""

About = tuple[str, int]
"""Key and number of an episode."""


def _about(notice: Notice) -> About:
    return notice.episode.key, notice.episode.number


def _news(notice: Notice) -> tuple[About, Transition]:
    return _about(notice), notice.transition


class _Unchangeable(Exception):
    """The message is gone, or too old."""


class SlackBot:
    """``token``: of a bot; ``channel``: the id of one that it is in."""

    name = "slack"

    def __init__(
        self,
        api: str,
        token: Secret,
        channel: str,
        post: Post,
        pace: Pace | None = None,
        acts_on: Collection[str] | None = None,
        instance: str = "",
    ) -> None:
        """``acts_on``: sales channels that buttons may be about. None: messages have no buttons."""
        self.pace = pace or Pace()
        self._api = api.rstrip("/")
        self._token = token
        self._channel = channel
        self._post = post
        self._acts_on = acts_on
        self._instance = instance
        self._shown: dict[str, dict[About, Notice]] = {}
        """By reference: what the message tells of each episode."""
        self._half: dict[tuple[About, Transition], str] = {}
        """What was said of messages that failed further on, and under which reference."""

    async def tell(self, notices: Sequence[Notice]) -> Mapping[str, str]:
        """Raises Permanent, NotTaken."""
        try:
            await self._tell(notices)
        except Permanent:
            self._forget(notices)
            raise
        references = {each.episode.key: self._half[_news(each)] for each in notices if not each.reference}
        self._forget(notices)
        return references

    async def _tell(self, notices: Sequence[Notice]) -> None:
        """Say what was not said before something failed: a notice takes one request, and a message several."""
        under = {about: reference for (about, _), reference in self._half.items()}
        left = [
            replace(each, reference=each.reference or under.get(_about(each), ""))
            for each in notices
            if _news(each) not in self._half
        ]
        new = [each for each in left if not each.reference]
        # Of an episode that nobody heard of, the last word says all: when it began, and when it was over.
        fresh = by_episode(new)
        if fresh:
            reference = await self._say(list(fresh.values()))
            self._keep(reference, fresh)
            self._half |= {_news(each): reference for each in new}
        answers: dict[str, list[Notice]] = {}
        for each in left:
            if each.reference:
                answers.setdefault(each.reference, []).append(each)
        for reference, known in answers.items():
            await self._answer(reference, known)
            self._half |= {_news(each): reference for each in known}

    def _forget(self, notices: Iterable[Notice]) -> None:
        """A message is dealt with. What else was half said, and never came again, is let go by and by."""
        for each in notices:
            self._half.pop(_news(each), None)
        while len(self._half) > MOST_KEPT:
            del self._half[next(iter(self._half))]

    async def publish(self, title: str, lines: Sequence[str]) -> None:
        """Say what is no alert. Raises Permanent, NotTaken."""
        await self._ask("chat.postMessage", {"channel": self._channel, "text": bulletin(title, lines)})

    def _keep(self, reference: str, told: dict[About, Notice]) -> None:
        self._shown[reference] = told
        while len(self._shown) > MOST_KEPT:
            del self._shown[next(iter(self._shown))]

    async def _answer(self, reference: str, notices: Sequence[Notice]) -> None:
        """Say more of what a message tells: its end in the message itself, where it still can be changed."""
        over = [each for each in notices if each.transition is Transition.RESOLVED]
        shown = self._shown.get(reference)
        if over and shown is not None:
            try:
                await self._change(reference, shown | by_episode(over))
            except _Unchangeable:
                del self._shown[reference]
            else:
                notices = [each for each in notices if each.transition is not Transition.RESOLVED]
        if notices:
            await self._say(notices, reference)

    async def _say(self, notices: Sequence[Notice], under: str = "") -> str:
        """Post a message, or an answer under another one; by what it is known."""
        thread = {"thread_ts": under.partition(":")[2]} if under else {}
        channel = under.partition(":")[0] or self._channel
        body = {"channel": channel, **self._message(notices), **thread}
        told = await self._ask("chat.postMessage", body)
        return f"{told.get('channel', channel)}:{told.get('ts', '')}"

    async def _change(self, reference: str, shown: dict[About, Notice]) -> None:
        channel, _, ts = reference.partition(":")
        await self._ask(UPDATE, {"channel": channel, "ts": ts, **self._message(list(shown.values()))})
        self._shown[reference] = shown

    def _message(self, notices: Sequence[Notice]) -> Mapping[str, object]:
        if self._acts_on is None:
            return {"text": text_of(notices, self._instance)}
        return message_of(notices, self._acts_on, self._instance)

    async def whisper(self, user: str, text: str, thread: str = "") -> None:
        """Say something that only one person sees. Raises Permanent, NotTaken."""
        under = {"thread_ts": thread} if thread else {}
        body = {"channel": self._channel, "user": user, "text": cut(text, BUDGET), **under}
        await self._ask("chat.postEphemeral", body)

    async def reply(self, thread: str, text: str, buttons: Sequence[Button] = ()) -> None:
        """Answer under a message, for all to see. Raises Permanent, NotTaken."""
        blocks = [*sections_of(text), *([row_of(buttons)] if buttons else [])]
        body = {"channel": self._channel, "thread_ts": thread, "text": text, "blocks": blocks}
        await self._ask("chat.postMessage", body)

    async def _ask(self, method: str, body: Mapping[str, object]) -> dict[str, object]:
        try:
            return await ask(self._post, f"{self._api}/{method}", self._token, body)
        except SaysNo as no:
            if method == UPDATE and no.word in UNCHANGEABLE:
                raise _Unchangeable from None
            raise
