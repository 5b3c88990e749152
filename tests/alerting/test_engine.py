"""Whatever fails on the way, every receiver hears of every alert that lasted, of its end, and of nothing too often."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.alerting.engine import FAILING, Engine, Receiver
from reconcilerd.alerting.outbox import Pace
from reconcilerd.alerting.pagerduty import PagerDuty, dedup_key
from reconcilerd.alerting.slack import Slack
from reconcilerd.domain.alerts import alert_key
from reconcilerd.domain.facts import AlertChanged, AlertStage, AlertTold, SilenceSet, Transition
from reconcilerd.domain.names import Instant, after
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from tests.alerting.fakes import FakePagerDuty, FakeSlack, Trouble
from tests.simulator.builders import START

KEY, OLD_KEY = "k" * 32, "o" * 32
INTERVAL_S = Pace().interval_ms / 1000
LOOK_S = 10.0
CRITICAL = ("bug", "exposure", "reload_failed")


@dataclass
class Kept:
    """What the ledger would hold, over every life of the engine."""

    standing: dict[str, AlertChanged] = field(default_factory=dict)
    told: dict[str, AlertTold] = field(default_factory=dict)
    silences: dict[str, SilenceSet] = field(default_factory=dict)
    fired: Counter[str] = field(default_factory=Counter)
    """Episodes of each alert that outlived its ``for``."""

    async def journal(self, facts: Sequence[AlertChanged | AlertTold | SilenceSet]) -> None:
        for fact in facts:
            match fact:
                case AlertChanged():
                    before = self.standing.get(fact.key)
                    new = before is None or before.episode != fact.episode or before.fired is None
                    self.fired[fact.key] += fact.stage is AlertStage.FIRING and new
                    self.standing[fact.key] = fact
                case AlertTold():
                    self.told[fact.about] = fact
                case SilenceSet():
                    self.silences[fact.id] = fact


@dataclass
class Scene:
    """A business with causes that come and go, its receivers, and an engine that may die and live again."""

    clock: VirtualClock = field(default_factory=lambda: VirtualClock(START))
    kept: Kept = field(default_factory=Kept)
    causes: set[tuple[str, str]] = field(default_factory=set)
    routing: tuple[str, ...] = (KEY,)
    slack: FakeSlack = field(init=False)
    pagerduty: FakePagerDuty = field(init=False)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.slack, self.pagerduty = FakeSlack(self.clock), FakePagerDuty(self.clock)

    def begin(self) -> Engine:
        receivers: list[Receiver] = [
            Slack("https://hooks.example", self.slack.post),
            PagerDuty("https://events.example", self.routing, "me", self.pagerduty.post),
        ]
        kept = self.kept
        self.engine = Engine(
            receivers,
            kept.journal,
            self.clock,
            kept.standing.values(),
            kept.told.values(),
            kept.silences.values(),
        )
        return self.engine

    async def live(self, seconds: float) -> None:
        """Look at the causes again and again, as the daemon does, and die at the end."""
        engine = self.begin()
        async with anyio.create_task_group() as group:
            group.start_soon(engine.run)
            await self.look_for(seconds)
            group.cancel_scope.cancel()

    async def look_for(self, seconds: float) -> None:
        until = self.clock() + seconds * 1000
        while self.clock() < until:
            await self.look()
            await anyio.sleep(LOOK_S if seconds < 1_000 else 60.0)
        await self.look()

    async def look(self) -> None:
        for kind, subject in sorted(self.causes):
            severity = "critical" if kind in CRITICAL else "error"
            await self.engine.raise_(kind, subject, severity, f"{kind} of {subject}", {"do": "look"})
        await self.engine.keep_only(set(self.causes))

    def pages(self) -> set[str]:
        """What should be open at PagerDuty."""
        return {
            dedup_key("me", each.key)
            for each in self.kept.standing.values()
            if each.firing and each.severity == "critical"
        }


alerts = st.sampled_from([("bug", "a"), ("bug", "b"), ("exposure", "a"), ("channel_errors", "a")])
acts = st.tuples(
    st.sets(alerts, max_size=2),
    st.sampled_from([20.0, 130.0, 420.0]),
    st.sampled_from(Trouble),
    st.sampled_from(Trouble),
    st.booleans(),
)
"""Which causes turn, for how long it goes on, how Slack and PagerDuty fare, and whether the engine dies at the end."""


@given(st.lists(acts, max_size=8))
def test_each_alert_that_lasted_reaches_every_receiver_and_open_pages_are_open_alerts(
    script: list[tuple[set[tuple[str, str]], float, Trouble, Trouble, bool]],
) -> None:
    scene = Scene()

    async def main() -> None:
        engine = scene.begin()
        for turns, seconds, slack, pagerduty, dies in [
            *script,
            (set(), 4_000.0, Trouble.NONE, Trouble.NONE, True),
        ]:
            scene.slack.trouble, scene.pagerduty.trouble = slack, pagerduty
            scene.causes ^= turns
            async with anyio.create_task_group() as group:
                group.start_soon(engine.run)
                await scene.look_for(seconds)
                group.cancel_scope.cancel()
            if dies:
                engine = scene.begin()

    run_virtual(main)
    assert set(scene.pagerduty.open) == scene.pages()
    opened = Counter(scene.pagerduty.opened)
    text = "\n".join(each for _, each in scene.slack.taken)
    for key, times in scene.kept.fired.items():
        if key.split("/")[1] in CRITICAL:
            assert opened[dedup_key("me", key)] >= times, key
        if key.split("/")[1] != FAILING:
            assert text.count(f"`{key}`") >= times, key
            ends = re.findall(rf"\[RESOLVED\] [^\n]*\n[^\n]*`{key}`", text)
            assert len(ends) >= times - scene.kept.standing[key].firing, key
    if any(act[2] is Trouble.ANSWERS_LOST for act in script):
        return  # then it is told again what it heard already
    for kind in {key.split("/")[1] for key in scene.kept.fired}:
        spoken = [at for at, each in scene.slack.taken if f"`reconcilerd/{kind}/" in each]
        assert all(b - a >= INTERVAL_S * 1000 for a, b in pairwise(spoken)), f"{kind}: too soon"


def test_ten_thousand_skus_are_one_message_a_channel_and_interval() -> None:
    scene = Scene()
    scene.causes = {("unresolved_drift", f"shop-{n}") for n in range(9)}

    async def main() -> None:
        await scene.live(1800)

    run_virtual(main)
    assert len(scene.slack.taken) == 1
    assert scene.slack.taken[0][1].count("`reconcilerd/unresolved_drift/") == 9
    assert not scene.pagerduty.taken, "nobody is woken for it"


def test_what_explains_an_alert_is_told_in_its_place_and_it_follows_if_it_outlives_that() -> None:
    scene = Scene()

    async def main() -> None:
        scene.causes = {
            ("stale_source", "shop-a.slots"),
            ("unresolved_drift", "shop-a"),
            ("unresolved_drift", "shop-b"),
        }
        await scene.live(120)
        said = "".join(text for _, text in scene.slack.taken)
        assert "unresolved_drift/shop-b" in said
        assert "unresolved_drift/shop-a" not in said
        scene.causes.discard(("stale_source", "shop-a.slots"))
        await scene.live(1200)
        assert "unresolved_drift/shop-a" in "".join(text for _, text in scene.slack.taken)

    run_virtual(main)


def test_a_silence_withholds_news_but_never_the_end_of_what_was_told() -> None:
    scene = Scene()

    async def main() -> None:
        scene.causes = {("bug", "told")}
        await scene.live(60)
        hush = SilenceSet(
            "s1", True, "*", "*", "uid 7", "stock-take", scene.clock(), after(scene.clock(), 3_600_000)
        )
        scene.kept.silences[hush.id] = hush
        scene.causes = {("bug", "quiet"), ("bug", "quiet and open")}
        await scene.live(1200)
        said = "".join(text for _, text in scene.slack.taken)
        assert said.count("`reconcilerd/bug/told`") == 2
        assert "quiet" not in said
        assert not scene.pagerduty.open
        scene.causes.discard(("bug", "quiet"))
        await scene.live(3600)
        said = "".join(text for _, text in scene.slack.taken)
        assert "`reconcilerd/bug/quiet`" not in said, "it came and went in silence"
        assert set(scene.pagerduty.open) == {dedup_key("me", alert_key("bug", "quiet and open"))}

    run_virtual(main)


@pytest.mark.parametrize("kept", [True, False])
def test_an_incident_is_closed_by_the_key_that_opened_it(kept: bool) -> None:
    scene = Scene(routing=(OLD_KEY,))

    async def main() -> None:
        scene.causes = {("bug", "x")}
        await scene.live(30)
        scene.routing, scene.causes = ((KEY, OLD_KEY) if kept else (KEY,)), set()
        await scene.live(600)

    run_virtual(main)
    assert bool(scene.pagerduty.open) is not kept
    told = scene.kept.told[f"pagerduty|{alert_key('bug', 'x')}"]
    assert told.transition is (Transition.RESOLVED if kept else Transition.REFUSED)


def test_a_receiver_that_fails_is_an_alert_to_the_others_until_it_hears_again() -> None:
    scene = Scene()
    scene.pagerduty.trouble = Trouble.DOWN

    async def main() -> None:
        scene.causes = {("bug", "x")}
        await scene.live(900)
        said = "".join(text for _, text in scene.slack.taken)
        assert "pagerduty does not take alerts" in said
        assert "reconcilerd alerts test pagerduty" in said
        scene.pagerduty.trouble = Trouble.NONE
        await scene.live(1200)
        assert scene.slack.taken[-1][1].startswith(":white_check_mark: *[RESOLVED] pagerduty does not take")

    run_virtual(main)


def test_an_open_alert_is_said_again_after_hours_and_a_page_never() -> None:
    scene = Scene()

    async def main() -> None:
        scene.causes = {("bug", "x")}
        await scene.live(9 * 3600)

    run_virtual(main)
    assert [text.split("]")[0] for _, text in scene.slack.taken] == [
        ":rotating_light: *[CRITICAL",
        ":rotating_light: *[STILL CRITICAL",
        ":rotating_light: *[STILL CRITICAL",
    ]
    assert len(scene.pagerduty.taken) == 1


def test_those_who_hear_only_the_worst_hear_of_a_receiver_that_fails() -> None:
    """Else a Slack that takes nothing for a day is known to nobody."""
    scene = Scene()
    scene.slack.trouble = Trouble.DOWN

    async def main() -> None:
        scene.causes = {("channel_errors", "a")}
        await scene.live(1500)
        assert set(scene.pagerduty.open) == {dedup_key("me", alert_key(FAILING, "slack"))}
        scene.slack.trouble = Trouble.NONE
        await scene.live(1200)
        assert not scene.pagerduty.open

    run_virtual(main)


def test_what_got_worse_wakes_and_is_over_for_whoever_it_woke_though_it_got_better_before() -> None:
    scene = Scene()

    async def main() -> None:
        for severity in ("error", "critical", "error"):
            engine = scene.begin()
            async with anyio.create_task_group() as group:
                group.start_soon(engine.run)
                await engine.raise_("exposure", "stock", severity, "x", {"do": "look"})
                await anyio.sleep(60)
                assert bool(scene.pagerduty.open) is (severity == "critical" or bool(scene.pagerduty.opened))
                group.cancel_scope.cancel()
        await scene.live(1800)
        assert len(scene.pagerduty.opened) == 1
        assert not scene.pagerduty.open

    run_virtual(main)


def test_what_was_explained_until_it_ended_is_not_told_when_the_other_is_over_first() -> None:
    """Orders that seemed to miss while Extensiv was dark stay for a while: then nobody need hear of them any more."""
    scene = Scene()

    async def main() -> None:
        scene.causes = {("stale_source", "shop-a"), ("missing_orders", "shop-a")}
        await scene.live(900)
        scene.causes = set()
        await scene.live(3600)
        said = "".join(text for _, text in scene.slack.taken)
        assert "[RESOLVED] stale_source of shop-a" in said
        assert "missing_orders" not in said

    run_virtual(main)


@pytest.mark.parametrize("at", [Instant(7), Instant(8)])
def test_alerts_of_older_entries_go_on(at: Instant) -> None:
    """They say whether an alert fires, and which change of it a receiver took."""
    scene, key = Scene(), alert_key("bug", "x")
    scene.kept.standing[key] = AlertChanged(key, False, "critical", "x", Instant(8))
    scene.kept.told[f"pagerduty|{key}"] = AlertTold("pagerduty", key, at, Instant(9))
    scene.pagerduty.open[dedup_key("me", key)] = KEY

    async def main() -> None:
        await scene.live(30)

    run_virtual(main)
    assert bool(scene.pagerduty.open) is (at == 8), "only what was not told is"


reloads = st.tuples(
    st.sets(alerts, max_size=2),
    st.sampled_from([20.0, 130.0, 420.0]),
    st.sampled_from(Trouble),
    st.sampled_from(["same", "slack alone", "nobody", "both"]),
)
"""Which causes turn, for how long it goes on, how Slack fares, and who is told after a reload in the middle of it."""


@given(st.lists(reloads, max_size=8))
def test_whoever_is_told_after_a_reload_nothing_that_is_open_is_lost_and_no_page_stays(
    script: list[tuple[set[tuple[str, str]], float, Trouble, str]],
) -> None:
    scene = Scene()
    unheard: list[str] = []

    def receivers(who: str) -> list[Receiver]:
        slack = Slack("https://hooks.example", scene.slack.post)
        pagerduty = PagerDuty("https://events.example", scene.routing, "me", scene.pagerduty.post)
        made: dict[str, list[Receiver]] = {"slack alone": [slack], "nobody": [], "both": [slack, pagerduty]}
        return made[who]

    async def main() -> None:
        engine, who = scene.begin(), "both"
        async with anyio.create_task_group() as group:
            group.start_soon(engine.run)
            for turns, seconds, trouble, then in [*script, (set(), 4_000.0, Trouble.NONE, "both")]:
                scene.slack.trouble = trouble
                scene.causes ^= turns
                await scene.look_for(seconds / 2)
                who = who if then == "same" else then
                engine.turn_to(receivers(who), list(scene.kept.told.values()))
                assert engine.receivers == [each.name for each in receivers(who)]
                await scene.look_for(seconds)
            told = "\n".join(text for _, text in scene.slack.taken)
            open_ = [each.episode.key for each in engine.seen() if each.episode.firing and not each.muted_by]
            unheard.extend(key for key in open_ if f"`{key}`" not in told)
            group.cancel_scope.cancel()

    run_virtual(main)
    assert set(scene.pagerduty.open) == scene.pages()
    assert unheard == []
    assert not [key for key in scene.engine.firing if FAILING in key]


def test_after_a_reload_that_changes_nobody_nothing_is_told_twice() -> None:
    scene = Scene(causes={("bug", "a")})

    async def main() -> None:
        engine = scene.begin()
        async with anyio.create_task_group() as group:
            group.start_soon(engine.run)
            for _ in range(4):
                await scene.look_for(600)
                engine.turn_to(
                    [
                        Slack("https://hooks.example/another", scene.slack.post),
                        PagerDuty("https://events.example", scene.routing, "me", scene.pagerduty.post),
                    ],
                    list(scene.kept.told.values()),
                )
            await scene.look_for(600)
            group.cancel_scope.cancel()

    run_virtual(main)
    assert len(scene.slack.taken) == 1
    assert len(scene.pagerduty.opened) == 1


def test_a_receiver_that_refused_is_told_again_once_a_reload_set_it_right() -> None:
    scene = Scene(causes={("bug", "a")})
    scene.slack.trouble = Trouble.NONE

    async def main() -> None:
        engine = scene.begin()
        async with anyio.create_task_group() as group:
            group.start_soon(engine.run)

            async def gone(*_: object) -> Any:
                return 404, "no_service", {}

            engine.turn_to([Slack("https://hooks.example/gone", gone)], [])
            await scene.look_for(600)
            assert engine.unheard
            engine.turn_to([Slack("https://hooks.example", scene.slack.post)], list(scene.kept.told.values()))
            assert not engine.unheard
            await scene.look_for(600)
            group.cancel_scope.cancel()

    run_virtual(main)
    assert len(scene.slack.taken) == 1


HOUR_MS = 3_600_000


def set_back(scene: Scene, hours: float) -> Instant:
    """The clock goes back; what it had come to before."""
    before = scene.clock()
    scene.clock.start = Instant(scene.clock.start - round(hours * HOUR_MS))
    return before


class Living:
    """An engine that runs, and hears of a clock that is set back, or starts anew by it."""

    def __init__(self, scene: Scene, group: TaskGroup) -> None:
        self._scene, self._group, self._scope = scene, group, anyio.CancelScope()
        self._engine = scene.begin()
        group.start_soon(self._live)

    async def _live(self) -> None:
        with self._scope:
            await self._engine.run()

    async def set_back(self, hours: float, *, restarted: bool) -> None:
        """It is noticed a little later: what is due is worked out by moments from before meanwhile."""
        before = set_back(self._scene, hours)
        await self._scene.look_for(20)
        if restarted:
            self._scope.cancel()
            self._group.start_soon(self._scene.begin().run)
        else:
            self._engine.turn_back(before)


async def first_heard(scene: Scene, *about: str) -> dict[str, float]:
    """By receiver and alert: after how many minutes it was first told of one of these."""
    heard: dict[str, float] = {}
    began = scene.clock()
    while scene.clock() - began < 7 * HOUR_MS:
        await scene.look()
        await anyio.sleep(10)
        for told in scene.kept.told.values():
            if told.key.endswith(about):
                heard.setdefault(told.about, (scene.clock() - began) / 60_000)
    return heard


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("hours", [0, 0.5, 6])
def test_a_clock_that_is_set_back_mutes_no_alert(hours: float, restarted: bool) -> None:
    """Neither one of a kind that was told of just before, nor one whose cause lasted for a while then."""
    scene, heard = Scene(), dict[str, float]()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            living = Living(scene, group)
            scene.causes = {("exposure", "shop-us")}
            await scene.look_for(400)
            scene.causes |= {("channel_errors", "shop-de")}
            await scene.look_for(60)
            scene.causes |= {("exposure", "shop-uk")}
            await living.set_back(hours, restarted=restarted)
            heard.update(await first_heard(scene, "shop-uk", "shop-de"))
            group.cancel_scope.cancel()

    run_virtual(main)
    wait = 5 + Pace().wait_ms / 60_000 + 0.5
    assert len(heard) == 3, "channel_errors pages nobody"
    assert all(minutes <= wait for minutes in heard.values()), heard


@pytest.mark.parametrize("restarted", [False, True])
def test_an_alert_ends_and_is_said_again_as_early_as_ever_though_the_clock_is_set_back(
    restarted: bool,
) -> None:
    scene = Scene()

    async def main() -> None:
        scene.causes = {("bug", "stays"), ("exposure", "goes")}
        async with anyio.create_task_group() as group:
            living = Living(scene, group)
            await scene.look_for(300)
            scene.causes = {("bug", "stays")}
            await scene.look_for(60)
            await living.set_back(12, restarted=restarted)
            await scene.look_for(11 * 60)
            assert not [key for key in scene.engine.firing if "exposure" in key]
            await scene.look_for(4 * 3600)
            group.cancel_scope.cancel()

    run_virtual(main)
    said = [text.split("]")[0] for _, text in scene.slack.taken]
    assert sum("RESOLVED" in each for each in said) == 1
    assert sum("STILL" in each for each in said) == 1


@pytest.mark.parametrize("later", [0.0, 0.5, 2.0, 5.5, 7.0])
@pytest.mark.parametrize("noticed", ["while it ran", "at a start"])
def test_a_silence_ends_after_what_was_left_of_it_when_the_clock_was_set_back_after_any_start(
    noticed: str, later: float
) -> None:
    """Two hours from then, of one that was set three hours before; one that was over stays so."""
    scene = Scene()

    async def main() -> None:
        now = scene.clock()
        for name, end in (("over", -1), ("holds", 2)):
            at, until = after(now, -3 * HOUR_MS), after(now, end * HOUR_MS)
            scene.kept.silences[name] = SilenceSet(name, True, "*", "*", "ann", "stock-take", at, until)
        if noticed == "while it ran":
            engine = scene.begin()
            engine.turn_back(set_back(scene, 6))
        else:
            last = AlertChanged("k/k/k", False, "error", "x", now, AlertStage.PASSED)
            scene.kept.standing[last.key] = last
            set_back(scene, 6)
            engine = scene.begin()
        moved, turned = engine.moved(), scene.clock()
        assert {each.id: each.until for each in moved} == {
            "over": turned,
            "holds": after(turned, 2 * HOUR_MS),
        }
        assert engine.moved() == [], "it is written down once"
        scene.kept.silences |= {each.id: each for each in moved}
        scene.clock.start = after(scene.clock.start, round(later * HOUR_MS))
        again = scene.begin()
        assert [each.id for each in again.silences()] == (["holds"] if later < 2 else [])
        assert again.silences() == engine.silences()
        assert again.moved() == []

    run_virtual(main)


def test_who_comes_back_with_a_reload_is_told_though_the_clock_was_set_back_meanwhile() -> None:
    scene = Scene(causes={("bug", "a")})

    async def main() -> None:
        engine = scene.begin()
        async with anyio.create_task_group() as group:
            group.start_soon(engine.run)
            await scene.look_for(60)
            slack, pagerduty = (engine._receivers[name] for name in ("slack", "pagerduty"))
            engine.turn_to([pagerduty], [])
            engine.turn_back(set_back(scene, 6))
            engine.turn_to([slack, pagerduty], list(scene.kept.told.values()))
            scene.causes |= {("bug", "b")}
            heard = await first_heard(scene, "bug/b")
            assert heard[f"slack|{alert_key('bug', 'b')}"] <= 6
            group.cancel_scope.cancel()

    run_virtual(main)
