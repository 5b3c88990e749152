"""Why a request gets no answer, and how that is told."""

from collections.abc import Collection
from typing import Any

from reconcilerd.errors import ReconcilerdError


class UnknownName(ReconcilerdError):
    """No SKU, listing or channel of that name is known."""


class NeverRead(ReconcilerdError):
    """What names things was never read completely, so nobody can say what is known."""


def channel_among(channels: Collection[str], name: str) -> None:
    """Raises UnknownName for a channel that the configuration does not have."""
    if name not in channels:
        raise UnknownName(f"no channel {name!r}; known: {', '.join(sorted(channels))}")


def error(message: str, code: int) -> dict[str, Any]:
    """The shape of every refusal."""
    return {"error": {"message": message, "exit_code": code}, "exit_code": code}
