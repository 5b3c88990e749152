"""What is no alert reaches everybody who takes it, though one of them is away, and acts nowhere."""

import json
from collections.abc import Mapping

import anyio
import pytest

from reconcilerd.alerting.bulletin import LONGEST_RETRY_S, Published, publish
from reconcilerd.alerting.engine import Receiver
from reconcilerd.alerting.mail import Mail, Server
from reconcilerd.alerting.pagerduty import PagerDuty
from reconcilerd.alerting.slack import BUDGET, Answer, Slack
from reconcilerd.alerting.webhook import MOST_BYTES, Webhook, key_of_secret, signature
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.pool import tls_context
from reconcilerd.trial.stage import START
from tests.alerting.fakes import FakeSlack, Trouble
from tests.alerting.test_engine import KEY
from tests.alerting.test_slack_bot import FakeApi

SECRET = "whsec_" + "czczczczczczczczczczczczczczczcz"
TITLE, LINES = "Digest of me", ["Drifts: 3 found", "  <!channel> `rm` & co"]


class Hook:
    """A signed webhook that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, Mapping[str, str]]] = []
        self.says: list[Answer] = []

    async def post(self, url: str, body: object, headers: Mapping[str, str]) -> Answer:
        assert isinstance(body, bytes)
        self.heard.append((body, headers))
        return self.says.pop(0) if self.says else (200, "", {})


def test_each_that_is_named_gets_it_and_nobody_is_paged() -> None:
    clock, api, hook = VirtualClock(START), FakeApi(), Hook()
    receivers: list[Receiver] = [
        api.bot(),
        PagerDuty("https://events.example", (KEY,), "me", hook.post),
        Webhook("https://hook.example", SECRET, "me", hook.post, clock),
    ]
    told = run_virtual(lambda: publish(receivers, {"slack", "webhook", "pagerduty", "mail"}, TITLE, LINES))
    assert told == [Published("slack", True, "accepted"), Published("webhook", True, "accepted")]
    [text] = api.shown.values()
    assert text == "*Digest of me*\nDrifts: 3 found\n  &lt;!channel&gt; 'rm' &amp; co"
    [(body, headers)] = hook.heard
    assert json.loads(body) == {"type": "digest", "instance": "me", "title": TITLE, "lines": LINES}
    key = key_of_secret(SECRET)
    assert headers["webhook-signature"] == signature(key, headers["webhook-id"], START // 1000, body)
    assert run_virtual(lambda: publish(receivers, (), TITLE, LINES)) == []


def test_one_that_is_away_is_tried_again_and_holds_up_no_other() -> None:
    clock, hook = VirtualClock(START), Hook()
    slack = FakeSlack(clock, Trouble.THROTTLED)
    receivers: list[Receiver] = [
        Slack("https://hooks.example", slack.post),
        Webhook("https://hook.example", SECRET, "me", hook.post, clock),
    ]
    told: list[Published] = []

    async def main() -> None:
        async with anyio.create_task_group() as group:

            async def mend() -> None:
                await anyio.sleep(3)
                assert len(hook.heard) == 1
                slack.trouble = Trouble.NONE

            group.start_soon(mend)
            told.extend(await publish(receivers, {"slack", "webhook"}, TITLE, LINES))

    run_virtual(main)
    assert [each.accepted for each in told] == [True, True]
    assert len(slack.taken) == 1


@pytest.mark.parametrize(
    ("trouble", "reply"), [(Trouble.DOWN, "no answer"), (Trouble.BROKEN, "Slack answered 500")]
)
def test_one_that_stays_away_is_told_of_in_the_end(trouble: Trouble, reply: str) -> None:
    clock = VirtualClock(START)
    slack = Slack("https://hooks.example", FakeSlack(clock, trouble).post)
    told = run_virtual(lambda: publish([slack], {"slack"}, TITLE, LINES))
    assert told == [Published("slack", False, reply)]


def test_what_will_never_be_taken_is_not_tried_again_and_patience_has_an_end() -> None:
    clock, hook = VirtualClock(START), Hook()
    receiver = Webhook("https://hook.example", SECRET, "me", hook.post, clock)
    hook.says = [(410, "gone", {})]
    [told] = run_virtual(lambda: publish([receiver], {"webhook"}, TITLE, LINES))
    assert (told.accepted, len(hook.heard)) == (False, 1)
    hook.says = [(503, "", {"retry-after": "86400"})] * 3

    async def main() -> tuple[list[Published], float]:
        began = anyio.current_time()
        return await publish([receiver], {"webhook"}, TITLE, LINES), anyio.current_time() - began

    told_late, took = run_virtual(main)
    assert (told_late[0].accepted, took <= 2 * LONGEST_RETRY_S + 1) == (False, True)


def test_a_long_one_is_cut_to_what_each_may_be_sent() -> None:
    clock, hook, slack = VirtualClock(START), Hook(), FakeSlack(VirtualClock(START))
    many = [f"{number} {'x' * 390}" for number in range(500)]
    receivers: list[Receiver] = [
        Slack("https://hooks.example", slack.post),
        Webhook("https://hook.example", SECRET, "me", hook.post, clock),
    ]
    told = run_virtual(lambda: publish(receivers, {"slack", "webhook"}, TITLE, many))
    assert all(each.accepted for each in told)
    [(_, text)] = slack.taken
    assert len(text) <= BUDGET
    assert text.endswith("more lines: `reconcilerd digest`")
    assert len(hook.heard[0][0]) <= MOST_BYTES


def test_mail_has_it_as_plain_text_with_a_title_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    mail = Mail(Server("127.0.0.1", 1, tls=False), "a@b.c", ["d@e.f"], tls_context())
    heard: list[str] = []
    monkeypatch.setattr(mail, "_hand_in", lambda message: heard.append(message.as_string()))
    anyio.run(mail.publish, "Digest\nBcc: x@y.z", LINES)
    [text] = heard
    assert "Subject: Digest\\nBcc: x@y.z" in text
    assert "\nBcc:" not in text
    assert "Drifts: 3 found" in text
