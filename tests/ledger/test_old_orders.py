"""Orders that ended long ago leave the ledger's state with all their sides, provably; whatever decides is the same."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconcilerd.domain.facts import EXTENSIV, OrderLine, OrderObserved, OrderStatus
from reconcilerd.domain.names import Instant, Sku
from reconcilerd.ledger.store import Ledger
from tests.domain.books import order

ENDED = {OrderStatus.SHIPPED, OrderStatus.CANCELLED}
LATE = Instant(1_000)


@st.composite
def sides(draw: st.DrawFn) -> OrderObserved:
    """One side of one of a few orders whose numbers begin alike, at some moment; some name a SKU."""
    source = draw(st.sampled_from(["uk", EXTENSIV, EXTENSIV]))
    part = draw(st.sampled_from(["", "7", "8"])) if source == EXTENSIV else ""
    named = Sku("a") if source == EXTENSIV and draw(st.booleans()) else None
    seen = order(
        source,
        draw(st.sampled_from(OrderStatus)),
        draw(st.integers(1, 300)),
        number=draw(st.sampled_from(["1", "10", "1}"])),
        units=draw(st.integers(1, 9)),
    )
    return replace(seen, part=part, lines=(OrderLine(draw(st.sampled_from("ab")), 1, named),))


def names(kept: list[OrderObserved]) -> set[tuple[str, Sku]]:
    return {(line.listing_sku, line.sku) for side in kept for line in side.lines if line.sku is not None}


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(sides(), min_size=1, max_size=16), st.integers(0, 16), st.integers(0, 310).map(Instant))
def test_an_order_goes_with_all_its_sides_or_not_at_all(
    written: list[OrderObserved], compacted: int, before: Instant
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("reconcilerd.domain.bygone.LINES_KEPT", 1)
        at = [Instant(0)]
        with Ledger.open(Path(folder) / "l.db", clock=lambda: at[0], durable=False) as ledger:
            for side in sorted(written, key=lambda each: each.as_of):
                at[0] = side.as_of
                ledger.append([side])
            while ledger.compact(Instant(301), min(compacted, ledger.latest_seq)):
                pass
            whole = list(ledger.orders())
            ended = ledger.ended_orders(before)
            gone = ledger.forget_orders(ended)
            left = list(ledger.orders())
            assert [each for each in whole if each in left] == left
            assert len(left) == len(whole) - gone
            for key in {each.key for each in whole}:
                mine = [each for each in whole if each.key == key]
                assert [each for each in left if each.key == key] in ([], mine)
                if not all(each.status in ENDED and each.as_of < before for each in mine):
                    assert mine[0] in left
                elif key in ended and compacted >= len(written):
                    assert mine[0] not in left
            assert names(left) == names(whole)
            assert ledger.verify().ok
            ledger.rebuild_state()
            assert list(ledger.orders()) == left
            assert ledger.verify().ok
            assert ledger.forget_orders(ledger.ended_orders(before)) == 0


@pytest.mark.parametrize(("more", "goes"), [(OrderStatus.CANCELLED, 2), (OrderStatus.OPEN, 0)])
def test_a_part_that_is_open_keeps_the_whole_order(tmp_path: Path, more: OrderStatus, goes: int) -> None:
    with Ledger.open(tmp_path / "l.db", clock=lambda: Instant(9), durable=False) as ledger:
        shipped = order(EXTENSIV, OrderStatus.SHIPPED, 5)
        ledger.append(
            [shipped, replace(order(EXTENSIV, more, 5), part="7"), order("uk", more, 6, number="2")]
        )
        upto = ledger.latest_seq
        while ledger.compact(LATE, upto):
            pass
        assert ledger.forget_orders(ledger.ended_orders(LATE)) == goes


@pytest.mark.parametrize("when", ["before it is found ended", "since it was found ended"])
def test_a_side_that_came_later_keeps_its_order_whatever_was_compacted_by_then(
    tmp_path: Path, when: str
) -> None:
    with Ledger.open(tmp_path / "l.db", clock=lambda: Instant(9), durable=False) as ledger:
        ledger.append([order(EXTENSIV, OrderStatus.SHIPPED, 5)])
        assert ledger.compact(LATE, 1) == 1
        later = replace(order(EXTENSIV, OrderStatus.CANCELLED, 6), part="7")
        if when == "before it is found ended":
            # Its entry is still there: a state that is built again has it, and the first one never went.
            ledger.append([later])
            ended = ledger.ended_orders(LATE)
        else:
            ended = ledger.ended_orders(LATE)
            ledger.append([later])
            while ledger.compact(LATE, 3):
                pass
        assert ended
        assert ledger.forget_orders(ended) == 0
        assert len(list(ledger.orders())) == 2
