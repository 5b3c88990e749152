"""Buttons say what they are about and come back as they were; what is almost a press of one is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.alerting.buttons import (
    BLOCKS,
    MOST_WITH_BUTTONS,
    SECTION,
    VALUE,
    Button,
    Do,
    buttons_for,
    label_of,
    message_of,
    pressed,
)
from reconcilerd.alerting.outbox import Notice
from reconcilerd.alerting.slack_payload import press_of
from reconcilerd.domain.alerts import Episode, alert_key
from reconcilerd.domain.facts import AlertStage, Transition
from reconcilerd.domain.names import Instant
from tests.alerting.presses import ANN, CHANNEL, TEAM, payload
from tests.alerting.test_receivers import messages
from tests.near_misses.damage import NUMBERS, damaged
from tests.simulator.builders import START

SHOPS = frozenset({"shop-uk", "shop-eu"})
printing = st.text(max_size=150)
buttons = st.builds(Button, st.sampled_from(Do), printing, st.integers(0, 10**6), printing, printing)
BUTTON = Button(Do.FREEZE, alert_key("held_plan", "shop-uk"), 3, "shop-uk")
USED = {
    ("type",), ("user", "id"), ("user", "team_id"), ("team", "id"), ("api_app_id",), ("channel", "id"),
    ("message", "ts"), ("message", "thread_ts"), ("actions",), ("actions", 0, "type"), ("actions", 0, "value"),
    ("actions", 0, "action_ts"),
}  # fmt: skip


def about(kind: str, subject: str, severity: str = "warning") -> Notice:
    episode = Episode(
        alert_key(kind, subject), 3, AlertStage.FIRING, severity, "something", (), START, START, START
    )
    return Notice(Transition.FIRED, episode, START)


@given(buttons)
def test_a_button_comes_back_as_it_was(button: Button) -> None:
    assert pressed(button.value) == button
    assert len(label_of(button)) <= 75


@given(messages)
def test_any_message_with_buttons_is_one_that_slack_takes(told: list[Notice]) -> None:
    """Its limits: fifty blocks, sections of 3,000, rows of 25, labels of 75, values of 2,000, some 13,000 in all."""
    message: Any = message_of(told, SHOPS)
    blocks = message["blocks"]
    assert 0 < len(blocks) <= BLOCKS + 4 <= 50
    rows = [each for each in blocks if each["type"] == "actions"]
    assert len(rows) <= MOST_WITH_BUTTONS
    for row in rows:
        assert 0 < len(row["elements"]) <= 25
        assert len({each["action_id"] for each in row["elements"]}) == len(row["elements"])
        for each in row["elements"]:
            assert len(each["text"]["text"]) <= 75
            assert len(each["value"]) <= 2_000
            pressed(each["value"])
    sections = [each["text"]["text"] for each in blocks if each["type"] == "section"]
    assert all(0 < len(text) <= SECTION <= 3_000 for text in sections)
    assert sum(map(len, [*sections, message["text"]])) <= 13_000
    assert not [text for text in [*sections, message["text"]] if "<" in text], "nobody is mentioned"


@pytest.mark.parametrize(
    ("notice", "offers"),
    [
        (about("held_plan", "shop-uk"), [Do.LOOK_APPROVE, Do.FREEZE, Do.SILENCE]),
        (about("held_plan", "gone"), [Do.SILENCE]),
        (about("stale_source", "shop-eu.slots", "critical"), [Do.FREEZE, Do.SILENCE]),
        (about("stale_source", "extensiv.stock", "critical"), [Do.FREEZE, Do.SILENCE]),
        (about("storage", "disk"), [Do.SILENCE]),
        (about("paused_too_long", "shop-uk"), [Do.LOOK_UNFREEZE, Do.SILENCE]),
        (about("paused_too_long", "all"), [Do.LOOK_UNFREEZE, Do.SILENCE]),
        (about("paused_too_long", "STOP", "critical"), [Do.SILENCE]),
        (about("test", "slack", "critical"), []),
    ],
)
def test_what_may_be_done_at_once_depends_on_the_alert(notice: Notice, offers: list[Do]) -> None:
    found = buttons_for(notice, SHOPS)
    assert [each.do for each in found] == offers
    freezes = [each.channel for each in found if each.do is Do.FREEZE]
    known = notice.episode.subject.partition(".")[0]
    assert freezes in ([], [known if known in SHOPS else "all"])


def test_what_is_over_offers_nothing() -> None:
    notice = about("held_plan", "shop-uk")
    assert buttons_for(Notice(Transition.RESOLVED, notice.episode, START), SHOPS) == []


def test_a_press_is_read_with_who_where_and_when() -> None:
    press = press_of(payload(BUTTON, Instant(START + 7)))
    assert (press.user, press.team, press.home, press.channel) == (ANN, TEAM, TEAM, CHANNEL)
    assert (press.button, press.at) == (BUTTON, START + 7)
    assert press.thread == press.message
    assert press_of(payload(BUTTON, START, thread="1.5")).thread == "1.5"


def test_a_press_with_one_thing_wrong_is_none_or_the_same_or_another_id() -> None:
    whole = payload(BUTTON, START, thread="1.5")
    right = press_of(whole)
    for spoilt in damaged(whole):
        try:
            read = press_of(spoilt.row)
        except ValueError:
            continue
        if spoilt.path not in USED:
            assert read == right, spoilt.path
        assert read.button == right.button, spoilt
        assert isinstance(read.at, int)


@pytest.mark.parametrize("value", [*NUMBERS, "1.2.3", "1e5", ".5", "5.", "9" * 13 + ".0"])
def test_a_stamp_that_is_none_is_refused(value: str) -> None:
    row = payload(BUTTON, START)
    row["actions"][0]["action_ts"] = value
    if value in {"5.0", "5.5", "1.000"}:
        assert press_of(row).at in {5_000, 5_500, 1_000}
        return
    with pytest.raises(ValueError, match="stamp"):
        press_of(row)


@pytest.mark.parametrize(
    "value",
    [
        None, 5, [], {}, "", "x", "null", "[]", "{}",
        '["freeze"]', '["freeze","k",1,"c"]', '["freeze","k","1","c",""]',
        '["freeze","k",true,"c",""]', '["freeze","k",1.0,"c",""]', '["freeze","k",NaN,"c",""]', '["rm","k",1,"c",""]',
        '["freeze","k",1,"c","",""]', '["freeze",null,1,"c",""]', '[["freeze"],"k",1,"c",""]', "[" * 1_900,
        "x" * (VALUE + 1),
        json.dumps(["freeze", "k" * VALUE, 1, "c", ""]),
    ],
)  # fmt: skip
def test_what_is_no_button_of_ours_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        pressed(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda each: st.lists(each, max_size=6)
    )
)
def test_any_other_json_is_refused_or_a_button(value: Any) -> None:
    try:
        found = pressed(json.dumps(value))
    except ValueError:
        return
    assert json.loads(found.value) == value


@pytest.mark.parametrize(
    "what",
    [{}, {"type": "view_submission"}, {"type": "block_actions"}, {"type": "block_actions", "actions": []}],
)
def test_what_else_an_app_is_told_is_no_press(what: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        press_of(what)


def test_several_buttons_at_once_are_none() -> None:
    row = payload(BUTTON, START)
    row["actions"] *= 2
    with pytest.raises(ValueError, match="one button"):
        press_of(row)
