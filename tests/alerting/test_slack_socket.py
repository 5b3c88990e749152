"""Socket Mode: each press is handed on once, whatever becomes of connections, and only the buttons wait for it."""

import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from reconcilerd.alerting import slack_socket
from reconcilerd.alerting.slack import Answer
from reconcilerd.alerting.slack_socket import HEARD, Heard, SocketMode, Waiting
from reconcilerd.config.secret import Secret
from reconcilerd.errors import LedgerFault, TryLater
from reconcilerd.simulator.virtual_time import run_virtual
from reconcilerd.transport import websocket
from reconcilerd.transport.websocket import MOST_BYTES, dialler
from tests.alerting.socket_mode import APP, TOKEN, FakeSocketMode, said, until

FASTER = {"FIRST_S": 0.01, "CAP_S": 0.05, "REFUSED_S": 0.05, "HELLO_S": 30.0}


@dataclass
class Ears:
    """A SocketMode that runs, and what it handed on."""

    slack: FakeSocketMode
    mode: SocketMode
    counts: Counter[Heard]
    taken: list[Any] = field(default_factory=list)
    apps: set[str] = field(default_factory=set)

    async def hears(self) -> None:
        await until(lambda: self.slack.open and not self.mode.trouble)


@asynccontextmanager
async def listening(slack: FakeSocketMode, token: str = TOKEN) -> AsyncIterator[Ears]:
    counts = Counter[Heard]()

    async def take(payload: Mapping[str, Any], app: str) -> None:
        ears.taken.append(payload.get("n"))
        ears.apps.add(app)
        if payload.get("breaks"):
            raise RuntimeError("a bug")

    mode = SocketMode(
        "https://slack.example/api", Secret(token), slack.post, dialler(()), take, counts, Random(1)
    )
    ears = Ears(slack, mode, counts)
    async with slack.serving(), anyio.create_task_group() as group:
        group.start_soon(mode.stay)
        group.start_soon(mode.work)
        yield ears
        group.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def _faster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FASTER.items():
        monkeypatch.setattr(slack_socket, name, value)


async def test_a_press_is_acknowledged_and_handed_on_with_the_app_it_is_for() -> None:
    slack = FakeSocketMode()
    async with listening(slack) as ears:
        await ears.hears()
        id_ = await slack.push({"n": 1})
        await until(lambda: ears.taken == [1])
        await until(lambda: slack.acknowledged[id_] == 1)
    assert (ears.apps, slack.unacknowledged) == ({APP}, {})


async def test_it_is_acknowledged_before_it_is_dealt_with() -> None:
    """Slack gives three seconds; a ledger on a busy disk may take longer."""
    slack, go_on = FakeSocketMode(), anyio.Event()
    async with listening(slack) as ears:

        async def take(payload: Mapping[str, Any], app: str) -> None:
            await go_on.wait()
            ears.taken.append(payload["n"])

        ears.mode._take = take
        await ears.hears()
        ids = [await slack.push({"n": n}) for n in range(3)]
        await until(lambda: all(slack.acknowledged[each] for each in ids))
        assert ears.taken == []
        go_on.set()
        await until(lambda: ears.taken == [0, 1, 2])


async def test_presses_that_wait_are_dealt_with_by_whoever_takes_the_place_of_who_heard_them() -> None:
    """As after a reload: they were acknowledged, and Slack sends them never again."""
    slack, waiting, taken = FakeSocketMode(), Waiting(), list[Any]()

    async def hangs(payload: Mapping[str, Any], app: str) -> None:
        taken.append(payload["n"])
        await anyio.sleep_forever()

    async def takes(payload: Mapping[str, Any], app: str) -> None:
        taken.append(payload["n"])

    async with slack.serving():
        for take, presses in ((hangs, [0, 1, 2]), (takes, [3])):
            mode = SocketMode(
                "https://s/api", Secret(TOKEN), slack.post, dialler(()), take, Counter(), Random(1), waiting
            )
            async with anyio.create_task_group() as group:
                group.start_soon(mode.stay)
                group.start_soon(mode.work)
                await until(lambda mode=mode: slack.open and not mode.trouble)
                ids = [await slack.push({"n": each}) for each in presses]
                await until(lambda ids=ids: all(slack.acknowledged[each] for each in ids))
                done = (1, 2) if take is hangs else (4, 0)
                await until(lambda done=done: (len(taken), len(waiting)) == done)
                group.cancel_scope.cancel()
    assert taken == [0, 1, 2, 3]


async def test_an_envelope_that_comes_again_is_acknowledged_again_and_does_nothing() -> None:
    slack = FakeSocketMode()
    async with listening(slack) as ears:
        await ears.hears()
        id_ = await slack.push({"n": 1})
        await until(lambda: slack.acknowledged[id_] == 1)
        await slack.again(json.dumps({"envelope_id": id_, "type": "interactive", "payload": {"n": 1}}))
        await until(lambda: slack.acknowledged[id_] == 2)
        await slack.push({"n": 2})
        await until(lambda: 2 in ears.taken)
    assert ears.taken == [1, 2]
    assert ears.counts["repeated"] == 1


steps = st.lists(
    st.sampled_from(["press", "hang up", "goodbye", "drop", "away", "full", "refused"]), max_size=12
)


@settings(max_examples=15)
@given(steps)
def test_whatever_becomes_of_connections_each_press_is_handed_on_once_and_none_is_lost(
    script: list[str],
) -> None:
    async def main() -> None:
        slack, presses = FakeSocketMode(), 0
        async with listening(slack) as ears:
            await ears.hears()
            for step in script:
                match step:
                    case "press":
                        presses += 1
                        await slack.push({"n": presses})
                    case "hang up":
                        await slack.hang_up()
                    case "goodbye":
                        await slack.disconnect("refresh_requested")
                    case "drop":
                        slack.drops += 1
                    case "away":
                        slack.answers.append((503, "", {}))
                    case "full":
                        slack.answers.append(said(ok=False, error="ratelimited"))
                    case _:
                        slack.answers.append(said(ok=False, error="invalid_auth"))
            slack.drops = 0
            await until(lambda: len(ears.taken) >= presses)
            await until(lambda: not slack.unacknowledged)
            # A last one shows that it still hears, and that nothing came twice before it.
            await until(lambda: slack.open)
            await slack.push({"n": "last"})
            await until(lambda: "last" in ears.taken)
            assert sorted(ears.taken[:-1]) == list(range(1, presses + 1))
            assert slack.strangers == 0, "no ticket is used twice"

    anyio.run(main)


async def test_the_next_connection_is_there_before_the_old_one_goes() -> None:
    slack = FakeSocketMode()
    async with listening(slack) as ears:
        await ears.hears()
        old = slack.open[0]
        await slack.disconnect("warning")
        await until(lambda: len(slack.open) == 2)
        raw = {"type": "interactive", "payload": {"n": "old"}, "envelope_id": "late"}
        await old.send(json.dumps(raw))
        await slack.push({"n": "new"})
        await until(lambda: set(ears.taken) == {"old", "new"})
        await old.close()
        await until(lambda: slack.open and old not in slack.open)
        assert ears.mode.trouble == ""
    assert (ears.counts["renewed"], ears.counts["lost"]) == (1, 0)


async def test_goodbyes_without_end_do_not_make_connections_without_end() -> None:
    slack = FakeSocketMode()
    async with listening(slack) as ears:
        await ears.hears()
        for _ in range(8):
            await slack.disconnect("warning")
            await anyio.sleep(0.05)
            assert len(slack.open) <= slack_socket.MOST_AT_ONCE


@pytest.mark.parametrize(
    "error", ["invalid_auth", "token_revoked", "not_allowed_token_type", "missing_scope", "new"]
)
async def test_a_token_that_is_refused_is_told_and_asked_for_again_until_it_is_good(
    error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    slack = FakeSocketMode(answers=[said(ok=False, error=error)] * 3)
    async with listening(slack) as ears:
        await until(lambda: error in ears.mode.trouble)
        await ears.hears()
        await slack.push({"n": 1})
        await until(lambda: ears.taken == [1])
    assert ears.counts["refused"] == 3
    out = capsys.readouterr().out
    assert out.count("slack_buttons_not_heard") == 1, "said once, not each time"
    assert "swordfish" not in out


async def test_buttons_that_nobody_hears_are_told_of_although_slack_had_said_goodbye(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slack_socket, "REFUSED_S", 600.0)
    slack = FakeSocketMode()
    async with listening(slack) as ears:
        await ears.hears()
        slack.answers = [said(ok=False, error="invalid_auth")]
        await slack.disconnect("warning")
        await until(lambda: ears.counts["refused"] == 1)
        assert ears.mode.trouble == "", "the old connection hears still"
        await slack.hang_up()
        await until(lambda: bool(ears.mode.trouble))


def test_slack_is_left_alone_for_as_long_as_it_asks() -> None:
    asked: list[float] = []

    async def post(url: str, body: object, headers: Mapping[str, str]) -> Answer:
        asked.append(anyio.current_time())
        return 429, "", {"retry-after": "300"}

    async def main() -> None:
        mode = SocketMode("https://s", Secret(TOKEN), post, dialler(()), never, Counter(), Random(1))
        with anyio.move_on_after(3_000):
            await mode.stay()

    async def never(payload: Mapping[str, Any], app: str) -> None:
        raise AssertionError("nothing was pressed")

    run_virtual(main)
    assert [later - earlier >= 300 for earlier, later in pairwise(asked)] == [True] * 9


async def test_a_redirect_is_not_followed_not_even_to_the_same_host() -> None:
    paths: list[str] = []

    async def hear(connection: ServerConnection) -> None:
        await connection.wait_closed()

    def turn_away(connection: ServerConnection, request: Request) -> Response | None:
        paths.append(request.path)
        elsewhere = Response(302, "Found", Headers({"Location": "/elsewhere", "Content-Length": "0"}))
        return elsewhere if len(paths) == 1 else None

    async with serve(hear, "127.0.0.1", 0, process_request=turn_away, close_timeout=0.2) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TryLater):
            async with dialler(())(f"ws://127.0.0.1:{port}/link"):
                raise AssertionError("connected")
    assert paths == ["/link"]


async def test_a_token_that_was_replaced_ends_the_buttons_and_says_so() -> None:
    slack = FakeSocketMode()
    async with listening(slack) as ears:
        await ears.hears()
        slack.token = "xapp-another"
        await slack.hang_up()
        await until(lambda: "invalid_auth" in ears.mode.trouble)
        assert "alerts.slack_app_token" in ears.mode.trouble


async def test_socket_mode_that_is_switched_off_is_a_persons_matter() -> None:
    slack = FakeSocketMode()
    async with listening(slack) as ears:
        await ears.hears()
        slack.answers = [said(ok=False, error="socket_mode_disabled")] * 2
        await slack.disconnect("link_disabled")
        await until(lambda: ears.counts["refused"] >= 1)
        await ears.hears()


async def test_a_slack_that_is_away_or_says_nothing_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_socket, "HELLO_S", 0.05)
    slack = FakeSocketMode(away=True)
    async with listening(slack) as ears:
        await until(lambda: ears.counts["lost"] >= 2)
        assert "no answer" in ears.mode.trouble
        slack.away, slack.says_hello = False, False
        await until(lambda: "says nothing" in ears.mode.trouble)
        monkeypatch.setattr(slack_socket, "HELLO_S", 30.0)
        slack.says_hello = True
        await ears.hears()


@pytest.mark.parametrize(
    "url", ["", "http://127.0.0.1/", "ws://slack.example/", "wss://u:p@h/", "wss://[", "wss://10.0.0.1/"]
)
async def test_an_address_that_is_none_of_slacks_is_not_connected_to(url: str) -> None:
    with pytest.raises(TryLater):
        async with dialler(())(url):
            raise AssertionError("connected")


HOSTILE: list[str | bytes] = [
    "", "null", "[]", "5", '"x"', "{}", "{", "\x00", b"{}", b"\xff\xfe", "[" * 5_000, '{"type": 5}', '{"type": []}',
    '{"envelope_id": 5, "type": "interactive", "payload": {}}', '{"envelope_id": ""}', '{"envelope_id": null}',
    json.dumps({"envelope_id": "x" * 1_000, "type": "interactive", "payload": {"n": "long"}}),
    '{"envelope_id": "a", "type": "interactive", "payload": []}',
    '{"envelope_id": "b", "type": "interactive"}',
    '{"envelope_id": "c", "type": "events_api", "payload": {"n": "event"}}',
    '{"envelope_id": "d", "type": {"a": 1}, "payload": {"n": "type"}}',
    '{"type": "hello", "connection_info": 5}',
]  # fmt: skip


async def test_what_nobody_should_send_does_nothing_and_the_next_press_is_heard() -> None:
    slack = FakeSocketMode()
    async with listening(slack) as ears:
        await ears.hears()
        for raw in HOSTILE:
            await slack.again(raw)
        await slack.push({"n": 1})
        await until(lambda: ears.taken)
        assert ears.taken == [1]
        assert slack.ever == 1
        assert ears.counts["malformed"] >= len(HOSTILE) - 5


async def test_a_message_without_end_ends_the_connection_and_not_the_buttons() -> None:
    slack = FakeSocketMode()
    async with listening(slack) as ears:
        await ears.hears()
        await slack.again("x" * (MOST_BYTES + 1))
        await until(lambda: slack.ever == 2)
        await ears.hears()
        await slack.push({"n": 1})
        await until(lambda: ears.taken == [1])


async def test_a_bug_in_dealing_with_one_press_leaves_the_next_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slack = FakeSocketMode()
    async with listening(slack) as ears:
        await ears.hears()
        monkeypatch.setattr(slack_socket.log, "exception", lambda *_, **__: None)
        await slack.push({"n": 1, "breaks": True})
        await slack.push({"n": 2})
        await until(lambda: ears.taken == [1, 2])
    assert ears.counts["broke"] == 1


async def test_a_ledger_that_fails_is_not_swallowed() -> None:
    async def take(payload: Mapping[str, Any], app: str) -> None:
        raise LedgerFault("the disk is full")

    mode = SocketMode(
        "https://slack.example/api", Secret(TOKEN), FakeSocketMode().post, dialler(()), take, Counter()
    )
    mode._waiting.append({})
    with pytest.raises(LedgerFault):
        await mode.work()


async def test_more_presses_than_can_wait_are_let_go_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    slack, go_on = FakeSocketMode(), anyio.Event()
    async with listening(slack) as ears:

        async def take(payload: Mapping[str, Any], app: str) -> None:
            await go_on.wait()
            ears.taken.append(payload["n"])

        ears.mode._take = take
        await ears.hears()
        many = slack_socket.MOST_WAITING + 5
        for n in range(many):
            await slack.push({"n": n})
        await until(lambda: not slack.unacknowledged)
        go_on.set()
        await until(lambda: len(ears.taken) + ears.counts["dropped"] == many)
        assert 0 < ears.counts["dropped"] <= 5


async def test_neither_ticket_nor_token_nor_press_is_logged_even_at_debug(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    caplog.set_level(logging.DEBUG)
    for name in ("websockets", "websockets.client"):
        caplog.set_level(logging.DEBUG, logger=name)
    slack = FakeSocketMode()
    async with listening(slack) as ears:
        await ears.hears()
        await slack.push({"n": 1, "response_url": "https://hooks.example/swordfish"})
        await until(lambda: ears.taken == [1])
        await slack.hang_up()
        await until(lambda: slack.ever == 2)
    ours = [each.getMessage() for each in caplog.records if each.name != "websockets.server"]
    heard = " ".join(ours) + capsys.readouterr().out
    assert "slack_buttons_heard" in heard
    assert "swordfish" not in heard
    assert "ticket-canary" not in heard
    assert websocket._SILENT.handlers == []


def test_everything_that_is_counted_is_shown() -> None:
    assert set(HEARD) == set(Heard.__args__)  # type: ignore[attr-defined]
