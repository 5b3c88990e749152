"""The buttons under a message of the Slack bot, and what a press of one says. Pure; whoever pressed is looked at later.

A button names what it is about, never what to do beyond that: what it would change is worked out anew when it is
pressed. Those with an ellipsis change nothing, they ask; what they show has a button of its own.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from reconcilerd.alerting.outbox import Notice
from reconcilerd.alerting.slack import BUDGET, escaped, paragraph_of
from reconcilerd.alerting.wording import cut, headline, within
from reconcilerd.domain.alerts import Episode, system_of
from reconcilerd.domain.facts import Transition
from reconcilerd.domain.visible import visible

SECTION = 2_900
"""Slack takes three thousand characters in one section, and fifty blocks."""
MOST_WITH_BUTTONS = 8
"""Alerts of one message that have any; the others by command."""
BLOCKS = 46
FALLBACK = 1_000
LABEL = 75
VALUE = 1_900
MORE = "and {count} more: `reconcilerd alerts list`"
CUT = "(and {count} more lines: `reconcilerd alerts show`)"
SILENCE_S = 7_200
ALL = "all"
"""In place of a channel: every one of them."""


class Do(StrEnum):
    """What a press asks for."""

    LOOK_APPROVE = "look_approve"
    APPROVE = "approve"
    FREEZE = "freeze"
    LOOK_UNFREEZE = "look_unfreeze"
    UNFREEZE = "unfreeze"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class Button:
    """``key``, ``episode``: the alert; ``channel``: whose writes, or all; ``mark``: as what it was shown."""

    do: Do
    key: str
    episode: int
    channel: str = ""
    mark: str = ""

    @property
    def value(self) -> str:
        """What Slack keeps for us and gives back with a press."""
        return json.dumps([self.do, self.key, self.episode, self.channel, self.mark], ensure_ascii=False)


def pressed(value: object) -> Button:
    """The button that has this value. Raises ValueError for what no button of ours has."""
    if not isinstance(value, str) or len(value) > VALUE:
        raise ValueError("no text of a button")
    try:
        said = json.loads(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    match said:
        case [str(do), str(key), int(episode), str(channel), str(mark)] if not isinstance(episode, bool):
            return Button(Do(do), key, episode, channel, mark)
    raise ValueError("no button of ours")


def buttons_for(notice: Notice, channels: Collection[str]) -> list[Button]:
    """What may be done about an alert at once. None where it is over, or only somebody's test."""
    episode = notice.episode
    if notice.transition is Transition.RESOLVED or episode.kind == "test":
        return []
    found = [*_about_writes(episode, channels), Button(Do.SILENCE, episode.key, episode.number)]
    return [each for each in found if len(each.value) <= VALUE]


def _about_writes(episode: Episode, channels: Collection[str]) -> Iterable[Button]:
    of = episode.subject if episode.subject == ALL else system_of(episode.subject)
    known = of in channels
    if episode.kind == "paused_too_long":
        if known or of == ALL:
            yield Button(Do.LOOK_UNFREEZE, episode.key, episode.number, of)
        return
    if episode.kind == "held_plan" and known:
        yield Button(Do.LOOK_APPROVE, episode.key, episode.number, of)
    if known or episode.severity == "critical":
        yield Button(Do.FREEZE, episode.key, episode.number, of if known else ALL)


def label_of(button: Button) -> str:
    """What stands on it."""
    where = visible(button.channel)
    match button.do:
        case Do.LOOK_APPROVE:
            text = f"Approve for {where} ..."
        case Do.APPROVE:
            text = "Approve these"
        case Do.FREEZE:
            text = f"Freeze {where}"
        case Do.LOOK_UNFREEZE:
            text = f"Unfreeze {where} ..."
        case Do.UNFREEZE:
            text = f"Allow writes to {where}"
        case Do.SILENCE:
            text = f"Silence for {SILENCE_S // 3600} h"
        case _:
            assert_never(button.do)
    return cut(text, LABEL)


def row_of(buttons: Sequence[Button]) -> dict[str, object]:
    """Buttons beside one another."""
    return {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                # Within a row each needs a name of its own.
                "action_id": f"{each.do}-{number}",
                "text": {"type": "plain_text", "text": label_of(each)},
                "value": each.value,
                **({"style": "danger"} if each.do in {Do.FREEZE, Do.APPROVE, Do.UNFREEZE} else {}),
            }
            for number, each in enumerate(buttons)
        ],
    }


def section_of(text: str) -> dict[str, object]:
    """A paragraph in Slack's markup."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def sections_of(text: str) -> list[dict[str, object]]:
    """Lines as they are, in as many paragraphs as Slack takes them in."""
    parts = [""]
    for line in text.split("\n"):
        joined = f"{parts[-1]}\n{line}" if parts[-1] else line
        if len(joined) <= SECTION:
            parts[-1] = joined
        else:
            parts.append(cut(line, SECTION))
    return [section_of(each) for each in parts if each]


def message_of(
    notices: Sequence[Notice], channels: Collection[str], instance: str = ""
) -> Mapping[str, object]:
    """``blocks`` with buttons, and ``text`` for where blocks are not shown."""
    blocks: list[dict[str, object]] = []
    room, rows = BUDGET - len(MORE) - FALLBACK, 0
    for number, each in enumerate(notices):
        text = within(paragraph_of(each, instance), SECTION, CUT)
        room -= len(text)
        if room < 0 or len(blocks) > BLOCKS:
            blocks.append(section_of(MORE.format(count=len(notices) - number)))
            break
        blocks.append(section_of(text))
        buttons = buttons_for(each, channels) if rows < MOST_WITH_BUTTONS else []
        if buttons:
            blocks.append(row_of(buttons))
            rows += 1
    return {"text": fallback_of(notices), "blocks": blocks}


def fallback_of(notices: Sequence[Notice]) -> str:
    """What a notification shows."""
    return within([escaped(headline(each)) for each in notices], FALLBACK, MORE)
