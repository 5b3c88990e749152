"""A channel is called by its name, and by its place too where that alone would not tell."""

from reconcilerd.domain.slot_names import names_of


def test_the_place_is_named_where_one_listing_is_at_several_of_its_channel() -> None:
    slots = [("uk", "1", "gid://shopify/Location/5"), ("uk", "1", "7"), ("uk", "2", "5"), ("eu", "1", "")]
    assert list(names_of(slots).values()) == ["uk at 5", "uk at 7", "uk", "eu"]
