"""Slack's Web API: one message for what belongs together, changed when it is over, answered when it goes on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.alerting.buttons import Button, Do
from reconcilerd.alerting.engine import Engine, NotTaken, Permanent
from reconcilerd.alerting.outbox import Notice
from reconcilerd.alerting.slack import Answer, escaped, retry_after_s
from reconcilerd.alerting.slack_api import LATER
from reconcilerd.alerting.slack_bot import UNCHANGEABLE, SlackBot
from reconcilerd.config.secret import Secret
from reconcilerd.domain.alerts import Episode, alert_key
from reconcilerd.domain.facts import AlertStage, Transition
from reconcilerd.errors import TryLater
from reconcilerd.simulator.virtual_time import run_virtual
from tests.alerting.test_engine import Scene
from tests.alerting.test_receivers import messages
from tests.simulator.builders import START

TOKEN = "xoxb-1-2-three"
CHANNEL = "C0123ABCD"


@dataclass
class FakeApi:
    """Slack's Web API as far as a bot that only speaks can tell. ``fails``: what the next calls are answered."""

    fails: list[Answer] = field(default_factory=list)
    fails_at: int = -1
    """How many calls from now one fails; -1: none."""
    down: bool = False
    acts_on: frozenset[str] | None = None
    """Sales channels that buttons may be about, if there are any."""
    shown: dict[str, str] = field(default_factory=dict)
    """By stamp: the text as it stands."""
    threads: dict[str, list[str]] = field(default_factory=dict)
    """By stamp: the answers under it."""
    blocks: list[Any] = field(default_factory=list)
    whispered: list[tuple[str, str]] = field(default_factory=list)

    async def post(self, url: str, body: object, headers: Mapping[str, str]) -> Answer:
        assert isinstance(body, dict)
        assert headers == {"authorization": f"Bearer {TOKEN}"}
        if self.down:
            raise TryLater("no answer")
        self.fails_at -= 1
        if self.fails_at == -1:
            return 503, "", {}
        if self.fails:
            return self.fails.pop(0)
        return 200, json.dumps(self._take(url.removeprefix("https://slack.example/api/"), body)), {}

    def _take(self, method: str, body: Mapping[str, Any]) -> dict[str, object]:
        if body["channel"] != CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        if not 0 < len(body["text"]) <= 13_000:
            return {"ok": False, "error": "msg_too_long"}
        if method == "chat.postEphemeral":
            self.whispered.append((body["user"], body["text"]))
            return {"ok": True, "message_ts": "1.1"}
        texts = [each["text"]["text"] for each in body.get("blocks", []) if each["type"] == "section"]
        if not all(0 < len(each) <= 3_000 for each in texts):
            return {"ok": False, "error": "invalid_blocks"}
        self.blocks.append(body.get("blocks", []))
        if method == "chat.update":
            if body["ts"] not in self.shown:
                return {"ok": False, "error": "message_not_found"}
            self.shown[body["ts"]] = body["text"]
            return {"ok": True, "channel": CHANNEL, "ts": body["ts"]}
        assert method == "chat.postMessage"
        ts = f"{len(self.shown) + sum(map(len, self.threads.values()))}.000100"
        if "thread_ts" in body:
            self.threads.setdefault(body["thread_ts"], []).append(body["text"])
        else:
            self.shown[ts] = body["text"]
        return {"ok": True, "channel": CHANNEL, "ts": ts}

    def bot(self) -> SlackBot:
        return SlackBot("https://slack.example/api/", Secret(TOKEN), CHANNEL, self.post, None, self.acts_on)


def notice(subject: str, transition: Transition = Transition.FIRED, reference: str = "") -> Notice:
    stage = AlertStage.RESOLVED if transition is Transition.RESOLVED else AlertStage.FIRING
    text = f"listings of {subject} differ"
    episode = Episode(alert_key("bug", subject), 1, stage, "error", text, (), START, START, START)
    return Notice(transition, episode, START, reference)


def tell(bot: SlackBot, *notices: Notice) -> dict[str, str]:
    return dict(run_virtual(lambda: bot.tell(notices)))


@given(messages)
def test_any_message_is_taken_and_each_alert_is_known_by_it(told: list[Notice]) -> None:
    api = FakeApi()
    references = tell(api.bot(), *told)
    assert set(references) == {each.episode.key for each in told}
    assert {f"{CHANNEL}:{ts}" for ts in api.shown} == set(references.values())
    assert len(api.shown) == 1
    assert not [text for text in api.shown.values() if "<!" in text]


def test_a_message_changes_when_what_it_tells_is_over_and_says_the_rest_as_before() -> None:
    api = FakeApi()
    bot = api.bot()
    references = tell(bot, notice("a"), notice("b"))
    [reference] = set(references.values())
    assert tell(bot, notice("a", Transition.RESOLVED, reference)) == {}
    [text] = api.shown.values()
    assert "[RESOLVED] listings of a differ" in text
    assert "[ERROR] listings of b differ" in text
    assert api.threads == {}


def test_what_is_open_still_is_said_again_under_its_message() -> None:
    api = FakeApi()
    bot = api.bot()
    [reference] = tell(bot, notice("a")).values()
    before = dict(api.shown)
    tell(bot, notice("a", Transition.REPEATED, reference))
    assert api.shown == before
    [[text]] = api.threads.values()
    assert "[STILL ERROR]" in text


@pytest.mark.parametrize("forgotten", ["restarted", "deleted"])
def test_the_end_is_an_answer_where_the_message_cannot_be_changed(forgotten: str) -> None:
    api = FakeApi()
    bot = api.bot()
    [reference] = tell(bot, notice("a")).values()
    if forgotten == "restarted":
        bot = api.bot()
    else:
        api.shown.clear()
    tell(bot, notice("a", Transition.RESOLVED, reference))
    [[text]] = api.threads.values()
    assert "[RESOLVED]" in text


def test_buttons_go_from_a_message_when_what_it_tells_is_over() -> None:
    api = FakeApi(acts_on=frozenset({"a"}))
    bot = api.bot()
    [reference] = tell(bot, notice("a")).values()
    tell(bot, notice("a", Transition.RESOLVED, reference))
    rows = [[each for each in blocks if each["type"] == "actions"] for blocks in api.blocks]
    assert [len(each) for each in rows] == [1, 0]
    assert [len(each) > 0 for each in api.blocks] == [True, True]


def test_a_reply_has_its_buttons_and_a_whisper_is_for_one() -> None:
    api = FakeApi(acts_on=frozenset())
    bot = api.bot()
    button = Button(Do.UNFREEZE, "k", 1, "shop-uk", "5")

    async def speak() -> None:
        await bot.reply("9.9", "frozen", [button])
        await bot.whisper("U0123ABCD", "no", "9.9")

    run_virtual(speak)
    [[_, row]] = api.blocks
    assert [each["value"] for each in row["elements"]] == [button.value]
    assert (api.threads, api.whispered) == ({"9.9": ["frozen"]}, [("U0123ABCD", "no")])


@given(st.lists(st.text("a&`", max_size=400), min_size=1, max_size=12))
def test_a_long_reply_is_said_whole_in_as_many_paragraphs_as_it_takes(lines: list[str]) -> None:
    api = FakeApi()
    text = "\n".join(["first", *map(escaped, lines), "last"])
    run_virtual(lambda: api.bot().reply("9.9", text))
    [blocks] = api.blocks
    assert "\n".join(each["text"]["text"] for each in blocks) == text


def answered(error: str) -> Answer:
    return 200, json.dumps({"ok": False, "error": error}), {}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        *((answered(each), NotTaken) for each in sorted(LATER)),
        *((answered(each), Permanent) for each in sorted(UNCHANGEABLE)),
        *(
            (answered(each), Permanent)
            for each in ("invalid_auth", "not_in_channel", "missing_scope", "new_word")
        ),
        ((200, "ok", {}), NotTaken),
        ((200, "[]", {}), NotTaken),
        ((200, '{"ok": 1}', {}), Permanent),
        ((429, "", {"retry-after": "7"}), NotTaken),
        ((503, "", {}), NotTaken),
        ((403, "no", {}), Permanent),
    ],
)
def test_what_an_answer_means(answer: Answer, outcome: type[Exception]) -> None:
    with pytest.raises(outcome) as caught:
        tell(FakeApi([answer]).bot(), notice("a"))
    assert TOKEN not in str(caught.value)
    if answer[0] == 429:
        assert isinstance(caught.value, NotTaken)
        assert caught.value.after_s == 7.0


@pytest.mark.parametrize(
    ("said", "after_s"),
    [
        ("9", 9.0),
        ("\xb2", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("9" * 12, 3_600.0),
        ("9" * 400, 3_600.0),
    ],
)
def test_no_receiver_is_left_alone_for_longer_than_an_hour_whatever_it_says(
    said: str, after_s: float | None
) -> None:
    assert retry_after_s({"retry-after": said}) == after_s


@given(st.lists(st.sampled_from([answered("internal_error"), (500, "", {})]), max_size=3))
def test_trouble_that_passes_loses_nothing(fails: list[Answer]) -> None:
    api = FakeApi(list(fails))
    bot = api.bot()
    for _ in fails:
        with pytest.raises(NotTaken):
            tell(bot, notice("a"))
    tell(bot, notice("a"))
    assert len(api.shown) == 1


@pytest.mark.parametrize("fails_at", range(4))
def test_what_was_said_is_not_said_again_where_the_rest_of_a_message_fails(fails_at: int) -> None:
    """Four requests: a message, one changed, an answer under a message of before a restart, one under another."""
    api = FakeApi()
    bot = api.bot()
    [known] = tell(bot, notice("known")).values()
    message = [
        notice("new"),
        notice("known", Transition.RESOLVED, known),
        notice("older", Transition.REPEATED, f"{CHANNEL}:1.1"),
        notice("oldest", Transition.REPEATED, f"{CHANNEL}:1.2"),
    ]
    api.fails_at = fails_at
    with pytest.raises(NotTaken):
        tell(bot, *message)
    references = tell(bot, *message)
    assert list(references) == [message[0].episode.key]
    assert len(api.shown) == 2
    assert [len(each) for each in api.threads.values()] == [1, 1]
    assert tell(bot, *message) != references, "what is told on purpose once more is said once more"


def test_an_end_that_comes_while_its_beginning_is_half_told_changes_the_message() -> None:
    api = FakeApi()
    bot = api.bot()
    other = notice("other", Transition.REPEATED, f"{CHANNEL}:1.1")
    api.fails_at = 1
    with pytest.raises(NotTaken):
        tell(bot, notice("a"), other)
    tell(bot, notice("a"), notice("a", Transition.RESOLVED), other)
    [text] = api.shown.values()
    assert "[RESOLVED] listings of a differ" in text


turns = st.tuples(st.sets(st.sampled_from("abc"), max_size=2), st.sampled_from([20, 200, 900]), st.booleans())
"""Whose causes turn, for how long (seconds) it goes on, and whether Slack is away meanwhile."""


@given(st.lists(turns, max_size=8))
def test_in_the_end_the_messages_show_what_is_open_and_nothing_else_as_open(
    script: list[tuple[set[str], int, bool]],
) -> None:
    scene, api, causes = Scene(), FakeApi(), set[str]()

    async def main() -> None:
        engine = Engine([api.bot()], scene.kept.journal, scene.clock)
        async with anyio.create_task_group() as group:
            group.start_soon(engine.run)
            for turned, seconds, down in [*script, (set[str](), 4_000, False)]:
                causes.symmetric_difference_update(turned)
                api.down = down
                for name in sorted(causes):
                    await engine.raise_("bug", name, "error", f"listings of {name} differ", {})
                await engine.keep_only({("bug", name) for name in causes})
                await anyio.sleep(seconds)
            group.cancel_scope.cancel()

    run_virtual(main)
    for name in "abc":
        open_ = [text for text in api.shown.values() if f"[ERROR] listings of {name} differ" in text]
        assert len(open_) == (name in causes), name
