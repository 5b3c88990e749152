"""One sound fact of every kind."""

from typing import Final

from reconcilerd.domain.facts import (
    AlertChanged,
    AlertTold,
    BreachLifted,
    ChannelObserved,
    CorrectionEnd,
    CorrectionPlanned,
    CorrectionSent,
    CorrectionSettled,
    DecisionRecorded,
    EnvelopeApproved,
    EnvelopeRevoked,
    Fact,
    FindingKind,
    FindingRaised,
    FreezeSet,
    InvariantBroken,
    LedgerAnchored,
    LevelDoubted,
    ListingDeclared,
    LocationObserved,
    OrderLine,
    OrderObserved,
    OrderStatus,
    Outcome,
    PlanApplied,
    PlanMade,
    PolicyAdopted,
    ProductObserved,
    ProductType,
    RailLatched,
    ReadingKept,
    RegimeSwitched,
    SaleInferred,
    SalesBuried,
    SilenceSet,
    SlotObserved,
    SlotPinned,
    SlotState,
    StockObserved,
    StockRefreshed,
    StockTotalObserved,
    SweepRead,
)
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName, OrderKey, Sku, SlotKey

UK, SKU, PLACE = ChannelName("uk"), Sku("a"), LocationName("1")
SLOT = SlotKey(UK, "item", "place")
THEN, NOW = Instant(1_000), Instant(2_000)

FACTS: Final[list[Fact]] = [
    StockObserved(SKU, PLACE, 12, 2, 1, THEN, THEN),
    SlotObserved(SLOT, "A", "a mug", 7, SlotState.BUYABLE, True, THEN, THEN, below_zero=0),
    CorrectionPlanned(
        "w1", SLOT, "A", 7, THEN, 5, "lag", "share", NOW, 2, False, 0, (("w0", 9, 7, THEN, THEN),)
    ),
    OrderObserved(
        "uk", OrderKey(UK, "77"), THEN, NOW, OrderStatus.OPEN, "OPEN", (OrderLine("A", 3, SKU),), NOW, PLACE
    ),
    SweepRead(FeedName("uk.slots"), THEN, NOW, True, 4, 1, "", "c"),
    ProductObserved(Sku("set"), "SET", 1, "a set", ProductType.BUNDLE, "BUNDLE_KIT", True, ((SKU, 2),), THEN),
    ListingDeclared(101, 1, "A", SKU, False, True, THEN),
    LocationObserved(PLACE, "main", "DIRECT_FULFILLMENT", True, THEN),
    ChannelObserved(101, "uk", "SHOPIFY", True, THEN),
    StockRefreshed(SKU, PLACE, THEN, NOW),
    StockTotalObserved(SKU, 12, 1, THEN),
    FindingRaised(FindingKind.BLANK_SKU, "uk:x", "no SKU", THEN, feed=FeedName("uk.slots")),
    SaleInferred(SLOT, THEN, NOW, 3, 4),
    SalesBuried(SLOT, THEN, NOW),
    LevelDoubted(SLOT, 5, THEN, NOW),
    CorrectionSent("w1", SLOT, Outcome.APPLIED, "", THEN, NOW, ("w0",)),
    CorrectionSettled("w1", SLOT, CorrectionEnd.CONFIRMED, NOW, 5, ("w0",)),
    EnvelopeApproved("e1", (SKU,), "lower", 10, "ops", "counted", THEN, NOW),
    FreezeSet("uk", True, "ops", "stocktaking", THEN, NOW),
    RegimeSwitched("a", True, THEN),
    PlanMade("p1", NOW, 3, (("send", 2),), ((SLOT, 7, 5, "hold_window_units"),)),
    AlertChanged("stale|uk", True, "critical", "not read", NOW),
    AlertTold("slack", "stale|uk", THEN, NOW),
    SilenceSet("s1", True, "stale*", "*", "ops", "stock-take", NOW, THEN),
    PolicyAdopted("f00d", "reconcilerd", NOW),
    PlanApplied("p2", "ab12", "ops", "reviewed", NOW),
    InvariantBroken("b1", "a", (("I1", "9 is more than could ship"),), "{}", NOW),
    BreachLifted("b1", "ops", "found and mended", NOW),
    DecisionRecorded("p1", NOW, "f00d", "0.1.0", (("a", "ab12"),), "eJw="),
    ReadingKept(FeedName("extensiv.stock"), "a@1", 12, NOW, 1),
    LedgerAnchored(7, "ab12", "cd34", 9, NOW),
    SlotPinned(SLOT, True, "ops", "put back", THEN, NOW),
    RailLatched("zeros:uk", True, "reconcilerd", "too many", NOW, "6 zeros", None),
    EnvelopeRevoked("e1", "ops", "counted wrongly", NOW),
]
