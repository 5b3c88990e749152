"""What became of corrections is counted by what was planned, each once."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.corrected import CURED, ENDS, MISSED, REFUSED, REPLACED, corrected
from reconcilerd.domain.facts import (
    CorrectionEnd,
    CorrectionPlanned,
    CorrectionSent,
    CorrectionSettled,
    Fact,
    Outcome,
)
from reconcilerd.domain.names import ChannelName, Instant, SlotKey

NOW = Instant(2_000)
UK, EU = (SlotKey(ChannelName(name), "item", "place") for name in ("uk", "eu"))


def planned(id_: str, slot: SlotKey = UK, cause: str = "lag") -> CorrectionPlanned:
    return CorrectionPlanned(id_, slot, "A", 7, NOW, 5, cause, "share", NOW)


def sent(id_: str, outcome: Outcome) -> CorrectionSent:
    return CorrectionSent(id_, UK, outcome, "", NOW, NOW)


def settled(id_: str, end: CorrectionEnd) -> CorrectionSettled:
    return CorrectionSettled(id_, UK, end, NOW)


def of(*facts: Fact) -> dict[str, object]:
    found = corrected((number, NOW, fact) for number, fact in enumerate(facts))
    return {name: (one.planned, dict(one.ends), one.under_way) for name, one in found.items()}


def test_each_outcome_is_an_end_or_leaves_it_under_way() -> None:
    ends = {
        Outcome.APPLIED: {CURED: 1},
        Outcome.ACCEPTED: {},
        Outcome.STALE: {REPLACED: 1},
        Outcome.REFUSED: {REFUSED: 1},
        Outcome.NOT_SENT: {REPLACED: 1},
        Outcome.UNKNOWN: {},
    }
    assert set(ends) == set(Outcome)
    for outcome, end in ends.items():
        assert of(planned("w"), sent("w", outcome)) == {"uk": (1, end, 1 - len(end))}


def test_a_reading_has_the_last_word() -> None:
    words = {
        CorrectionEnd.CONFIRMED: CURED,
        CorrectionEnd.MISSED: MISSED,
        CorrectionEnd.SUPERSEDED: REPLACED,
        CorrectionEnd.REFUSED: REFUSED,
    }
    assert set(words) == set(CorrectionEnd)
    for end, word in words.items():
        assert of(planned("w"), sent("w", Outcome.APPLIED), settled("w", end)) == {"uk": (1, {word: 1}, 0)}


def test_what_was_planned_before_is_not_counted_and_channels_are_told_apart() -> None:
    found = corrected(
        (1, NOW, fact)
        for fact in (
            settled("old", CorrectionEnd.CONFIRMED),
            planned("a"),
            planned("b"),
            planned("c", EU, "policy"),
        )
    )
    assert list(found) == ["eu", "uk"]
    assert (found[UK.channel].planned, len(found[UK.channel].slots)) == (2, 1)
    assert dict(found[EU.channel].causes) == {"policy": 1}


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([*Outcome, *CorrectionEnd, None])), max_size=20
    )
)
def test_ends_never_outnumber_what_was_planned(
    told: list[tuple[str, Outcome | CorrectionEnd | None]],
) -> None:
    facts: list[tuple[int, Instant, Fact]] = []
    for id_, what in told:
        match what:
            case None:
                facts.append((1, NOW, replace(planned(id_), target=1)))
            case Outcome():
                facts.append((1, NOW, sent(id_, what)))
            case CorrectionEnd():
                facts.append((1, NOW, settled(id_, what)))
    for one in corrected(facts).values():
        assert set(one.ends) <= set(ENDS)
        assert 0 <= one.under_way <= one.planned
