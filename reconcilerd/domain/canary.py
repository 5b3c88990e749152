"""Canary batches: a large set of changes goes out as few, then some, then the rest, each read back before the next."""

from dataclasses import dataclass, replace

from reconcilerd.domain.policy import Limits


@dataclass(frozen=True, slots=True)
class Canary:
    """How far a large set has come. ``sent`` of the present stage; ``agreed`` of these were read back well."""

    stage: int = 0
    sent: int = 0
    agreed: int = 0


def begins(waiting: int, limits: Limits) -> bool:
    """Whether so many changes that orders do not explain are too many to send at once."""
    return waiting > limits.canary_over


def may_go(canary: Canary, limits: Limits) -> int | None:
    """How many may be sent now; None: as many as there are."""
    sizes = (limits.canary_first, limits.canary_second)
    return max(0, sizes[canary.stage] - canary.sent) if canary.stage < len(sizes) else None


def went(canary: Canary, count: int) -> Canary:
    return replace(canary, sent=canary.sent + count)


def read_back(canary: Canary, count: int, limits: Limits) -> Canary:
    """So many more were read back well; once all of a stage were, the next begins."""
    canary = replace(canary, agreed=canary.agreed + count)
    full = may_go(canary, limits) == 0
    return Canary(canary.stage + 1) if full and canary.agreed >= canary.sent else canary


def agrees(before: int, target: int, sold: int, read: int) -> bool:
    """Whether a reading shows that a write took effect: there, less what was sold, or moved towards it (rule 6)."""
    if target - sold <= read <= target:
        return True
    return read <= target if target < before else before < read <= target
