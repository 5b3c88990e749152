"""The fold of entries to a state, a second way beside the SQL of the writer; and the digest of such a state."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from reconcilerd.ledger.codec import Row, UnknownFact, decode

Key = tuple[str, str]
BYTES = 256
_MODULUS = 1 << (8 * BYTES)
EMPTY = bytes(BYTES).hex()
"""The digest of no rows."""


class Held(NamedTuple):
    """What the state holds of one subject: by which entry, written when, as of when."""

    seq: int
    at: int
    as_of: int
    payload: bytes


def fold(folded: dict[Key, Held], seq: int, at: int, rows: Sequence[Row]) -> None:
    """The newest ``as_of`` wins; of equal ones the later entry (I7).

    A stamp later than the clock that wrote the entry comes of a clock that has gone back since: it keeps nothing out.
    """
    for row in rows:
        fact = decode(row.kind, row.about, row.payload)
        as_of = 0 if isinstance(fact, UnknownFact) else int(fact.as_of)
        old = folded.get((row.kind, row.about))
        if old is None or as_of >= old.as_of or old.as_of > at:
            folded[row.kind, row.about] = Held(seq, at, as_of, row.payload)


@dataclass(slots=True)
class SetDigest:
    """A digest of a set of rows that does not depend on their order, and can be kept up row by row.

    The sum of a long hash of each row: as hard to forge as the chain itself only because it is this long.
    """

    total: int = 0

    @classmethod
    def read(cls, text: str) -> "SetDigest":
        """From its text. Raises ValueError."""
        raw = bytes.fromhex(text)
        if len(raw) != BYTES:
            raise ValueError(f"a digest of {len(raw)} bytes instead of {BYTES}")
        return cls(int.from_bytes(raw, "big"))

    @classmethod
    def of(cls, rows: Iterable[tuple[Key, Held]]) -> "SetDigest":
        made = cls()
        for key, held in rows:
            made.add(key, held)
        return made

    def add(self, key: Key, held: Held) -> None:
        self.total = (self.total + _number(key, held)) % _MODULUS

    def remove(self, key: Key, held: Held) -> None:
        self.total = (self.total - _number(key, held)) % _MODULUS

    @property
    def text(self) -> str:
        return self.total.to_bytes(BYTES, "big").hex()


def _number(key: Key, held: Held) -> int:
    head = msgspec.json.encode((*key, held.seq, held.at, held.as_of))
    return int.from_bytes(hashlib.shake_256(head + held.payload).digest(BYTES), "big")
