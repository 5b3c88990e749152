"""What a person asks of alerts: what is open, silences with an end, and whether a receiver would hear."""

import json
import textwrap
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.alerting.engine import Engine, Receiver
from reconcilerd.alerting.pagerduty import PagerDuty
from reconcilerd.alerting.slack import Answer, Post, Slack
from reconcilerd.cli import alert_text
from reconcilerd.daemon.alarms import MAX_SILENCE_MS, Alarms
from reconcilerd.domain.facts import Fact
from reconcilerd.domain.names import Instant
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.trial.stage import START
from tests.alerting.fakes import FakePagerDuty, FakeSlack, Trouble
from tests.alerting.test_engine import KEY, Kept

WEEK_S = MAX_SILENCE_MS / 1000


class Past:
    """A ledger that holds nothing of the past."""

    latest_seq = 0

    def hash_of(self, seq: int) -> bytes | None:
        return None

    def entry_naming(self, id_: str) -> None:
        return None

    def history(self, kind: str, about: str, limit: int) -> list[tuple[int, Instant, Fact]]:
        return []


class Desk:
    """Alarms over an engine that runs, with receivers that fail as they are told."""

    def __init__(self, names: Sequence[str] = ("slack", "pagerduty"), *, running: bool = True) -> None:
        self.clock, self.kept, self.names = VirtualClock(START), Kept(), names
        self.slack, self.pagerduty = FakeSlack(self.clock), FakePagerDuty(self.clock)
        self.engine = Engine(self.make(self.post), self.kept.journal, self.clock)
        self.alarms = Alarms(self.engine, self.clock, Past(), self.make, self.post, running=running)

    async def post(self, url: str, body: object, headers: Mapping[str, str]) -> Answer:
        fake = self.slack if "hooks" in url else self.pagerduty
        return await fake.post(url, body, headers)

    def make(self, post: Post) -> list[Receiver]:
        made: dict[str, Receiver] = {
            "slack": Slack("https://hooks.example", post),
            "pagerduty": PagerDuty("https://events.example", (KEY,), "me", post),
        }
        return [made[name] for name in self.names]

    async def ask(self, op: str, **more: Any) -> Any:
        return await self.alarms.requests()[op](more, "uid 7")

    async def raises(self, kind: str = "bug", subject: str = "shop-uk", severity: str = "critical") -> None:
        await self.engine.raise_(kind, subject, severity, f"{kind} of {subject}", {"do": "look"})


def play(scene: Callable[[Desk], Awaitable[None]], desk: Desk | None = None) -> Desk:
    found = desk or Desk()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(found.engine.run)
            await scene(found)
            group.cancel_scope.cancel()

    run_virtual(main)
    return found


def test_a_test_reaches_every_receiver_with_its_end_and_leaves_nothing_open() -> None:
    async def scene(desk: Desk) -> None:
        told = await desk.ask("alert_test")
        assert told["exit_code"] == 0
        steps = {
            each["receiver"]: [(s["what"], s["accepted"], s["status"]) for s in each["steps"]]
            for each in told["receivers"]
        }
        assert steps == {
            "slack": [("trigger", True, 200), ("resolve", True, 200)],
            "pagerduty": [("trigger", True, 202), ("resolve", True, 202)],
        }

    desk = play(scene)
    assert desk.pagerduty.open == {}
    assert desk.pagerduty.opened == ["reconcilerd/me/test/pagerduty"]
    assert all("[TEST]" in text for _, text in desk.slack.taken)


def test_a_test_that_is_left_open_is_closed_by_the_next() -> None:
    async def scene(desk: Desk) -> None:
        await desk.ask("alert_test", receiver="pagerduty", severity="critical", resolve=False)
        assert list(desk.pagerduty.open) == ["reconcilerd/me/test/pagerduty"]
        assert desk.pagerduty.taken[0][1]["payload"]["severity"] == "critical"
        assert desk.slack.taken == []
        await desk.ask("alert_test", receiver="pagerduty")

    assert play(scene).pagerduty.open == {}


@pytest.mark.parametrize(
    ("trouble", "status", "latency_ms", "reply"),
    [
        (Trouble.DOWN, None, 0, "no answer"),
        (Trouble.THROTTLED, 429, 0, "Slack answered 429"),
        (Trouble.BROKEN, 500, 0, "Slack answered 500"),
        (Trouble.HANGS, None, 15_000, "no answer in time"),
    ],
)
def test_a_test_says_how_a_receiver_failed_and_how_long_that_took(
    trouble: Trouble, status: int | None, latency_ms: int, reply: str
) -> None:
    async def scene(desk: Desk) -> None:
        desk.slack.trouble = trouble
        told = await desk.ask("alert_test", receiver="slack")
        assert told["exit_code"] == 5
        [step] = told["receivers"][0]["steps"]
        assert (step["accepted"], step["status"], step["reply"]) == (False, status, reply)
        assert latency_ms <= step["latency_ms"] < latency_ms + 100

    play(scene)


def test_a_receiver_that_refuses_our_word_is_a_refusal_of_credentials() -> None:
    async def scene(desk: Desk) -> None:
        async def forbidden(*_: object) -> Answer:
            return 403, "invalid_token", {}

        desk.slack.post = forbidden  # type: ignore[assignment]
        told = await desk.ask("alert_test")
        assert told["exit_code"] == 4
        assert told["receivers"][0]["steps"][0]["reply"] == "Slack answered 403 invalid_token"

    play(scene)


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ({"receiver": "slak"}, 6, "known: slack, pagerduty"),
        ({"severity": "fatal"}, 2, "critical, error, warning, info"),
    ],
)
def test_a_test_of_nobody_is_refused(asked: dict[str, str], code: int, said: str) -> None:
    async def scene(desk: Desk) -> None:
        told = await desk.ask("alert_test", **asked)
        assert told["exit_code"] == code
        assert said in told["error"]["message"]

    play(scene)


def test_without_receivers_a_test_says_so() -> None:
    async def scene(desk: Desk) -> None:
        told = await desk.ask("alert_test")
        assert told["exit_code"] == 2
        assert "no receiver is configured" in told["error"]["message"]

    play(scene, Desk(()))


def test_a_silence_keeps_who_why_and_until_and_ends_by_itself() -> None:
    async def scene(desk: Desk) -> None:
        told = await desk.ask("silence", kinds="b*", subjects="shop-*", for_s=3600, reason="stock-take")
        assert told["silence"]["by"] == "uid 7"
        assert told["covers"] == []
        await desk.raises()
        await anyio.sleep(600)
        listed = await desk.ask("alerts")
        assert [each["silence"] for each in listed["alerts"]] == [told["silence"]["id"]]
        assert [each["reason"] for each in listed["silences"]] == ["stock-take"]
        assert desk.slack.taken == desk.pagerduty.taken == []
        await anyio.sleep(3600)
        assert (await desk.ask("alerts"))["silences"] == []

    desk = play(scene)
    assert len(desk.slack.taken) == len(desk.pagerduty.taken) == 1
    kept = list(desk.kept.silences.values())
    assert [(each.by, each.reason, (each.until or 0) - each.at) for each in kept] == [
        ("uid 7", "stock-take", 3_600_000)
    ]


def test_a_silence_that_is_lifted_lets_what_is_open_be_told() -> None:
    async def scene(desk: Desk) -> None:
        told = await desk.ask("silence", kinds="bug", for_s=WEEK_S, reason="known")
        await desk.raises()
        await anyio.sleep(900)
        assert desk.pagerduty.taken == []
        lifted = await desk.ask("unsilence", id=told["silence"]["id"])
        assert lifted["lifted"]["kinds"] == "bug"
        await anyio.sleep(60)
        again = await desk.ask("unsilence", id=told["silence"]["id"])
        assert again["exit_code"] == 6

    assert len(play(scene).pagerduty.taken) == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"reason": " "}, "needs a reason"),
        ({"for_s": WEEK_S + 1}, "up to 7 days"),
        ({"for_s": 0}, "up to 7 days"),
        ({"for_s": -5}, "up to 7 days"),
        ({"kinds": "unresolved_drif"}, "did you mean unresolved_drift?"),
        ({"kinds": "zzz"}, "reconcilerd runbook"),
        ({"subjects": "a\nb"}, "--subjects"),
    ],
)
def test_a_silence_that_says_too_little_or_too_much_is_refused(asked: dict[str, Any], said: str) -> None:
    async def scene(desk: Desk) -> None:
        told = await desk.ask("silence", **({"kinds": "bug", "for_s": 60, "reason": "why"} | asked))
        assert told["exit_code"] == 2
        assert said in told["error"]["message"]
        assert desk.engine.silences() == []

    play(scene)


@given(st.sampled_from([float("nan"), float("inf"), -1.0, 0.0, 604_800.5, 1e300]))
def test_no_silence_is_longer_than_a_week(for_s: float) -> None:
    async def scene(desk: Desk) -> None:
        assert (await desk.ask("silence", kinds="*", for_s=for_s, reason="why"))["exit_code"] == 2

    assert play(scene).kept.silences == {}


def test_an_alert_is_shown_by_its_key_open_or_over() -> None:
    async def scene(desk: Desk) -> None:
        await desk.raises()
        for key in ("reconcilerd/bug/shop-uk", "bug/shop-uk"):
            told = await desk.ask("alert", key=key)
            assert (told["stage"], told["details"]) == ("firing", {"do": "look"})
        await anyio.sleep(30)
        await desk.engine.resolve("bug", "shop-uk")
        await anyio.sleep(400)
        told = await desk.ask("alert", key="bug/shop-uk")
        assert (told["stage"], told["told"]) == ("resolved", {"slack": "resolved", "pagerduty": "resolved"})
        await desk.raises("bug", "shop-eu")
        near = await desk.ask("alert", key="bug/shop-ee")
        assert near["exit_code"] == 6
        assert "did you mean bug/shop-eu?" in near["error"]["message"]

    play(scene)


def test_what_is_open_can_be_told_again() -> None:
    async def scene(desk: Desk) -> None:
        await desk.raises()
        await desk.raises("exposure", "stock")
        await anyio.sleep(60)
        taken = len(desk.pagerduty.taken)
        assert (await desk.ask("resend", key="bug/shop-uk"))["keys"] == ["reconcilerd/bug/shop-uk"]
        await anyio.sleep(600)
        assert len(desk.pagerduty.taken) == taken + 1
        assert (await desk.ask("resend", key="bug/nothing"))["exit_code"] == 6
        assert len((await desk.ask("resend"))["keys"]) == 2

    play(scene)


def test_without_a_daemon_nothing_is_told_again() -> None:
    async def scene(desk: Desk) -> None:
        assert (await desk.ask("resend"))["exit_code"] == 8

    play(scene, Desk(running=False))


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_every_line_fits_and_every_alert_and_silence_is_there(columns: int) -> None:
    async def scene(desk: Desk) -> None:
        for number in range(13):
            await desk.raises("bug", f"shop-{number}")
        await desk.raises("channel_errors", "shop-1", "error")
        await desk.engine.raise_("held_plan", "shop-2", "warning", "many words " * 30, {"do": "word " * 40})
        await desk.ask("silence", kinds="held_plan", for_s=3600, reason="a long reason " * 10)
        await anyio.sleep(60)
        listed = await desk.ask("alerts")
        json.dumps(listed)
        text = alert_text.listed(listed, columns)
        assert not [line for line in text.splitlines() if len(line) > columns]
        assert all(f"bug/shop-{number}\n" in text for number in range(13))
        flat = " ".join(text.split())
        assert "open: 14, not for long enough yet: 1; silences: 1; told to slack, pagerduty." in flat
        assert f"do {'word ' * 40}more reconcilerd runbook held_plan" in flat, (
            "what to do, and where more is said"
        )
        shown = alert_text.shown(await desk.ask("alert", key="held_plan/shop-2"), columns)
        assert not [line for line in shown.splitlines() if len(line) > columns]
        lines = alert_text.in_status(listed, columns)
        assert not [line for line in lines if len(line) > columns]
        assert lines[10] == "and 4 more alerts: reconcilerd alerts list"
        assert lines[11].startswith("SILENCE held_plan of * until ")
        assert len(lines) == 12
        tried = alert_text.tried(await desk.ask("alert_test"), columns)
        assert not [line for line in tried.splitlines() if len(line) > columns]

    play(scene)


def test_an_alert_that_is_about_to_end_says_so() -> None:
    """It is open still, and what it says is true no more: whoever reads it should not go and look."""
    known = {"severity": "error", "key": "reconcilerd/bug/x", "summary": "s", "began": "at", "told": {}}
    rest = {"muted_by": "", "silence": "", "details": {}, "runbook": "r"}
    told = {
        "daemon": True,
        "silences": [],
        "half_approved": [],
        "receivers": ["slack"],
        "buttons": None,
        "unheard": "",
    }
    said = {}
    for stage in ("firing", "keeping", "pending"):
        answer = {**told, "alerts": [{**known, **rest, "stage": stage}]}
        said[stage] = (alert_text.listed(answer, 100), "\n".join(alert_text.in_status(answer, 100)))
    assert "no longer so: it ends soon" in said["keeping"][0]
    assert "(ends soon)" in said["keeping"][1]
    assert "not for long enough yet" in said["pending"][0]
    assert not any("soon" in text for text in said["firing"])


def test_who_is_told_nothing_hears_so() -> None:
    async def scene(desk: Desk) -> None:
        text = alert_text.listed(await desk.ask("alerts"), 80)
        assert text == textwrap.dedent("""\
            NO DAEMON RUNS: this is what the ledger holds, and nobody is told
            open: 0; silences: 0; nobody is told until a daemon runs.""")

    async def running(desk: Desk) -> None:
        text = alert_text.listed(await desk.ask("alerts"), 80)
        assert text == "open: 0; silences: 0; NOBODY IS TOLD: no receiver is configured."

    play(scene, Desk((), running=False))
    play(running, Desk(()))
