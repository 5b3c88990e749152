"""What happened, in the past tense: frozen records that the ledger keeps and every decision starts from.

Each fact names what it is about (``about``: the key under which a newer one replaces it) and when it was true
(``as_of``). A fact is checked at birth. Nothing here knows a vendor's words; unknown ones are kept raw.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, get_args

from reconcilerd.domain.facts.alerts import (
    AlertChanged,
    AlertStage,
    AlertTold,
    PastEpisode,
    SilenceSet,
    Transition,
)
from reconcilerd.domain.facts.doings import (
    ASIDE,
    BreachLifted,
    ConsentGiven,
    CorrectionPlanned,
    CorrectionSent,
    CorrectionSettled,
    DecisionRecorded,
    EndsMoved,
    EnvelopeApproved,
    EnvelopeRevoked,
    FreezeSet,
    InvariantBroken,
    JobEnded,
    LedgerAnchored,
    LedgerRestored,
    LevelDoubted,
    PlanApplied,
    PlanMade,
    PolicyAdopted,
    RailLatched,
    ReadingKept,
    RegimeSwitched,
    SaleInferred,
    SalesBuried,
    SlotPinned,
)
from reconcilerd.domain.facts.made import Limit
from reconcilerd.domain.facts.readings import (
    EXTENSIV,
    ChannelObserved,
    FindingRaised,
    ListingDeclared,
    LocationObserved,
    OrderLine,
    OrderObserved,
    ProductObserved,
    SlotObserved,
    StockObserved,
    StockRefreshed,
    StockTotalObserved,
    SweepRead,
    side_of,
)
from reconcilerd.domain.facts.reasons import (
    CorrectionEnd,
    FindingKind,
    OrderStatus,
    Outcome,
    ProductType,
    SlotState,
)

__all__ = [
    "ASIDE",
    "EXTENSIV",
    "FACT_TYPES",
    "AlertChanged",
    "AlertStage",
    "AlertTold",
    "BreachLifted",
    "ChannelObserved",
    "ConsentGiven",
    "CorrectionEnd",
    "CorrectionPlanned",
    "CorrectionSent",
    "CorrectionSettled",
    "DecisionRecorded",
    "EndsMoved",
    "EnvelopeApproved",
    "EnvelopeRevoked",
    "Fact",
    "FindingKind",
    "FindingRaised",
    "FreezeSet",
    "InvariantBroken",
    "JobEnded",
    "LedgerAnchored",
    "LedgerRestored",
    "LevelDoubted",
    "Limit",
    "ListingDeclared",
    "LocationObserved",
    "OrderLine",
    "OrderObserved",
    "OrderStatus",
    "Outcome",
    "PastEpisode",
    "PlanApplied",
    "PlanMade",
    "PolicyAdopted",
    "ProductObserved",
    "ProductType",
    "RailLatched",
    "ReadingKept",
    "RegimeSwitched",
    "SaleInferred",
    "SalesBuried",
    "SilenceSet",
    "SlotObserved",
    "SlotPinned",
    "SlotState",
    "StockObserved",
    "StockRefreshed",
    "StockTotalObserved",
    "SweepRead",
    "Transition",
    "side_of",
]

Fact = (
    SweepRead
    | ProductObserved
    | ListingDeclared
    | LocationObserved
    | ChannelObserved
    | StockObserved
    | StockRefreshed
    | StockTotalObserved
    | SlotObserved
    | OrderObserved
    | FindingRaised
    | SaleInferred
    | SalesBuried
    | LevelDoubted
    | CorrectionPlanned
    | CorrectionSent
    | CorrectionSettled
    | ConsentGiven
    | EnvelopeApproved
    | EnvelopeRevoked
    | SlotPinned
    | FreezeSet
    | InvariantBroken
    | BreachLifted
    | RegimeSwitched
    | RailLatched
    | EndsMoved
    | ReadingKept
    | PolicyAdopted
    | PlanMade
    | PlanApplied
    | DecisionRecorded
    | JobEnded
    | LedgerAnchored
    | LedgerRestored
    | AlertChanged
    | AlertTold
    | SilenceSet
)

FACT_TYPES: Final[Mapping[str, type[Fact]]] = MappingProxyType({each.kind: each for each in get_args(Fact)})
"""Every fact by the name under which the ledger keeps it."""
