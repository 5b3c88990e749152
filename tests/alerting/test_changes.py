"""What changed is told once, wakes nobody, and never holds anybody up."""

import json
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from reconcilerd.alerting.changes import MOST, NOTHING, TRIES, Changes
from reconcilerd.alerting.slack import Answer
from reconcilerd.cli.receivers import started
from reconcilerd.config.load import parse
from reconcilerd.domain.facts import DecisionRecorded
from reconcilerd.domain.names import Instant
from reconcilerd.errors import TryLater
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.trial.stage import START
from tests.config.test_config import content

KEY = "k" * 32
LATER: list[Answer] = [(429, "", {"retry-after": "9"}), (500, "", {}), (503, "", {})]


class Inbox:
    """The change events endpoint: takes what PagerDuty would take."""

    def __init__(self, *answers: Answer | None) -> None:
        self.clock = VirtualClock(START)
        self.answers = list(answers)
        self.asked = 0
        self.taken: list[dict[str, Any]] = []

    async def post(self, url: str, body: object, headers: Mapping[str, str]) -> Answer:
        del headers
        self.asked += 1
        if self.answers:
            answer = self.answers.pop(0)
            if answer is None:
                raise TryLater("no answer")
            return answer
        assert isinstance(body, dict)
        payload = body["payload"]
        assert url == "https://events.example/v2/change/enqueue"
        assert set(body) == {"routing_key", "payload"}
        assert 0 < len(payload["summary"]) <= 1_024
        assert len(json.dumps(body)) < 512_000
        self.taken.append(payload)
        return 202, "{}", {}

    def hear(
        self, *changes: tuple[str, Mapping[str, str]], seconds: float = 900, key: str | None = KEY
    ) -> list[str]:
        """The summaries that were taken after so long."""

        async def main() -> None:
            told = Changes("https://events.example/", key, "me", self.post, self.clock)
            async with anyio.create_task_group() as group:
                group.start_soon(told.run)
                for summary, details in changes:
                    told.note(summary, details)
                await anyio.sleep(seconds)
                group.cancel_scope.cancel()

        run_virtual(main)
        return [each["summary"] for each in self.taken]


@given(
    st.text(min_size=1, max_size=3_000),
    st.dictionaries(st.sampled_from(["why", "see"]), st.text(max_size=900)),
)
def test_any_change_fits(summary: str, details: dict[str, str]) -> None:
    assert len(Inbox().hear((summary, details))) == 1


@given(st.lists(st.sampled_from([*LATER, None]), max_size=TRIES - 1))
def test_a_change_is_told_once_after_any_trouble_that_passes(answers: list[Answer | None]) -> None:
    inbox = Inbox(*answers)
    assert inbox.hear(("one", {}), ("two", {})) == ["one", "two"]
    assert inbox.taken[0]["timestamp"] == "2010-12-05T12:00:00Z"


@pytest.mark.parametrize("answer", [(400, "bad", {}), (403, "", {}), (200, "", {})])
def test_what_is_refused_is_let_go_and_the_next_is_told(answer: Answer) -> None:
    inbox = Inbox(answer)
    assert inbox.hear(("one", {}), ("two", {})) == ["two"]
    assert inbox.asked == 2


def test_what_never_passes_is_let_go_and_the_next_is_told() -> None:
    assert Inbox(*[None] * TRIES).hear(("one", {}), ("two", {})) == ["two"]


def test_a_storm_of_changes_has_an_end() -> None:
    many = [(f"change {number}", dict[str, str]()) for number in range(3 * MOST)]
    assert Inbox().hear(*many) == [summary for summary, _ in many[-MOST:]]


def test_without_a_key_nobody_is_told() -> None:
    inbox = Inbox()
    assert inbox.hear(("one", {}), key=None) == []
    assert inbox.asked == 0


@pytest.mark.parametrize(
    ("program", "policy", "said"),
    [
        (None, "r1", "started, mode auto"),
        ("0.0.1", "r1", "started, mode auto, upgraded from 0.0.1"),
        ("0.0.1", "r0", "upgraded from 0.0.1, with another policy"),
    ],
)
def test_a_start_says_what_is_other_than_before(program: str | None, policy: str, said: str) -> None:
    class Kept(Changes):
        """Keeps what is noted."""

        @override
        def note(self, summary: str, details: Mapping[str, str] = NOTHING) -> None:
            kept.append((summary, dict(details)))

    kept: list[tuple[str, dict[str, str]]] = []
    inbox = Inbox()
    changes = Kept("https://events.example", KEY, "me", inbox.post, inbox.clock)
    last = [] if program is None else [DecisionRecorded("d1", Instant(START), policy, program, (), "")]
    started(changes, parse(content(), "config.toml"), "r1", last)
    [(summary, details)] = kept
    assert summary.endswith(said)
    assert details.get("policy before") == ("r0" if policy == "r0" else None)
