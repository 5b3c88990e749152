"""What is over and nobody can need leaves the state, provably; what is decided or still to be told is the same."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconcilerd.alerting.engine import Engine
from reconcilerd.alerting.pagerduty import PACE
from reconcilerd.alerting.slack import Slack
from reconcilerd.domain.facts import (
    AlertChanged,
    AlertStage,
    AlertTold,
    ConsentGiven,
    EnvelopeApproved,
    Fact,
    RailLatched,
    SilenceSet,
    Transition,
)
from reconcilerd.domain.names import ChannelName, FeedName, Instant, Sku
from reconcilerd.ledger.store import Ledger
from tests.ledger.test_compaction import loaded

NOW = Instant(100)
moments = st.integers(0, 110).map(Instant)
ends = st.none() | moments
keys = st.sampled_from(["reconcilerd/bug/a", "reconcilerd/bug/b", "reconcilerd/large_order/1"])


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    """Anything of the kinds that may be bygone, some of it of one subject."""
    at, on, name = draw(moments), draw(st.booleans()), draw(st.sampled_from("xy"))
    made: list[Fact] = [
        SilenceSet(name, on, "*", "*", "ops", "so", at, draw(ends)),
        RailLatched(
            draw(st.sampled_from(["quarantine:uk/1/2=0", "zeros:uk", "all-changed:uk.slots"])),
            on,
            "ops",
            "so",
            at,
            "",
            draw(ends),
        ),
        EnvelopeApproved(name, (Sku("a"),), "both", 9, "ops", "so", at, draw(moments)),
        ConsentGiven(name, ChannelName("uk"), (Sku("a"),), "both", 9, (), "ops", "so", at, draw(moments)),
        _alert(draw, at),
        _told(draw, at),
    ]
    return draw(st.sampled_from(made))


def _alert(draw: st.DrawFn, at: Instant) -> AlertChanged:
    stage = draw(st.sampled_from(AlertStage))
    firing = stage in {AlertStage.FIRING, AlertStage.KEEPING}
    fired = None if stage in {AlertStage.PENDING, AlertStage.PASSED} else at
    return AlertChanged(draw(keys), firing, "critical", "x", at, stage, draw(st.integers(1, 3)), at, fired)


def _told(draw: st.DrawFn, at: Instant) -> AlertTold:
    who, how = draw(st.sampled_from(["slack", "pagerduty"])), draw(st.sampled_from(Transition))
    return AlertTold(who, draw(keys), at, at, draw(st.integers(1, 3)), how)


def stands(state: Sequence[Fact]) -> tuple[object, ...]:
    """Everything that decisions take from these kinds."""
    book = loaded(list(state))
    return (
        book.latches.standing(NOW),
        book.latches.released_since(FeedName("uk.slots"), Instant(0)),
        book.words.in_force(NOW),
        book.words.half_approved(NOW),
    )


def owed(state: Sequence[Fact]) -> tuple[object, ...]:
    """Which alerts are open, who is to be told what of them, and what is silenced."""

    async def never(*_: object) -> object:
        raise AssertionError("nothing is sent")

    def of(kind: type[Fact]) -> list[Fact]:
        return [fact for fact in state if isinstance(fact, kind)]

    pager = Slack("https://x.example", never, PACE)  # type: ignore[arg-type]
    engine = Engine([pager], never, lambda: NOW, of(AlertChanged), of(AlertTold), of(SilenceSet))  # type: ignore[arg-type]
    # Who heard of an alert before, and nothing of its last time, is not told of that after so long.
    last = {fact.key: fact.episode for fact in of(AlertChanged) if isinstance(fact, AlertChanged)}
    heard = {
        fact.key
        for fact in of(AlertTold)
        if isinstance(fact, AlertTold)
        and (fact.receiver, fact.episode) == ("slack", last.get(fact.key, fact.episode))
    }
    notices, _ = engine._owed("slack")
    mine = [each for each in notices if each.episode.key in heard]
    return engine.firing, mine, engine.silences()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(facts(), min_size=1, max_size=14), st.integers(0, 14), st.integers(0, 100).map(Instant))
def test_without_what_is_bygone_all_that_stands_is_the_same_and_proven(
    written: list[Fact], compacted: int, before: Instant
) -> None:
    with TemporaryDirectory() as folder:
        at = [Instant(0)]
        with Ledger.open(Path(folder) / "l.db", clock=lambda: at[0], durable=False) as ledger:
            for fact in sorted(written, key=lambda each: each.as_of):
                at[0] = max(at[0], Instant(int(fact.as_of)))
                ledger.append([fact])
            upto = min(compacted, ledger.latest_seq)
            while ledger.compact(Instant(111), upto):
                pass
            whole = [fact for fact in ledger.everything() if fact.kind != "anchor"]
            gone = ledger.forget(before)
            left = [fact for fact in ledger.everything() if fact.kind != "anchor"]
            assert len(left) == len(whole) - gone
            assert set(left) <= set(whole)
            assert stands(left) == stands(whole)
            open_, notices, silences = owed(left)
            assert (open_, silences) == (owed(whole)[0], owed(whole)[2])
            assert notices == owed(whole)[1]
            assert ledger.verify().ok
            ledger.rebuild_state()
            assert [fact for fact in ledger.everything() if fact.kind != "anchor"] == left
            assert ledger.verify().ok
            assert ledger.forget(before) == 0, "all of it went at once"
