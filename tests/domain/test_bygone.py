"""What nobody can need again, and what looks like it and is needed."""

from dataclasses import replace

from reconcilerd.domain.bygone import bygone
from reconcilerd.domain.facts import (
    AlertChanged,
    AlertStage,
    AlertTold,
    ConsentGiven,
    EnvelopeApproved,
    FreezeSet,
    RailLatched,
    SilenceSet,
    Transition,
)
from reconcilerd.domain.names import ChannelName, Instant, Sku

NOW = Instant(100)


def test_an_alert_goes_with_all_that_was_told_of_it_or_not_at_all() -> None:
    key = "reconcilerd/bug/a"
    over = AlertChanged(
        key, False, "critical", "x", Instant(5), AlertStage.RESOLVED, 4, Instant(1), Instant(2)
    )
    told = AlertTold("slack", key, Instant(5), Instant(6), 4, Transition.RESOLVED)
    page = AlertTold("pagerduty", key, Instant(2), Instant(3), 4, Transition.FIRED)
    assert bygone([told, over], [], NOW) == [over, told]
    assert bygone([over, told, page], [], NOW) == [], "a page is open still"
    assert bygone([over], [told], NOW) == []
    assert bygone([over, told], [], Instant(6)) == []
    assert bygone([told], [], NOW) == []
    open_ = AlertChanged(key, True, "critical", "x", Instant(5), AlertStage.FIRING, 4, Instant(1), Instant(2))
    assert bygone([open_], [], NOW) == []


def test_what_still_holds_or_says_what_is_a_measure_stays() -> None:
    ended = RailLatched("quarantine:uk/1=0", True, "us", "so", Instant(1), "", Instant(9))
    assert bygone([ended], [], Instant(9)) == [ended]
    assert bygone([ended], [], Instant(8)) == []
    lifted = RailLatched("all-changed:uk.slots", False, "ops", "so", Instant(1))
    assert bygone([lifted], [], NOW) == []
    silence = SilenceSet("s", True, "*", "*", "ops", "so", Instant(1), None)
    assert bygone([silence], [], NOW) == []
    assert bygone([replace(silence, until=Instant(9))], [], NOW) != []
    assert bygone([FreezeSet("", False, "ops", "so", Instant(1))], [], NOW) == [], "it is of no such kind"


def test_approvals_go_once_they_ended() -> None:
    skus = (Sku("a"),)
    envelope = EnvelopeApproved("e", skus, "both", 9, "ops", "so", Instant(1), Instant(9))
    consent = ConsentGiven("c", ChannelName("uk"), skus, "both", 9, (), "ops", "so", Instant(1), Instant(9))
    assert bygone([envelope, consent], [], Instant(9)) == [envelope, consent]
    assert bygone([envelope, consent], [], Instant(8)) == []
    half = replace(consent, id="e", until=Instant(99))
    assert bygone([envelope, half], [], Instant(9)) == [], "it would wait for a second person again"
    assert bygone([envelope], [half], Instant(9)) == []
