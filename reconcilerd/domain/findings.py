"""What a person should see, by what it is about; and what of it stands, by its kind."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from typing_extensions import override

from reconcilerd.domain.facts import FindingKind, FindingRaised
from reconcilerd.domain.names import Instant, Sku

NONE: Final[Mapping[str, FindingRaised]] = MappingProxyType({})


class Findings(dict[str, FindingRaised]):
    """Each finding by what it is about, cleared ones too. None is ever taken out."""

    def __init__(self) -> None:
        super().__init__()
        self._standing: dict[FindingKind, dict[str, FindingRaised]] = {}
        self.about: Counter[tuple[FindingKind, str]] = Counter()
        """How many stand of a kind, by what their subject begins with up to a colon: mostly a system."""

    @override
    def __setitem__(self, about: str, finding: FindingRaised) -> None:
        super().__setitem__(about, finding)
        standing = self._standing.setdefault(finding.what, {})
        self.about[finding.what, finding.subject.partition(":")[0]] += (not finding.cleared) - (
            about in standing
        )
        if finding.cleared:
            standing.pop(about, None)
        else:
            standing[about] = finding

    def take(self, fact: FindingRaised) -> bool:
        """Keep one, unless a newer one is kept; whether it says anything new."""
        old = self.get(fact.about)
        if old is not None and fact.as_of < old.as_of:
            return False
        self[fact.about] = fact
        return old is None or (old.detail, old.cleared) != (fact.detail, fact.cleared)

    def turn_back(self, now: Instant) -> None:
        """The clock went back: what was found later than now was found by now, or nothing sound would clear it."""
        for about, finding in self.items():
            if finding.as_of > now:
                self[about] = replace(finding, as_of=now)

    def loops(self, found: Mapping[Sku, str]) -> None:
        """Bundles that contain themselves now, and how; those that stand from before and do so no longer are over."""
        for sku, how in found.items():
            finding = FindingRaised(
                FindingKind.BUNDLE_LOOP, sku, f"bundle contains itself: {how}", Instant(0)
            )
            old = self.get(finding.about)
            if old is None or old.cleared:
                self[finding.about] = finding
        for about, finding in list(self.standing(FindingKind.BUNDLE_LOOP).items()):
            if finding.subject not in found:
                self[about] = replace(finding, cleared=True)

    def standing(self, kind: FindingKind) -> Mapping[str, FindingRaised]:
        """Those of a kind that are not cleared, in the order they came."""
        return self._standing.get(kind, NONE)
