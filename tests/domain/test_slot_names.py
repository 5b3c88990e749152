"""A channel is called by its name, and by its place too where that alone would not tell."""

from reconcilerd.domain.slot_names import name_among, names_of


def test_the_place_is_named_where_one_listing_is_at_several_of_its_channel() -> None:
    slots = [("uk", "1", "gid://shopify/Location/5"), ("uk", "1", "7"), ("uk", "2", "5"), ("eu", "1", "")]
    assert list(names_of(slots).values()) == ["uk at 5", "uk at 7", "uk", "eu"]


def test_who_is_no_other_place_of_the_same_listing_makes_nobody_name_a_place() -> None:
    slot = ("uk", "1", "gid://shopify/Location/5")
    assert name_among(slot, [slot, ("uk", "2", "7"), ("eu", "1", "7")]) == "uk"
    assert name_among(slot, [slot, ("uk", "1", "7")]) == "uk at 5"
