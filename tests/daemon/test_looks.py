"""Looks are made when something can have changed: one at any other moment would have decided nothing."""

import pytest

from reconcilerd.daemon.desk import Awaits, Desk
from reconcilerd.daemon.passes import Passes, awaited
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import Sku
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.survey import position_of, weather_of
from reconcilerd.trial.market import market
from reconcilerd.trial.run import run_trial

DUE = Awaits.REREAD | Awaits.MOMENTS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_look_that_was_not_due_would_have_decided_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every five seconds each group that nothing is news of is looked at beside the daemon."""
    missed: list[str] = []
    looks = {Awaits.NOTHING: 0, Awaits.CLAIMS: 0}
    ask_again, plan_group = Desk.ask_again, Passes._plan_group
    last: dict[Sku, Awaits] = {}

    def planned(self: Passes, group: Sku, *how: object) -> object:
        made = plan_group(self, group, *how)  # type: ignore[arg-type]
        last[group] = awaited(made[0])
        return made

    def look_beside(self: Desk) -> None:
        now = self.clock()
        weather = weather_of(self.book, now)
        for group, awaits in last.items():
            if group not in self.book.joins().groups.members:
                continue  # it is a part of a larger one by now
            if group in self._dirty or self._awaiting.get(group, awaits) & DUE:
                continue
            plan = make_plan(position_of(self.book, group, weather), Rails(self.book.policy.limits.mode))
            looks[awaits & Awaits.CLAIMS] += 1
            missed.extend(f"{now} {group}: {each}" for each in plan.drifts)
        ask_again(self)

    monkeypatch.setattr(Passes, "_plan_group", planned)
    monkeypatch.setattr(Desk, "ask_again", look_beside)
    run_trial(market(seed, skus=6), seed, 1.0)
    assert min(looks.values()) > 100
    assert missed == []
