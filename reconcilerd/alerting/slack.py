"""Slack's incoming webhook: one message for all that belongs together."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from reconcilerd.alerting.engine import NotTaken, Permanent
from reconcilerd.alerting.outbox import Notice, Pace, by_episode
from reconcilerd.alerting.wording import details_of, headline, runbook, since, within
from reconcilerd.domain.facts import Transition
from reconcilerd.domain.visible import visible

Answer = tuple[int, str, Mapping[str, str]]
"""Status, body, headers with names in lower case."""
Post = Callable[[str, object, Mapping[str, str]], Awaitable[Answer]]
"""Posts JSON to a URL with headers. Raises on network failure."""

BUDGET = 10_000
"""Characters of a message: beyond some thirteen thousand Slack refuses it, whatever its blocks are."""
LONGEST_REST_S = 3_600.0
"""No receiver is left alone for longer, whatever it says: alerts wait meanwhile."""
GONE_FOR_GOOD = frozenset({400, 403, 404, 410})
MORE = "and {count} more: `reconcilerd alerts list`"
LEFT_OUT = "and {count} more lines: `reconcilerd digest`"
MARKS = {"critical": ":rotating_light:", "error": ":red_circle:", "warning": ":large_yellow_circle:"}


class Slack:
    """Success is 200 with the body ``ok``, and nothing else."""

    name = "slack"

    def __init__(self, url: str, post: Post, pace: Pace | None = None, instance: str = "") -> None:
        self.pace = pace or Pace()
        self._instance = instance
        self._url = url
        self._post = post

    async def tell(self, notices: Sequence[Notice]) -> Mapping[str, str]:
        await self._say(text_of(notices, self._instance))
        return {}

    async def publish(self, title: str, lines: Sequence[str]) -> None:
        """Say what is no alert."""
        await self._say(bulletin(title, lines))

    async def _say(self, text: str) -> None:
        status, body, headers = await self._post(self._url, {"text": text}, {})
        if status == 200 and body.strip() == "ok":
            return
        if status == 429:
            raise NotTaken("Slack answered 429", retry_after_s(headers))
        if status in GONE_FOR_GOOD or status == 200:
            raise Permanent(f"Slack answered {status} {body[:80]}")
        raise NotTaken(f"Slack answered {status}")


def text_of(notices: Sequence[Notice], instance: str = "") -> str:
    """The message, in Slack's own markup."""
    paragraphs = ["\n".join(paragraph_of(each, instance)) for each in by_episode(notices).values()]
    return within(paragraphs, BUDGET, MORE)


def bulletin(title: str, lines: Sequence[str]) -> str:
    """What is no alert, in Slack's own markup."""
    return within([f"*{escaped(title)}*", *map(escaped, lines)], BUDGET, LEFT_OUT)


def paragraph_of(notice: Notice, instance: str = "") -> list[str]:
    """The lines about one alert of one daemon."""
    over = notice.transition is Transition.RESOLVED
    mark = ":white_check_mark:" if over else MARKS.get(notice.episode.severity, ":information_source:")
    lines = [
        f"{mark} *{escaped(headline(notice))}*",
        f"{escaped(since(notice, instance))} · `{escaped(visible(notice.episode.key))}`",
    ]
    if not over:
        lines += [_detail(name, text) for name, text in details_of(notice.episode)]
        lines.append(f"more: `{runbook(notice.episode)}`")
    return lines


def _detail(name: str, text: str) -> str:
    return f"do: `{escaped(text)}`" if name == "do" else f"{name}: {escaped(text)}"


def escaped(text: str) -> str:
    """Text that mentions nobody and links nowhere, whatever a listing calls itself."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "'")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long a receiver wants to be left alone, if it says so in seconds; at most an hour."""
    told = headers.get("retry-after", "")
    return min(LONGEST_REST_S, float(told)) if told.isascii() and told.isdigit() else None
