"""What Slack says of a press: who, where, which button, when. Pure; trusts nothing of what it reads."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from reconcilerd.alerting.buttons import Button, pressed
from reconcilerd.domain.names import Instant

_ID: Final = re.compile(r"[A-Z][A-Z0-9]{2,24}")
_STAMP: Final = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Press:
    """One press of a button of ours. ``message``: the one it stands under; ``thread``: whose answers are below it."""

    user: str
    team: str
    home: str
    """The workspace that the user is of: channels may be shared with strangers."""
    app: str
    channel: str
    message: str
    thread: str
    button: Button
    at: Instant
    stamp: str

    @property
    def identity(self) -> tuple[str, ...]:
        """The same for the same press, however often and under whatever envelope it comes."""
        return self.user, self.channel, self.message, self.button.value, self.stamp


def press_of(payload: Mapping[str, Any]) -> Press:
    """Raises ValueError for whatever is no press of one button of ours."""
    if payload.get("type") != "block_actions":
        raise ValueError("no press of a button")
    actions = payload.get("actions")
    if not isinstance(actions, list) or len(actions) != 1 or not isinstance(actions[0], dict):
        raise ValueError("not one button")
    action = actions[0]
    if action.get("type") != "button":
        raise ValueError("no button")
    user, team = _table(payload, "user"), _table(payload, "team")
    message = _table(payload, "message")
    written = _stamp(message.get("ts"))
    stamp = _stamp(action.get("action_ts"))
    return Press(
        user=_id(user.get("id")),
        team=_id(team.get("id")),
        home=_id(user.get("team_id", team.get("id"))),
        app=_id(payload.get("api_app_id")),
        channel=_id(_table(payload, "channel").get("id")),
        message=written,
        thread=_stamp(message.get("thread_ts", written)),
        button=pressed(action.get("value")),
        at=_instant(stamp),
        stamp=stamp,
    )


def _table(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = payload.get(name)
    if not isinstance(found, dict):
        raise ValueError(f"{name} is no table")
    return found


def _id(value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("no id of Slack's")
    return value


def _stamp(value: object) -> str:
    if not isinstance(value, str) or not _STAMP.fullmatch(value):
        raise ValueError("no stamp of Slack's")
    return value


def _instant(stamp: str) -> Instant:
    try:
        return Instant(int(Decimal(stamp) * 1000))
    except InvalidOperation:
        raise ValueError("no stamp of Slack's") from None
