"""What of the exposure of a pool group a person must know of."""

from dataclasses import dataclass

from reconcilerd.domain.plan import GroupPlan, exposure


@dataclass(frozen=True, slots=True)
class Alarming:
    """Units shown beyond what could ship that the policy wants lowered. ``protected``: of a SKU that it protects."""

    units: int
    protected: bool


def alarming(plan: GroupPlan) -> Alarming | None:
    """What a dead band lets be is none."""
    units = exposure(plan, banded=False)
    return Alarming(units, any(each.protected for each in plan.position.offers)) if units else None
