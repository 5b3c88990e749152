"""What the web room looks at, made of a daemon that plays; and what it says, read back as numbers."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from reconcilerd.alerting.engine import Seen
from reconcilerd.assemble import Assembled
from reconcilerd.daemon.answers import Answers
from reconcilerd.domain.facts import CorrectionPlanned, DecisionRecorded, PlanMade, SilenceSet
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.reader import Entry
from reconcilerd.tally import Histogram
from reconcilerd.web.exposition import text
from reconcilerd.web.passed import Passed, PassedOf, passed
from reconcilerd.web.sku import Past, Row
from reconcilerd.web.sources import Sources
from tests.world.stage import Journal

SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass
class Told:
    """Alerts as a test says they are."""

    severities: Mapping[str, int] = field(default_factory=dict)
    deliveries: Mapping[tuple[str, str], int] = field(default_factory=Counter)
    oldest_unheard: Instant | None = None
    alerts: Sequence[Seen] = ()
    silenced: Sequence[SilenceSet] = ()

    def seen(self) -> Sequence[Seen]:
        return self.alerts

    def silences(self) -> Sequence[SilenceSet]:
        return self.silenced


def sources_of(built: Assembled, ledger: Path = Path("nowhere.db")) -> Sources:
    return Sources(built.daemon, built.clients, Told(), ledger, Histogram())


def answers_of(built: Assembled, journal: Journal) -> Answers:
    """Answers whose history is a ledger in memory."""

    async def carry() -> None:
        raise AssertionError("a page carries nothing out")

    return Answers(built.daemon, built.stock, built.channels, lambda *asked: history(journal, *asked), carry)


def history(journal: Journal, kind: str, about: str, limit: int) -> list[Row]:
    """Newest first. A fact counts as an entry; when it was written is when it was read."""
    found: list[Row] = []
    for number, fact in enumerate(journal.facts, 1):
        if (fact.kind, fact.about) == (kind, about):
            at = getattr(fact, "at", None) or getattr(fact, "age_of", None)
            found.append((number, at or Instant(0), fact))
    return found[::-1][:limit]


def past_of(journal: Journal) -> Past:
    async def past(subjects: Sequence[tuple[str, str]], each: int, before: int | None = None) -> list[Row]:
        found = [history(journal, kind, about, len(journal.facts)) for kind, about in subjects]
        return [
            row for rows in found for row in [row for row in rows if before is None or row[0] < before][:each]
        ]

    return past


class JournalReader:
    """Entries and history of a ledger in memory: a pass is the plan with the corrections before it, and its record."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def entries(self, after: int = 0) -> Iterator[Entry]:
        facts = self._journal.facts
        for number, fact in enumerate(facts, 1):
            if number > after and isinstance(fact, PlanMade):
                planned = takewhile(
                    lambda each: not isinstance(each, PlanMade), reversed(facts[: number - 1])
                )
                mine = [
                    each for each in planned if isinstance(each, CorrectionPlanned) and each.at == fact.at
                ]
                decided = [each for each in facts[number : number + 1] if isinstance(each, DecisionRecorded)]
                yield Entry(number, fact.at, "plan", (*reversed(mine), fact, *decided))

    def entry_naming(self, id_: str) -> Entry | None:
        named = (
            each for each in self.entries() if any(getattr(fact, "id", "") == id_ for fact in each.facts)
        )
        return next(named, None)

    def histories(self, subjects: Sequence[tuple[str, str]], limit: int) -> list[Row]:
        return [row for kind, about in subjects for row in history(self._journal, kind, about, limit)]


def passed_of(journal: Journal) -> PassedOf:
    async def told(id_: str, entry: int | None, page: int) -> Passed:
        return passed(JournalReader(journal), id_, entry, page)  # type: ignore[arg-type]

    return told


async def scrape(sources: Sources) -> dict[Series, float]:
    """Every series with its value. Fails for a line that is none, and for a series that is told twice."""
    found: dict[Series, float] = {}
    for line in (await text(sources)).decode().splitlines():
        if line.startswith("#"):
            continue
        sample = SAMPLE.match(line)
        assert sample is not None, line
        series = sample["name"], frozenset(LABEL.findall(sample["labels"] or ""))
        assert series not in found, line
        found[series] = float(sample["value"])
    return found


def total(found: Mapping[Series, float], name: str, **labels: str) -> float:
    """The sum over all series of a name with these labels. Fails if there is none: that would prove nothing."""
    wanted = frozenset(labels.items())
    values = [
        value for (each, has), value in found.items() if each == f"reconcilerd_{name}" and wanted <= has
    ]
    assert values, (name, labels)
    return sum(values)


def with_backup(sources: Sources, at: Instant) -> Sources:
    return replace(sources, last_backup=lambda: at)
