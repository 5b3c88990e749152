"""Writes down everything that can be measured in Prometheus' text format, when somebody asks."""

from collections.abc import Iterable
from functools import lru_cache

import anyio.lowlevel
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from typing_extensions import override

from reconcilerd.web.families import families
from reconcilerd.web.sources import Sources
from reconcilerd.web.survey import survey

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
STEP = 40
"""Families written down between two turns of everybody else: a millisecond or two."""
REMEMBERED = 8_192
"""Several times the series of the largest configuration."""


class _Given(Collector):
    """One family, for the library to write down."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    @override
    def collect(self) -> Iterable[Metric]:
        return (self._family,)


async def text(sources: Sources) -> bytes:
    """Everything of this daemon and its process. Others have their turn after every few families."""
    found = survey(sources.daemon)
    # A registry of its own: the library's is one for the whole process, whoever adds to it.
    process = ProcessCollector(registry=CollectorRegistry())
    written = []
    for number, family in enumerate((*families(sources, found), *process.collect()), 1):
        written.append(written_down(family))
        if number % STEP == 0:
            await anyio.lowlevel.checkpoint()
    return "".join(written).encode()


def written_down(family: Metric) -> str:
    """A family as the library writes it, which is asked anew only for what it did not write before.

    It escapes the names and labels of every series each time. From one scrape to the next they are the same.
    """
    series = (
        f"{_series(each.name, tuple(each.labels.items()))} {_number(each.value)}\n" for each in family.samples
    )
    return _head(family.name, family.documentation, family.type) + "".join(series)


@lru_cache(REMEMBERED)
def _head(name: str, documentation: str, kind: str) -> str:
    return generate_latest(_Given(Metric(name, documentation, kind))).decode()


@lru_cache(REMEMBERED)
def _series(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    """Name and labels of one series, without its value."""
    alone = Metric(name, "", "gauge")
    alone.add_sample(name, dict(labels), 0.0)
    *_, line, _ = generate_latest(_Given(alone)).decode().split("\n")
    return line.rpartition(" ")[0]


_number = lru_cache(REMEMBERED)(floatToGoString)
