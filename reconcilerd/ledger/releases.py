"""What a start goes by: the whole state, in which nothing is released again that was over before."""

from collections.abc import Iterator
from dataclasses import replace

from reconcilerd.domain.facts import ConsentGiven, EnvelopeApproved, Fact
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.reader import Reader


def standing(reader: Reader, now: Instant) -> Iterator[Fact]:
    """Every fact of the state as it was written; then releases, whole or half, that are over though not by the clock.

    By the stamp of a later entry the clock had come to their end: set back since, it would have them begin again.
    """
    yield from reader.everything()
    released: list[ConsentGiven | EnvelopeApproved] = [
        *reader.state(ConsentGiven),
        *reader.state(EnvelopeApproved),
    ]
    for word in released:
        if word.until > now and reader.written_later(word, word.until):
            yield replace(word, at=min(word.at, now), until=now)
