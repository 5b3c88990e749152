"""A webhook is believed to come from a store of ours only by its signature, and never for more than where to look."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.config.secret import Secret
from reconcilerd.connectors.hints import Became, Hint, Topic
from reconcilerd.connectors.shopify.hooks import LONGEST, Hooks, signed
from reconcilerd.domain.names import ChannelName, SlotKey
from reconcilerd.simulator.postman import headers_of

STORE = ChannelName("shop-uk")
PLACE = "gid://shopify/Location/101"
LEVEL = {"inventory_item_id": 7, "location_id": 101, "available": 12, "updated_at": "2026-11-23T14:03:58Z"}
SLOT = SlotKey(STORE, "gid://shopify/InventoryItem/7", PLACE)
HOOKS = Hooks(STORE, "shop-uk.myshopify.com", (Secret("new-secret"), Secret("old-secret")), (PLACE,))


def message(
    told: Any = LEVEL, topic: str = "inventory_levels/update", secret: str = "new-secret", **changed: str
) -> tuple[dict[str, str], bytes]:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    made = {key.lower(): value for key, value in headers_of(STORE, topic, "id-1", body, secret).items()}
    return {**made, **{f"x-shopify-{key.replace('_', '-')}": value for key, value in changed.items()}}, body


@pytest.mark.parametrize("secret", ["new-secret", "old-secret"])
def test_while_a_secret_is_replaced_both_sign(secret: str) -> None:
    hint = HOOKS(*message(secret=secret))
    assert isinstance(hint, Hint)
    assert (hint.channel, hint.topic, hint.slots) == (STORE, Topic.LISTING, (SLOT,))


def test_the_signature_is_the_one_that_openssl_makes() -> None:
    """printf '{"id":1}' | openssl dgst -sha256 -hmac new-secret -binary | base64"""
    assert signed(b'{"id":1}', "+IQCwsBmpBptlAMPjeH8vNHQdQwdK6ob17WrmGcC9fA=", [Secret("new-secret")])


@given(st.integers(min_value=0), st.integers(0, 7))
def test_a_body_with_one_other_bit_is_nobodys(where: int, bit: int) -> None:
    headers, body = message()
    other = bytearray(body)
    other[where % len(body)] ^= 1 << bit
    assert HOOKS(headers, bytes(other)) is Became.BAD_SIGNATURE


@given(st.text(max_size=60))
def test_no_text_passes_for_a_signature(told: str) -> None:
    headers, body = message(hmac_sha256=told)
    assert HOOKS(headers, body) is Became.BAD_SIGNATURE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told[:-1],
        lambda told: told + "=",
        lambda told: told + "AAAA",
        lambda told: told.swapcase(),
        lambda told: " " + told,
        lambda _: "",
    ],
)
def test_a_signature_that_is_almost_right_is_wrong(spoil: Any) -> None:
    headers, body = message()
    headers["x-shopify-hmac-sha256"] = spoil(headers["x-shopify-hmac-sha256"])
    assert HOOKS(headers, body) is Became.BAD_SIGNATURE


def test_the_same_words_written_otherwise_are_not_signed() -> None:
    headers, body = message()
    assert HOOKS(headers, json.dumps(json.loads(body), indent=1).encode()) is Became.BAD_SIGNATURE


@pytest.mark.parametrize("secret", ["", "new-secret ", "other"])
def test_another_secret_signs_nothing(secret: str) -> None:
    assert HOOKS(*message(secret=secret)) is Became.BAD_SIGNATURE


def test_without_a_secret_nothing_is_signed() -> None:
    headers, body = message(secret="")
    assert Hooks(STORE, "shop-uk.myshopify.com", (), (PLACE,))(headers, body) is Became.BAD_SIGNATURE


@pytest.mark.parametrize("shop", ["", "shop-eu.myshopify.com", "shop-uk.myshopify.com.evil.example"])
def test_another_shop_of_the_same_app_does_not_speak_for_this_one(shop: str) -> None:
    assert HOOKS(*message(shop_domain=shop)) is Became.OTHER_SHOP


def test_a_shop_is_the_same_in_capitals() -> None:
    assert isinstance(HOOKS(*message(shop_domain="Shop-UK.myshopify.com")), Hint)


@pytest.mark.parametrize("name", ["", "x" * (LONGEST + 1)])
def test_an_id_that_is_none_is_unreadable(name: str) -> None:
    assert HOOKS(*message(webhook_id=name)) is Became.UNREADABLE


def test_a_body_that_comes_back_under_another_id_or_topic_is_known_again() -> None:
    first = HOOKS(*message())
    again = HOOKS(*message(webhook_id="id-2"))
    assert isinstance(first, Hint)
    assert isinstance(again, Hint)
    assert len(set(first.marks) & set(again.marks)) == 1


@pytest.mark.parametrize(
    "topic", ["orders/create", "orders/updated", "refunds/create", "fulfillments/update"]
)
def test_what_is_about_orders_names_none(topic: str) -> None:
    hint = HOOKS(*message({"id": 1, "name": "#1"}, topic))
    assert isinstance(hint, Hint)
    assert (hint.topic, hint.slots) == (Topic.ORDERS, ())


def test_a_changed_item_is_looked_at_in_every_place_of_ours() -> None:
    hint = HOOKS(*message({"id": 7}, "inventory_items/update"))
    assert isinstance(hint, Hint)
    assert hint.slots == (SLOT,)


@pytest.mark.parametrize(
    "topic", ["", "app/uninstalled", "inventory_levels/updated", "order/create", "products/update"]
)
def test_other_topics_are_of_no_use(topic: str) -> None:
    assert HOOKS(*message(topic=topic)) is Became.UNNEEDED


def test_a_place_that_is_not_ours_is_not_read() -> None:
    hint = HOOKS(*message({**LEVEL, "location_id": 102}))
    assert isinstance(hint, Hint)
    assert hint.slots == ()


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"inventory_item_id": 7}',
        b'{"inventory_item_id": 7, "location_id": 101',
        b"\xff\xfe",
        *(
            {**LEVEL, "inventory_item_id": wrong}
            for wrong in (None, True, "7", 7.5, 0, -7, 2**63, [7], {"id": 7})
        ),
    ],
)
def test_a_body_that_is_almost_right_names_no_listing(told: Any) -> None:
    assert HOOKS(*message(told)) is Became.UNREADABLE


@given(st.integers(0, 10**9))
def test_no_quantity_that_it_says_comes_through(available: int) -> None:
    assert HOOKS(*message({**LEVEL, "available": available})) == Hint(
        STORE,
        Topic.LISTING,
        HOOKS(*message({**LEVEL, "available": available})).marks,  # type: ignore[union-attr]
        (SLOT,),
    )
