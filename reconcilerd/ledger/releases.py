"""What a start goes by: the whole state, in which nothing is released again that was over before."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

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
    seqs = {kind: reader.seqs(kind) for kind in (ConsentGiven.kind, EnvelopeApproved.kind)}
    numbered = ((seqs[word.kind][word.about], word) for word in released if word.until > now)
    left = sorted(numbered, key=lambda each: each[0])
    latest = Instant(0)
    # Behind the last entry that is there come those that were compacted away.
    for seq, at in chain(reader.stamps(left[0][0]), [(0, Instant(0))]) if left else ():
        while left and left[-1][0] >= seq:
            _, word = left.pop()
            if latest >= word.until:
                yield replace(word, at=min(word.at, now), until=now)
        latest = max(latest, at)
