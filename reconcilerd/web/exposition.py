"""Writes down everything that can be measured in Prometheus' text format, when somebody asks."""

from collections.abc import Iterable

import anyio.lowlevel
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from reconcilerd.web.families import families
from reconcilerd.web.sources import Sources
from reconcilerd.web.survey import survey

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
STEP = 20
"""Families written down between two turns of everybody else: a few milliseconds."""


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
        written.append(generate_latest(_Given(family)))
        if number % STEP == 0:
            await anyio.lowlevel.checkpoint()
    return b"".join(written)
