"""The base error and the few that cross rooms.

Sorted by what the caller does next, not by what went wrong. Messages say what, where, and what to do;
they never hold a secret.
"""


class ReconcilerdError(Exception):
    """Any condition this program names itself. Everything else that escapes is a bug."""


class TryLater(ReconcilerdError):
    """The other side is busy, limited or away; the same call may work later."""

    def __init__(self, message: str, *, after_ms: int | None = None) -> None:
        super().__init__(message)
        self.after_ms = after_ms


class OutcomeUnknown(ReconcilerdError):
    """A write may or may not have happened; only a reading can tell."""


class Denied(ReconcilerdError):
    """Credentials were refused or lack a permission; a person must act."""


class Refused(ReconcilerdError):
    """The other side understood the call and will never accept it as it is."""


class Withheld(ReconcilerdError):
    """Between decision and call somebody forbade it: a STOP file or a freeze. Nothing was sent."""


class MalformedReply(ReconcilerdError):
    """A reply that cannot be read: wrong type, cut short, too large, not JSON."""


class ConfigFault(ReconcilerdError):
    """The configuration or a file it names cannot be used. ``faults`` lists every one, with its place."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class LedgerFault(ReconcilerdError):
    """The ledger cannot be used: locked, corrupt, newer than this program, or its disk is full."""


class LedgerAbsent(LedgerFault):
    """There is no ledger yet: no file, or one that a first start was cut off from writing into."""


class LedgerLocked(LedgerFault):
    """Another process holds the ledger for writing."""
