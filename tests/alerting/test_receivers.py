"""What is told of any alert fits each receiver, mentions nobody, and tells nothing that must stay here."""

import base64
import json
import re
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.alerting import webhook
from reconcilerd.alerting.alertmanager import Alertmanager
from reconcilerd.alerting.buttons import message_of as buttons_of
from reconcilerd.alerting.engine import NotTaken, Permanent, Receiver
from reconcilerd.alerting.heartbeat import Heartbeat
from reconcilerd.alerting.mail import Mail, Server, message_of
from reconcilerd.alerting.outbox import Notice, by_episode
from reconcilerd.alerting.pagerduty import PagerDuty, dedup_key
from reconcilerd.alerting.slack import BUDGET, Answer, Slack, text_of
from reconcilerd.alerting.webhook import Webhook
from reconcilerd.alerting.wording import TOLD, labelled
from reconcilerd.domain.alerts import SEVERITIES, Episode, alert_key
from reconcilerd.domain.facts import AlertStage, Transition
from reconcilerd.domain.names import Instant
from reconcilerd.errors import TryLater
from reconcilerd.simulator.virtual_time import run_virtual
from reconcilerd.transport.pool import tls_context
from tests.alerting.fakes import FakePagerDuty, FakeSlack
from tests.simulator.builders import START

SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()
texts = st.text(max_size=700) | st.sampled_from(
    ["<!channel> & co", "=HYPERLINK(1)", "a\r\nBcc: x@y.z", "`rm`", "\x1b[2J", "\u202egum\u2028"]
)
details = st.dictionaries(st.sampled_from([*sorted(TOLD), "buyer", "address"]), texts, max_size=5)
notices = st.builds(
    lambda subject, severity, summary, more, transition: Notice(
        transition,
        Episode(
            alert_key("bug", subject),
            3,
            AlertStage.RESOLVED if transition is Transition.RESOLVED else AlertStage.FIRING,
            severity,
            summary or "x",
            tuple(more.items()),
            START,
            Instant(START + 60_000),
            START,
        ),
        START,
    ),
    st.text(min_size=1, max_size=300),
    st.sampled_from(SEVERITIES),
    texts,
    details,
    st.sampled_from([Transition.FIRED, Transition.REPEATED, Transition.RESOLVED]),
)
messages = st.lists(notices, min_size=1, max_size=60)


def answering(
    *answers: Answer,
) -> tuple[list[tuple[object, Mapping[str, str]]], Callable[..., Awaitable[Answer]]]:
    """What was posted, and a way to post that answers so, the last one for ever."""
    sent: list[tuple[object, Mapping[str, str]]] = []
    left = list(answers)

    async def post(url: str, body: object, headers: Mapping[str, str]) -> Answer:
        del url
        sent.append((body, headers))
        return left.pop(0) if len(left) > 1 else left[0]

    return sent, post


@given(messages)
def test_slack_shows_any_message_and_mentions_nobody(told: list[Notice]) -> None:
    text = text_of(told)
    assert 0 < len(text) <= BUDGET
    assert "<" not in text
    assert ">" not in text
    assert not re.search(r"&(?!amp;|lt;|gt;)", text), "an escape that was cut"
    left = re.search(r"and (\d+) more: `reconcilerd alerts list`$", text)
    shown = len(re.findall(r"^\S+ \*\[", text, re.MULTILINE))
    assert shown >= len(by_episode(told)) - (int(left.group(1)) if left else 0)


@given(messages, st.sampled_from([(), ("shop-uk",)]))
def test_people_are_told_which_daemon_it_is(told: list[Notice], buttons: tuple[str, ...]) -> None:
    """Several tenants on a machine tell the same people, each of a shop-uk of its own."""
    first = told[:1]
    texts_ = [
        text_of(first, "tenant-7"),
        str(buttons_of(first, buttons, "tenant-7")["blocks"]),
        message_of(first, "a@b.c", ["d@e.f"], "tenant-7").get_content(),
        labelled(first[0].episode, "tenant-7")["labels"]["instance"],
    ]
    assert all("tenant-7" in each for each in texts_)
    assert "&lt;!here&gt;, since" in text_of(first, "<!here>")


@given(messages)
def test_nothing_in_a_message_acts_and_no_line_of_it_is_a_strangers(told: list[Notice]) -> None:
    mail = message_of(told, "a@b.c", ["d@e.f"])
    fake = FakePagerDuty(lambda: START)
    run_virtual(lambda: PagerDuty("https://events", ["k" * 32], "host-1", fake.post).tell(told))
    events = [each for _, body in fake.taken for each in _texts(body.get("payload", {}))]
    for text in (text_of(told), str(mail["Subject"]), mail.get_content(), *events):
        acting = [each for each in text if unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
        assert set(acting) <= {"\n"}
    known = r"\S+ \*\[|(since|do|evidence|names|reset_means|what|why|more)\b|and \d+ more: "
    assert not [line for line in text_of(told).splitlines() if not re.match(known, line)]
    assert [name for name, _ in mail.items()].count("Bcc") == 0


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [each for one in value.values() for each in _texts(one)]
    return [value] if isinstance(value, str) else []


@given(messages)
def test_pagerduty_takes_any_message(told: list[Notice]) -> None:
    fake = FakePagerDuty(lambda: START)
    run_virtual(lambda: PagerDuty("https://events", ["k" * 32], "host-1", fake.post).tell(told))
    assert len(fake.taken) == len(told)


@given(st.text(max_size=600), st.text(max_size=600))
def test_the_key_of_an_incident_is_as_long_as_may_be_and_each_alerts_own(one: str, other: str) -> None:
    keys = [dedup_key("host", alert_key("bug", subject)) for subject in (one, other)]
    assert all(len(key) <= 255 for key in keys)
    assert (keys[0] == keys[1]) is (one == other)


@given(messages)
def test_nothing_but_the_named_details_leaves_this_machine(told: list[Notice]) -> None:
    secret = "b8-never-told"
    hidden = [
        replace(each, episode=replace(each.episode, details=(*each.episode.details, ("buyer", secret))))
        for each in told
    ]
    sent, post = answering((202, "ok", {}), (200, "ok", {}))
    receivers: list[Receiver] = [
        PagerDuty("https://e", ["k" * 32], "me", post),
        Slack("https://s", post),
        Alertmanager("http://127.0.0.1:1", "me", post),
        Webhook("https://w", SECRET, "me", post, lambda: START),
    ]

    async def main() -> None:
        await receivers[0].tell(hidden[:1])
        for each in receivers[1:]:
            await each.tell(hidden)

    run_virtual(main)
    everything = "".join(str(body) for body, _ in sent) + message_of(hidden, "a@b.c", ["d@e.f"]).as_string()
    assert secret not in everything


@given(messages)
def test_a_signed_body_is_short_whole_json_and_its_signature_is_that_of_its_bytes(told: list[Notice]) -> None:
    sent, post = answering((204, "", {}))
    run_virtual(lambda: Webhook("https://w", SECRET, "me", post, lambda: START).tell(told))
    ((body, headers),) = sent
    assert isinstance(body, bytes)
    assert len(body) <= webhook.MOST_BYTES
    message = json.loads(body)
    assert message["truncatedAlerts"] + len(message["alerts"]) == len(told)
    expected = webhook.signature(b"s" * 24, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == expected


def test_the_signature_is_that_of_the_published_example() -> None:
    """From the reference implementation of Standard Webhooks."""
    key = webhook.key_of_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    told = webhook.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert told == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_*", base64.b64encode(b"s" * 24).decode()]
)
def test_a_weak_or_unreadable_signing_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r"secret|base64|padding|allowed|Excess"):
        webhook.key_of_secret(secret)


@given(messages)
def test_a_mail_has_the_headers_it_was_given_and_no_other(told: list[Notice]) -> None:
    mail = message_of(told, "a@b.c", ["d@e.f", "g@h.i"])
    assert sorted(mail.keys()) == sorted(
        ["Subject", "From", "To", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"]
    )
    assert "\n" not in mail["Subject"]


LATER, NEVER, TAKEN = NotTaken, Permanent, None


@pytest.mark.parametrize(
    ("answer", "outcomes"),
    [
        ((200, "ok", {}), {"slack": TAKEN, "webhook": TAKEN, "alertmanager": TAKEN, "pagerduty": LATER}),
        ((202, "{}", {}), {"slack": LATER, "webhook": TAKEN, "alertmanager": TAKEN, "pagerduty": TAKEN}),
        ((200, "no_text", {}), {"slack": NEVER}),
        ((400, "bad", {}), {"slack": NEVER, "webhook": NEVER, "alertmanager": NEVER, "pagerduty": NEVER}),
        ((410, "gone", {}), {"slack": NEVER, "webhook": NEVER, "alertmanager": NEVER, "pagerduty": NEVER}),
        (
            (429, "", {"retry-after": "9"}),
            {"slack": LATER, "webhook": LATER, "alertmanager": LATER, "pagerduty": LATER},
        ),
        ((503, "", {}), {"slack": LATER, "webhook": LATER, "alertmanager": LATER, "pagerduty": LATER}),
    ],
)
def test_what_an_answer_means(answer: Answer, outcomes: Mapping[str, type[Exception] | None]) -> None:
    notice = Notice(
        Transition.FIRED,
        Episode(alert_key("bug", "x"), 1, AlertStage.FIRING, "critical", "x", (), START, START, START),
        START,
    )
    for name, outcome in outcomes.items():
        _, post = answering(answer)
        receiver = {
            "slack": Slack("https://s", post),
            "webhook": Webhook("https://w", SECRET, "me", post, lambda: START),
            "alertmanager": Alertmanager("http://127.0.0.1:1", "me", post),
            "pagerduty": PagerDuty("https://e", ["k" * 32], "me", post),
        }[name]
        if outcome is None:
            run_virtual(lambda told=receiver: told.tell([notice]))
            continue
        with pytest.raises(outcome) as caught:
            run_virtual(lambda told=receiver: told.tell([notice]))
        if isinstance(caught.value, NotTaken) and name in {"slack", "webhook", "pagerduty"}:
            assert caught.value.after_s == (9.0 if "retry-after" in answer[2] else None)


def test_the_heart_beats_only_while_all_is_well_and_says_once_that_it_is_not() -> None:
    state, beats = {"why": "it starts"}, list[str]()

    async def post(url: str, body: object, headers: Mapping[str, str]) -> Answer:
        del body, headers
        if state["why"] == "unreachable":
            raise TryLater("no answer")
        beats.append(url.rpartition("/")[2])
        return 200, "OK", {}

    async def main() -> None:
        heart = Heartbeat("https://hc/uuid", post, lambda: state["why"].removesuffix("unreachable"), 60.0)
        async with anyio.create_task_group() as group:
            group.start_soon(heart.run)
            for why in ("it starts", "", "orders are old", "unreachable", ""):
                state["why"] = why
                await anyio.sleep(180)
            group.cancel_scope.cancel()

    run_virtual(main)
    assert beats == ["uuid"] * 3 + ["fail"] + ["uuid"] * 3


async def test_mail_is_handed_in_or_kept(anyio_backend_name: str) -> None:
    del anyio_backend_name
    heard: list[bytes] = []

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"220 here\r\n")
            data = False
            while True:
                try:
                    line = await stream.receive()
                except anyio.EndOfStream:
                    return
                heard.append(line)
                if data:
                    data = not line.endswith(b"\r\n.\r\n")
                    await stream.send(b"250 taken\r\n" if not data else b"")
                elif line.upper().startswith(b"DATA"):
                    data = True
                    await stream.send(b"354 go on\r\n")
                elif line.upper().startswith(b"EHLO"):
                    await stream.send(b"250-here\r\n250 8BITMIME\r\n")
                else:
                    await stream.send(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    notice = Notice(
        Transition.FIRED,
        Episode(
            alert_key("bug", "x"), 1, AlertStage.FIRING, "critical", "stock is gone", (), START, START, START
        ),
        START,
    )
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        plain = Server("127.0.0.1", port, tls=False)
        await Mail(plain, "a@b.c", ["d@e.f"], tls_context()).tell([notice])
        with pytest.raises(Permanent, match="no TLS"):
            await Mail(replace(plain, tls=True), "a@b.c", ["d@e.f"], tls_context()).tell([notice])
        group.cancel_scope.cancel()
    assert b"[CRITICAL] stock is gone" in b"".join(heard)
    with pytest.raises(NotTaken):
        await Mail(Server("127.0.0.1", port, tls=False), "a@b.c", ["d@e.f"], tls_context()).tell([notice])


def test_slack_is_not_asked_for_more_than_it_shows() -> None:
    fake = FakeSlack(lambda: START)
    many: Sequence[Notice] = [
        Notice(
            Transition.FIRED,
            Episode(
                alert_key("bug", f"{n}" * 90),
                1,
                AlertStage.FIRING,
                "error",
                "&" * 400,
                (),
                START,
                START,
                START,
            ),
            START,
        )
        for n in range(99)
    ]
    run_virtual(lambda: Slack("https://s", fake.post).tell(many))
    assert len(fake.taken) == 1
