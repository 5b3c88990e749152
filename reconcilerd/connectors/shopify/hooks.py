"""A store's webhooks: whether a store of ours signed one, and which reading it hints at. Pure.

Only the body is signed. So a body that somebody caught can come back under another id, topic or shop: it is known
again by itself, and can never do more than have something read.
"""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from reconcilerd.config.secret import Secret
from reconcilerd.connectors.hints import Became, Hint, Topic
from reconcilerd.domain.names import ChannelName, SlotKey

SIGNATURE: Final = "x-shopify-hmac-sha256"
TOPIC: Final = "x-shopify-topic"
SHOP: Final = "x-shopify-shop-domain"
ID: Final = "x-shopify-webhook-id"
LONGEST: Final = 200
"""Characters of an id; theirs have 36."""
LEVELS: Final = frozenset(
    {"inventory_levels/update", "inventory_levels/connect", "inventory_levels/disconnect"}
)
ITEMS: Final = frozenset({"inventory_items/create", "inventory_items/update", "inventory_items/delete"})
OF_ORDERS: Final = ("orders/", "refunds/", "fulfillments/", "fulfillment_orders/")
MOST: Final = 2**63 - 1


class _Level(msgspec.Struct):
    inventory_item_id: int
    location_id: int


class _Item(msgspec.Struct):
    id: int


_level = msgspec.json.Decoder(_Level).decode
_item = msgspec.json.Decoder(_Item).decode


@dataclass(frozen=True, slots=True)
class Hooks:
    """Reads the webhooks of one store. ``shop``: its name at Shopify; ``places``: locations that are ours."""

    channel: ChannelName
    shop: str
    secrets: Sequence[Secret]
    places: Collection[str]

    def __call__(self, headers: Mapping[str, str], body: bytes) -> Hint | Became:
        """``headers``: by names in lower case. Nothing of the message is looked at before its signature is."""
        if not signed(body, headers.get(SIGNATURE, ""), self.secrets):
            return Became.BAD_SIGNATURE
        if headers.get(SHOP, "").casefold() != self.shop.casefold():
            # One app in several stores signs for all of them by one secret.
            return Became.OTHER_SHOP
        name, topic = headers.get(ID, ""), headers.get(TOPIC, "").casefold()
        if not 0 < len(name) <= LONGEST:
            return Became.UNREADABLE
        marks = (f"id {name}", f"body {hashlib.sha256(body).hexdigest()}")
        if topic.startswith(OF_ORDERS):
            return Hint(self.channel, Topic.ORDERS, marks)
        if topic not in LEVELS | ITEMS:
            return Became.UNNEEDED
        try:
            slots = self._slots(topic, body)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return Became.UNREADABLE
        return Hint(self.channel, Topic.LISTING, marks, slots)

    def _slots(self, topic: str, body: bytes) -> tuple[SlotKey, ...]:
        if topic in ITEMS:
            listing = _gid("InventoryItem", _item(body).id)
            return tuple(SlotKey(self.channel, listing, place) for place in sorted(self.places))
        level = _level(body)
        place = _gid("Location", level.location_id)
        if place not in self.places:
            return ()
        return (SlotKey(self.channel, _gid("InventoryItem", level.inventory_item_id), place),)


def signed(body: bytes, told: str, secrets: Sequence[Secret]) -> bool:
    """Whether one of the secrets signed exactly these bytes. Takes as long whichever it is, or none."""
    try:
        digest = b64decode(told, validate=True)
    except ValueError:
        return False
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(hmac.digest(secret.reveal().encode(), body, "sha256"), digest)
    return found


def _gid(kind: str, number: int) -> str:
    if not 0 < number <= MOST:
        raise ValueError(f"no id: {number}")
    return f"gid://shopify/{kind}/{number}"
