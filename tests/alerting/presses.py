"""A press of a button as Slack tells of it, with all that it says beside what is needed."""

from typing import Any

from reconcilerd.alerting.buttons import Button
from reconcilerd.domain.names import Instant
from tests.alerting.socket_mode import APP

TEAM = "T0TEAM00"
CHANNEL = "C0123ABCD"
ANN, BOB, EVE = "U0ANN0000", "U0BOB0000", "U0EVE0000"


def payload(
    button: Button, at: Instant, user: str = ANN, message: str = "1700000000.000100", thread: str = ""
) -> dict[str, Any]:
    return {
        "type": "block_actions",
        "user": {"id": user, "username": "someone", "name": "someone", "team_id": TEAM},
        "api_app_id": APP,
        "token": "verification-swordfish",
        "container": {"type": "message", "message_ts": message, "channel_id": CHANNEL, "is_ephemeral": False},
        "trigger_id": "1.2.3",
        "team": {"id": TEAM, "domain": "example"},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": CHANNEL, "name": "stock"},
        "message": {
            "bot_id": "B0BOT0000", "type": "message", "text": "...", "user": "U0BOT0000", "ts": message, "team": TEAM,
            **({"thread_ts": thread} if thread else {}),
        },
        "state": {"values": {}},
        "response_url": "https://hooks.slack.com/actions/swordfish",
        "actions": [
            {
                "action_id": f"{button.do}-0",
                "block_id": "a1",
                "text": {"type": "plain_text", "text": "x", "emoji": True},
                "value": button.value,
                "type": "button",
                "action_ts": f"{at // 1000}.{at % 1000:03}000",
            }
        ],
    }  # fmt: skip
