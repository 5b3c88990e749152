"""Facts to bytes and back: one compact JSON array a fact, decoded strictly by the type its kind names."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import msgspec

from reconcilerd.domain.facts import FACT_TYPES, Fact
from reconcilerd.errors import LedgerFault

_encoder: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class UnknownFact:
    """A fact of a kind that this version does not know, kept as it was written."""

    kind: str
    about: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """One fact as an entry keeps it. ``previous``: the entry that held the fact before this one (0: none)."""

    kind: str
    about: str
    previous: int
    payload: bytes


def encode(fact: Fact) -> bytes:
    return _encoder.encode(fact)


@cache
def _decoder(kind: str) -> msgspec.json.Decoder[Fact]:
    return msgspec.json.Decoder(FACT_TYPES[kind])


def decode(kind: str, about: str, payload: bytes) -> Fact | UnknownFact:
    """The fact that was written. Raises LedgerFault for bytes that are not such a fact."""
    if kind not in FACT_TYPES:
        return UnknownFact(kind, about, payload)
    try:
        return _decoder(kind).decode(payload)
    except (msgspec.DecodeError, ValueError) as error:
        raise LedgerFault(f"the ledger holds a {kind} of {about} that cannot be read: {error}") from error


def encode_body(rows: Sequence[Row]) -> bytes:
    return _encoder.encode([(r.kind, r.about, r.previous, msgspec.Raw(r.payload)) for r in rows])


def mark_of(kind: str, about: str) -> bytes:
    """How a fact of a subject begins in a body, up to the number of the entry before.

    Nothing else in a body looks like it: within a text, quotes are escaped.
    """
    return _encoder.encode((kind, about))[:-1] + b","


_body_decoder: Final = msgspec.json.Decoder(list[tuple[str, str, int, msgspec.Raw]])


def decode_body(body: bytes, only: Container[tuple[str, str]] | None = None) -> list[Row]:
    """The rows of an entry, or those of some subjects. Raises LedgerFault for a body that is not one."""
    try:
        return [
            Row(kind, about, previous, bytes(raw))
            for kind, about, previous, raw in _body_decoder.decode(body)
            if only is None or (kind, about) in only
        ]
    except (msgspec.DecodeError, ValueError) as error:
        raise LedgerFault(f"the ledger holds an entry that cannot be read: {error}") from error
