"""Joins grown slot by slot are the joins made at once, in whatever order the slots were read."""

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from reconcilerd.domain.bundles import group
from reconcilerd.domain.facts import ListingDeclared, ProductObserved, ProductType
from reconcilerd.domain.joins import Joins, join
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from tests.domain.books import shop_book

CHANNELS = {1: ChannelName("uk"), 2: ChannelName("eu")}
SKUS = ("a", "b", "set", "tower")
codes = st.sampled_from([*SKUS, "other", ""])


def product(sku: str, *parts: str) -> ProductObserved:
    kind = ProductType.BUNDLE if parts else ProductType.CORE
    components = tuple((Sku(part), 1) for part in parts)
    return ProductObserved(Sku(sku), sku, 1, sku, kind, "", True, components, Instant(0))


PRODUCTS = {
    each.sku: each
    for each in (product("a"), product("b"), product("set", "a", "b"), product("tower", "set", "b"))
}
listings = st.lists(
    st.builds(
        lambda channel, number, code, sku, push: ListingDeclared(
            channel, number, code, Sku(sku), push, True, Instant(0)
        ),
        st.sampled_from([1, 2]),
        st.integers(1, 99),
        st.sampled_from(SKUS),
        st.sampled_from(SKUS),
        st.booleans(),
    ),
    max_size=8,
)
slots = st.lists(
    st.tuples(
        st.builds(SlotKey, st.sampled_from(list(CHANNELS.values())), st.sampled_from("123"), st.just("p")),
        codes,
    ),
    max_size=8,
    unique_by=lambda pair: pair[0],
)


def grown(declared: list[ListingDeclared], seen: list[tuple[SlotKey, str]]) -> Joins:
    joins = join(declared, PRODUCTS, CHANNELS, list(CHANNELS.values()))
    assert joins.groups.members
    for slot, code in seen:
        joins.add(slot, code)
        assert joins.groups.members
    return joins


@given(listings, slots)
def test_the_order_of_reading_does_not_matter(
    declared: list[ListingDeclared], seen: list[tuple[SlotKey, str]]
) -> None:
    one = grown(declared, seen)
    other = grown(declared, sorted(seen, reverse=True))
    assert one.sku_of == other.sku_of
    assert one.slots_of == other.slots_of
    assert (one.ambiguous, one.pushed, one.sold_as) == (other.ambiguous, other.pushed, other.sold_as)
    assert one.groups == other.groups
    assert one.unlisted == other.unlisted


@given(listings, slots)
def test_joins_are_what_a_look_at_everything_says(
    declared: list[ListingDeclared], seen: list[tuple[SlotKey, str]]
) -> None:
    joins = grown(declared, seen)
    for slot, code in seen:
        mine = [
            each
            for each in declared
            if CHANNELS[each.sales_channel_id] == slot.channel and each.listing_sku == code
        ]
        assert (slot in joins.sku_of) == bool(mine)
        alike = {other.listing for other, c in seen if (other.channel, c) == (slot.channel, code)}
        twice = len({each.sku for each in mine}) > 1 or len(alike) > 1
        assert (slot in joins.ambiguous) == (bool(mine) and twice)
        assert (slot in joins.pushed) == any(each.push_inventory for each in mine)
    tied = joins.groups.of[Sku("a")] == joins.groups.of[Sku("b")]
    assert tied == bool({"set", "tower"} & joins.slots_of.keys())


def test_a_channel_is_unlisted_until_all_its_codes_of_a_sku_were_shown() -> None:
    declared = [ListingDeclared(1, n, code, Sku("a"), False, True, Instant(0)) for n, code in enumerate("ab")]
    joins = join(declared, PRODUCTS, CHANNELS, [ChannelName("uk")])
    assert joins.unlisted == {"a": ("uk",)}
    joins.add(SlotKey(ChannelName("uk"), "1", "p"), "a")
    assert joins.unlisted == {"a": ("uk",)}
    joins.add(SlotKey(ChannelName("uk"), "2", "p"), "b")
    assert joins.unlisted == {"a": ()}


ties = st.lists(st.lists(st.sampled_from("abcdef").map(Sku), min_size=1, max_size=3), max_size=6)


@given(ties, st.lists(st.sampled_from("abcdefgh").map(Sku), min_size=1, max_size=3))
@example([[Sku("a")], [Sku("b")]], [Sku("b"), Sku("a"), Sku("g")])
def test_one_more_tie_joins_what_all_of_them_at_once_join(before: list[list[Sku]], more: list[Sku]) -> None:
    assert group(before).tied(more) == group([*before, more])


@given(ties, st.lists(st.sampled_from("abcdefgh").map(Sku), max_size=4))
def test_what_was_a_group_is_asked_for_once_by_the_name_of_the_one_that_it_is_in(
    before: list[list[Sku]], names: list[Sku]
) -> None:
    groups = group(before)
    asked = groups.current(names)
    assert sorted(asked) == sorted({groups.of.get(name, name) for name in names})
    assert asked == sorted(asked, key=[groups.of.get(name, name) for name in names].index), "in their order"


def test_a_bundle_that_is_read_late_ties_its_components_together() -> None:
    joins = join([ListingDeclared(1, 1, "set", Sku("set"), False, True, Instant(0))], PRODUCTS, CHANNELS, [])
    assert joins.groups.members.keys() == {"a", "b"}
    joins.add(SlotKey(CHANNELS[1], "1", "p"), "set")
    assert joins.groups.members == {"a": ("a", "b")}


def test_another_policy_changes_what_hangs_together_and_no_fact() -> None:
    book = shop_book(0)
    before, stock = book.shape, dict(book.stock)
    policy = replace(book.policy, revision="another")
    book.turn_to(policy)
    assert book.policy is policy
    assert book.shape != before
    assert book.stock == stock
