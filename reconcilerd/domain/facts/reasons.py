"""The closed sets of words that facts use for states, outcomes and kinds."""

from enum import StrEnum


class ProductType(StrEnum):
    CORE = "core"
    VIRTUAL = "virtual"
    """A variation parent; holds no stock."""
    BUNDLE = "bundle"
    OTHER = "other"
    """A type this program does not know; ``raw_type`` holds it."""


class OrderStatus(StrEnum):
    OPEN = "open"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """A status this program does not know: treated as open, and reported."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to the order."""
        return self in _OVER


_OVER = frozenset({OrderStatus.SHIPPED, OrderStatus.CANCELLED})


class SlotState(StrEnum):
    BUYABLE = "buyable"
    INACTIVE = "inactive"
    """The channel's location is switched off for this listing."""
    NOT_ONLINE = "not_online"
    """The location does not fulfil online orders."""
    UNTRACKED = "untracked"
    """The channel sells it without counting."""
    UNPUBLISHED = "unpublished"


class FindingKind(StrEnum):
    """Things a person should see that no quantity tells."""

    SKU_CASE_COLLISION = "sku_case_collision"
    DUPLICATE_SKU = "duplicate_sku"
    PRODUCT_TWICE = "product_twice"
    BLANK_SKU = "blank_sku"
    UNMAPPED_SKU = "unmapped_sku"
    LISTING_MAPPED_TWICE = "listing_mapped_twice"
    QUANTITY_ALGEBRA = "quantity_algebra"
    TOTALS_DISAGREE = "totals_disagree"
    UNKNOWN_VALUE = "unknown_value"
    SLOT_INACTIVE = "slot_inactive"
    SLOT_NOT_ONLINE = "slot_not_online"
    UNTRACKED_ITEM = "untracked_item"
    SELLS_PAST_ZERO = "sells_past_zero"
    FOREIGN_SLOT = "foreign_slot"
    REJECTED_ROW = "rejected_row"
    VIRTUAL_HAS_STOCK = "virtual_has_stock"
    BUNDLE_HAS_STOCK = "bundle_has_stock"
    BUNDLE_LOOP = "bundle_loop"
    ORDER_DIFFERS = "order_differs"
    MORE_SCOPES = "more_scopes"


class Outcome(StrEnum):
    """How one sent correction ended."""

    APPLIED = "applied"
    """The channel compared and set: it is so."""
    ACCEPTED = "accepted"
    """The channel took it; only a reading can confirm it."""
    STALE = "stale"
    """The compare failed: the number had moved. Nothing was written."""
    REFUSED = "refused"
    """The channel will not take this write; a person must look."""
    NOT_SENT = "not_sent"
    """It never left: throttled, stopped or superseded before the call."""
    UNKNOWN = "unknown"
    """The call broke after it may have had its effect."""


class CorrectionEnd(StrEnum):
    CONFIRMED = "confirmed"
    MISSED = "missed"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
