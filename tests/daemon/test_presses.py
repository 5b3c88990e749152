"""Buttons under alerts: who may, zeros by two people, and nothing by a press that is stale, strange or repeated."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from reconcilerd.alerting.buttons import ALL, Button, Do
from reconcilerd.alerting.engine import Engine, NotTaken
from reconcilerd.cli import alert_text
from reconcilerd.cli.slack import presses_of
from reconcilerd.config.settings import AlertsSection, PeopleSection
from reconcilerd.daemon.alarms import Alarms
from reconcilerd.daemon.presses import OLDEST_MS, Presses
from reconcilerd.domain.alerts import alert_key
from reconcilerd.domain.facts import ConsentGiven, EnvelopeApproved, FreezeSet
from reconcilerd.domain.names import Instant
from reconcilerd.domain.policy import Mode
from reconcilerd.simulator.truth import World
from tests.alerting.presses import ANN, BOB, CHANNEL, EVE, TEAM, payload
from tests.alerting.socket_mode import APP
from tests.alerting.test_engine import Kept
from tests.plans.stage import READ_S, Shop, opened

KEY = alert_key("held_plan", "shop-uk")
PEOPLE = {"approve": [ANN, BOB], "freeze": [ANN], "unfreeze": [ANN, BOB], "silence": [ANN]}
WITHIN_S = 1_800


@dataclass
class Mouth:
    """What was said: to one person, or for all to see; and the buttons that stand there."""

    whispers: list[tuple[str, str]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    buttons: list[Button] = field(default_factory=list)
    dumb: bool = False

    async def whisper(self, user: str, text: str, thread: str = "") -> None:
        if self.dumb:
            raise NotTaken("Slack answered 503")
        self.whispers.append((user, text))

    async def reply(self, thread: str, text: str, buttons: Sequence[Button] = ()) -> None:
        if self.dumb:
            raise NotTaken("Slack answered 503")
        self.replies.append(text)
        self.buttons = list(buttons)


async def nowhere(*_: object) -> Any:
    raise AssertionError("nothing is posted")


class Room:
    """A shop that runs, its alerts, and Slack beside it."""

    def __init__(self, shop: Shop, people: dict[str, list[str]]) -> None:
        self.shop, self.mouth = shop, Mouth()
        self.clock = shop.stage.clock
        self.engine = Engine([], Kept().journal, self.clock)
        section = AlertsSection(
            slack_team=TEAM, slack_channel=CHANNEL, people=PeopleSection(**people), agree_within_s=WITHIN_S
        )
        shop.answers._alarms = Alarms(
            self.engine, self.clock, shop.ledger, lambda _: [], nowhere, running=True
        )
        self.presses: Presses = presses_of(section, self.mouth, shop.stage.built, shop.answers, self.engine)
        self.pressed = 0

    def turn_stock(self, sku: str, units: int) -> None:
        """More or less of it lies there, and nobody says why."""
        world = self.shop.stage.world
        if units > 0:
            world.add_stock(sku, 1, units)
        else:
            world.damage(sku, -units, self.clock())

    async def press(self, button: Button, user: str = ANN) -> str:
        """Press it now, each time anew; what came of it."""
        self.pressed += 1
        await anyio.sleep(0.001)
        return await self.send(payload(button, self.clock(), user))

    async def send(self, what: dict[str, Any], app: str = APP) -> str:
        before = Counter(self.counts)
        await self.presses.take(what, app)
        [(result, times)] = (Counter(self.counts) - before).items()
        assert times == 1
        return result

    @property
    def counts(self) -> Counter[str]:
        return self.shop.stage.built.daemon.desk.counts.presses

    def kept(self, kind: type[Any]) -> list[Any]:
        """What the ledger holds of a kind."""
        return list(self.shop.ledger.state(kind))

    async def raised(self, kind: str = "held_plan", subject: str = "shop-uk") -> Button:
        await self.engine.raise_(kind, subject, "warning", "something", {})
        return Button(Do.FREEZE, alert_key(kind, subject), self.episode(kind, subject), "shop-uk")

    def episode(self, kind: str = "held_plan", subject: str = "shop-uk") -> int:
        seen = self.engine.look_up(alert_key(kind, subject))
        assert seen is not None
        return seen.episode.number

    async def shown(self, user: str = ANN) -> Button:
        """The button that approves what waits for shop-uk now."""
        assert await self.press(Button(Do.LOOK_APPROVE, KEY, 1, "shop-uk"), user) == "shown"
        [approve] = self.mouth.buttons
        return approve


Scene = Callable[[Room], Awaitable[None]]


def play(
    path: Path,
    scene: Scene,
    *,
    falls_to: int | None = None,
    people: dict[str, list[str]] = PEOPLE,
    world: World | None = None,
    start: Instant | None = None,
) -> World:
    """In mode guarded everything waits that orders do not explain. ``falls_to``: what is left of SKU a at once."""

    async def inside(shop: Shop) -> None:
        if falls_to is not None:
            await shop.ask("approve", id="held", reason="first stock")
            await anyio.sleep(400)
            world = shop.stage.world
            there = sum(world.bins["a", place].on_hand for place in (1, 2))
            world.damage("a", there - falls_to, shop.stage.clock())
            await anyio.sleep(1_500)
        await scene(Room(shop, people))

    more: dict[str, Any] = {} if start is None else {"start": start, "read_s": READ_S}
    return opened(path, inside, mode=Mode.GUARDED, world=world, **more)


def test_what_raises_is_approved_by_one_and_goes(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        approve = await room.shown()
        assert "corrections of shop-uk would be released" in room.mouth.replies[-1]
        assert "two people" not in room.mouth.replies[-1]
        assert await room.press(approve) == "done"
        [envelope] = room.kept(EnvelopeApproved)
        assert (envelope.by, envelope.direction) == (f"slack {ANN}", "raise")
        assert [sku for sku, lower, rise in envelope.limits if not lower and rise] == list(envelope.skus)
        await anyio.sleep(400)
        assert room.shop.shown("a")["shop-uk"] > 0

    play(tmp_path / "l.db", scene)


def test_a_second_press_changes_nothing(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        approve = await room.shown()
        what = payload(approve, room.clock())
        assert await room.send(what) == "done"
        assert await room.send(what) == "repeated"
        assert await room.press(approve) == "stale"
        assert await room.press(approve, BOB) == "stale"
        assert len(room.kept(EnvelopeApproved)) == 1

    play(tmp_path / "l.db", scene)


@pytest.mark.parametrize(("others", "result"), [("a", "done"), ("ab", "stale")])
def test_a_press_approves_what_somebody_else_has_approved_only_in_part(
    others: str, result: str, tmp_path: Path
) -> None:
    """And what is approved as a whole since a moment ago is left as it is."""

    async def scene(room: Room) -> None:
        approve = await room.shown()
        for sku in others:
            await room.shop.ask("approve", id=sku, reason="counted")
        before = len(room.kept(EnvelopeApproved))
        assert await room.send(payload(approve, room.clock())) == result
        assert len(room.kept(EnvelopeApproved)) == before + (result == "done")
        said = [text for _, text in room.mouth.whispers if "approved already" in text]
        assert bool(said) is (result == "stale")

    play(tmp_path / "l.db", scene)


def test_zeros_take_two_people_and_the_second_is_told_who(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        before = room.shop.shown("a")
        assert min(before.values()) > 0, "it has something to lose"
        approve = await room.shown()
        assert "two people" in room.mouth.replies[-1]
        assert await room.press(approve) == "done"
        assert f"one of <@{BOB}> must agree too" in room.mouth.replies[-1]
        [again] = room.mouth.buttons
        for button in (approve, again):
            assert await room.press(button) == "stale", "nobody is two people"
        await anyio.sleep(200)
        first = [each for each in room.kept(EnvelopeApproved) if each.by.startswith("slack")]
        assert (first, room.shop.shown("a")) == ([], before)
        assert await room.press(again, BOB) == "done"
        [envelope] = [each for each in room.kept(EnvelopeApproved) if each.by.startswith("slack")]
        [consent] = room.kept(ConsentGiven)
        assert envelope.by == f"slack {ANN} and slack {BOB}"
        assert (envelope.id, envelope.skus, envelope.limits) == (consent.id, consent.skus, consent.limits)
        assert [sku for sku, lower, rise in envelope.limits if lower and not rise] == ["a"]
        assert await room.press(again, BOB) == "stale"
        await anyio.sleep(400)
        assert room.shop.shown("a")["shop-uk"] == 0

    play(tmp_path / "l.db", scene, falls_to=0)


def test_the_second_may_press_the_first_button_too(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        approve = await room.shown()
        assert await room.press(approve) == "done"
        assert await room.press(approve, BOB) == "done"
        assert [each for each in room.kept(EnvelopeApproved) if "and" in each.by]

    play(tmp_path / "l.db", scene, falls_to=0)


def test_half_an_approval_is_over_in_time(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        approve = await room.shown()
        assert await room.press(approve) == "done"
        [again] = room.mouth.buttons
        await anyio.sleep(WITHIN_S)
        assert await room.press(again, BOB) == "stale"
        assert "Nobody else agreed in time" in room.mouth.whispers[-1][1]
        assert not [each for each in room.kept(EnvelopeApproved) if each.by.startswith("slack")]

    play(tmp_path / "l.db", scene, falls_to=0)


def test_half_an_approval_survives_a_restart_and_is_shown(tmp_path: Path) -> None:
    kept: list[Any] = []

    async def first(room: Room) -> None:
        assert await room.press(await room.shown()) == "done"
        kept.extend([room.mouth.buttons[0], room.clock()])

    async def second(room: Room) -> None:
        room.shop.answers._alarms.half_approved = room.shop.answers._half_approved  # type: ignore[union-attr]
        told = await room.shop.ask("alerts")
        [half] = told["half_approved"]
        assert (half["by"], half["channel"], half["skus"]) == (f"slack {ANN}", "shop-uk", ["a"])
        assert (await room.shop.ask("status"))["half_approved"] == [half]
        for columns in (80, 120):
            lines = alert_text.listed(told, columns).splitlines()
            assert [line for line in lines if line.startswith("HALF APPROVED on shop-uk: a;")]
            assert max(map(len, lines)) <= columns
        assert await room.press(kept[0], ANN) == "stale"
        assert await room.press(kept[0], BOB) == "done"

    world = play(tmp_path / "l.db", first, falls_to=0)
    play(tmp_path / "l.db", second, world=world, start=kept[1])


def test_who_may_approve_no_more_has_agreed_to_nothing(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        approve = await room.shown()
        assert await room.press(approve) == "done"
        [again] = room.mouth.buttons
        later = Room(room.shop, {"approve": [BOB, EVE]})
        assert await later.press(again, BOB) == "stale"
        assert await later.press(approve, BOB) == "done"
        assert not [each for each in room.kept(EnvelopeApproved) if each.by.startswith("slack")]
        assert {each.by for each in room.kept(ConsentGiven)} == {f"slack {ANN}", f"slack {BOB}"}

    play(tmp_path / "l.db", scene, falls_to=0)


def test_alone_nobody_brings_anything_to_zero_and_is_told_so(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        assert await room.press(await room.shown()) == "done"
        assert "lists nobody else" in room.mouth.replies[-1]
        assert "`reconcilerd approve --zero`" in room.mouth.replies[-1]

    play(tmp_path / "l.db", scene, falls_to=0, people={**PEOPLE, "approve": [ANN]})


@pytest.mark.parametrize("second", [False, True])
def test_what_moved_since_it_was_shown_is_not_approved(second: bool, tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        approve, user = await room.shown(), ANN
        if second:
            assert await room.press(approve) == "done"
            [approve], user = room.mouth.buttons, BOB
        room.turn_stock("a", -4)
        await anyio.sleep(900)
        before = len(room.kept(EnvelopeApproved)) + len(room.kept(ConsentGiven))
        assert await room.press(approve, user) == "stale"
        assert "has changed since" in room.mouth.whispers[-1][1]
        assert len(room.kept(EnvelopeApproved)) + len(room.kept(ConsentGiven)) == before

    play(tmp_path / "l.db", scene, falls_to=4)


def test_a_listing_that_the_first_was_not_shown_is_not_let_go_to_nothing(tmp_path: Path) -> None:
    """It showed more than the approval lets its SKU fall; since then it has fallen to no more than that."""

    async def scene(room: Room) -> None:
        assert await room.press(await room.shown()) == "done"
        [again] = room.mouth.buttons
        [consent] = room.kept(ConsentGiven)
        [(_, lower, _)] = consent.limits
        tracks = room.shop.stage.built.daemon.desk.book.slots.values()
        unseen = [
            each
            for each in tracks
            if each.listing_sku == "a" and each.slot.path not in consent.zeros and each.value
        ]
        assert unseen
        for each in unseen:
            each.value = lower
        assert await room.press(again, BOB) == "stale"
        for each in unseen:
            each.value = lower + 1
        assert await room.press(again, BOB) == "done"

    play(tmp_path / "l.db", scene, falls_to=4)


def test_two_who_press_at_once_approve_once(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        approve = await room.shown()
        both = [payload(approve, room.clock(), user) for user in (ANN, BOB)]
        assert [await room.send(each) for each in both] == ["done", "stale"]
        assert len(room.kept(EnvelopeApproved)) == 1

    play(tmp_path / "l.db", scene)


def test_the_second_may_agree_to_less_than_the_first_did(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        assert await room.press(await room.shown()) == "done"
        [again] = room.mouth.buttons
        room.turn_stock("a", 30)
        await anyio.sleep(900)
        assert await room.press(again, BOB) == "done"

    play(tmp_path / "l.db", scene, falls_to=4)


@pytest.mark.parametrize("do", list(Do))
def test_who_is_not_listed_is_refused_told_and_counted_as_an_attempt(do: Do, tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        counts, around = (
            room.shop.stage.built.daemon.desk.counts,
            room.shop.stage.built.daemon.health.surroundings,
        )
        button = await room.raised()
        assert await room.press(Button(do, button.key, button.episode, "shop-uk", "x"), EVE) == "refused"
        assert (room.mouth.replies, counts.turned_away["slack"]) == ([], 1)
        [(user, text)] = room.mouth.whispers
        assert user == EVE
        assert "You may not" in text
        assert around._probes["buttons in Slack"][1] == 1
        assert room.kept(FreezeSet) + room.kept(EnvelopeApproved) + room.engine.silences() == []

    play(tmp_path / "l.db", scene)


STRANGE: dict[str, dict[str, Any]] = {
    "another workspace": {"team": {"id": "T0OTHER0"}},
    "a guest of another workspace": {"user": {"id": ANN, "team_id": "T0OTHER0"}},
    "another channel": {"channel": {"id": "C0OTHER00"}},
    "another app": {"api_app_id": "A0OTHER"},
}


@pytest.mark.parametrize("what", sorted(STRANGE))
def test_a_press_from_elsewhere_does_nothing_and_is_an_attempt(what: str, tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        button = await room.raised()
        assert await room.send({**payload(button, room.clock()), **STRANGE[what]}) == "refused"
        assert room.mouth == Mouth(), "nothing is said to strangers"
        assert room.shop.stage.built.daemon.desk.counts.turned_away["slack"] == 1
        assert room.kept(FreezeSet) == []

    play(tmp_path / "l.db", scene)


def test_freeze_and_unfreeze_each_once_and_by_whom(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        button = await room.raised()
        assert await room.press(button) == "done"
        [made] = room.kept(FreezeSet)
        assert (made.channel, made.on, made.by, made.until) == ("shop-uk", True, f"slack {ANN}", None)
        [allow] = room.mouth.buttons
        assert await room.press(button) == "stale"
        assert "frozen since" in room.mouth.whispers[-1][1]
        assert await room.press(allow, BOB) == "done"
        assert await room.press(allow, BOB) == "stale"
        [made] = room.kept(FreezeSet)
        assert (made.on, made.by) == (False, f"slack {BOB}")

    play(tmp_path / "l.db", scene)


def test_a_freeze_that_ends_is_made_one_without_end_by_a_press_and_no_press_shortens_any(
    tmp_path: Path,
) -> None:
    """The same as on the command line: the later end counts."""

    async def scene(room: Room) -> None:
        button = await room.raised()
        await room.shop.ask("freeze", channel="shop-uk", for_s=60.0, reason="a look")
        look = Button(Do.LOOK_UNFREEZE, button.key, button.episode, "shop-uk")
        assert await room.press(look) == "shown"
        assert re.search(r"frozen since .* UTC until .* UTC by uid 7: a look", room.mouth.replies[-1])
        assert await room.press(button) == "done"
        [made] = room.kept(FreezeSet)
        assert (made.until, made.by) == (None, f"slack {ANN}")
        assert await room.press(button) == "stale"
        assert "until somebody lifts it" in room.mouth.whispers[-1][1]
        assert room.kept(FreezeSet) == [made]

    play(tmp_path / "l.db", scene)


def test_a_button_lifts_the_freeze_that_it_was_shown_with_and_no_later_one(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        button = await room.raised()
        assert await room.press(button) == "done"
        [allow] = room.mouth.buttons
        await room.shop.ask("unfreeze", channel="shop-uk", reason="x")
        await anyio.sleep(1)
        await room.shop.ask("freeze", channel="shop-uk", reason="stock-take <!channel>")
        assert await room.press(allow) == "stale"
        assert "stock-take &lt;!channel&gt;" in room.mouth.whispers[-1][1]
        assert [each.on for each in room.kept(FreezeSet)] == [True]
        look = Button(Do.LOOK_UNFREEZE, button.key, button.episode, "shop-uk")
        assert await room.press(look) == "shown"
        assert await room.press(room.mouth.buttons[0]) == "done"
        assert await room.press(look) == "stale"

    play(tmp_path / "l.db", scene)


def test_all_channels_are_frozen_at_once_where_the_alert_is_of_none(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        button = await room.raised("stale_source", "extensiv.stock")
        assert await room.press(Button(Do.FREEZE, button.key, button.episode, ALL)) == "done"
        assert [each.channel for each in room.kept(FreezeSet)] == [""]
        assert await room.press(room.mouth.buttons[0]) == "done"

    play(tmp_path / "l.db", scene)


@pytest.mark.parametrize("do", [Do.FREEZE, Do.SILENCE])
def test_a_button_of_an_alert_that_is_over_does_nothing(do: Do, tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        button = await room.raised()
        await room.engine.resolve("held_plan", "shop-uk")
        old = Button(do, button.key, button.episode, button.channel)
        assert await room.press(old) == "stale"
        await room.raised()
        assert await room.press(old) == "stale", "that it is there again is another episode"
        assert room.kept(FreezeSet) == room.engine.silences() == []

    play(tmp_path / "l.db", scene)


def test_a_silence_is_for_this_alert_alone_and_once(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        await room.raised(subject="shop-uk[1]*")
        await room.raised(subject="shop-uk1x")
        key = alert_key("held_plan", "shop-uk[1]*")
        button = Button(Do.SILENCE, key, room.episode(subject="shop-uk[1]*"))
        assert await room.press(button) == "done"
        [silence] = room.engine.silences()
        assert silence.by == f"slack {ANN}"
        assert {each.episode.subject for each in room.engine.seen() if each.silence} == {"shop-uk[1]*"}
        assert await room.press(button) == "stale"

    play(tmp_path / "l.db", scene)


@pytest.mark.parametrize("late_ms", [OLDEST_MS + 1_000, -600_000])
def test_a_press_of_another_time_does_nothing(late_ms: int, tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        button = await room.raised()
        assert await room.send(payload(button, Instant(room.clock() - late_ms))) == "stale"
        assert room.kept(FreezeSet) == []

    play(tmp_path / "l.db", scene)


def test_what_is_done_is_done_though_slack_takes_no_word_of_it(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        button = await room.raised()
        room.mouth.dumb = True
        assert await room.press(button) == "done"
        assert [each.on for each in room.kept(FreezeSet)] == [True]
        assert await room.press(button) == "stale"

    play(tmp_path / "l.db", scene)


@pytest.mark.parametrize("channel", ["", "shop", "shop-uk ", "<!channel>", "\ud800"])
def test_a_channel_that_is_none_changes_nothing(channel: str, tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        button = await room.raised()
        for do in (Do.FREEZE, Do.LOOK_APPROVE, Do.APPROVE, Do.UNFREEZE, Do.LOOK_UNFREEZE):
            result = await room.press(Button(do, button.key, button.episode, channel, "m"))
            assert result in {"failed", "stale", "malformed"}, do
        assert room.kept(FreezeSet) == []
        assert not [text for _, text in room.mouth.whispers if "<!" in text]

    play(tmp_path / "l.db", scene)


def test_what_one_person_approved_never_drifts_to_zero_unless_zeros_were_asked_for(tmp_path: Path) -> None:
    async def scene(room: Room) -> None:
        shop = room.shop
        low = await shop.ask("approve", id="a", reason="broken")
        assert (low["envelope"]["zeros"], low["zeros_left"]) == (False, [])
        await anyio.sleep(600)
        assert 0 < max(shop.shown("a").values()) <= low["envelope"]["ceiling"]
        room.turn_stock("a", -10)
        await anyio.sleep(3_600)
        assert max(shop.shown("a").values()) > 0, "it is small enough for the approval, and it is a zero"
        refused = await shop.ask("approve", id="a", reason="broken too")
        assert refused["exit_code"] == 2
        assert "--zero" in refused["error"]["message"]
        zero = await shop.ask("approve", id="a", reason="broken too", zero=True)
        assert zero["envelope"]["zeros"]
        await anyio.sleep(600)
        assert max(shop.shown("a").values()) == 0

    play(tmp_path / "l.db", scene, falls_to=10)
