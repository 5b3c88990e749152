"""Real orders are read whole or refused with every bad place; played, each invoice is what it was."""

import gzip
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.names import Instant
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.catalogue import STORES, basket_of, plain_catalogue, rich_catalogue, world_of
from reconcilerd.simulator.shoppers import (
    ALIKE,
    COLUMNS,
    MAX_FAULTS,
    NOT_PRODUCTS,
    Replay,
    busy_hour,
    read_invoices,
    sells,
    store_of,
)
from reconcilerd.simulator.truth import WorldConfig
from tests.simulator.builders import START

HEAD = ",".join(COLUMNS)
NAMES = tuple(name for name, _ in STORES)
GOOD = "536365,85123A,HEART,6,2010-12-01T08:26:00Z,2.55,United Kingdom"


def orders(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "orders.csv"
    path.write_text("\n".join((head, *rows)) + "\n", encoding="utf-8")
    return path


def faults(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigFault) as refused:
        read_invoices(path)
    return refused.value.faults


def test_the_file_that_ships_is_whole() -> None:
    invoices = read_invoices(None)
    lines = [(invoice, line) for invoice in invoices for line in invoice.lines]
    assert len(lines) == 10_000
    assert len({invoice.number for invoice in invoices}) == 512
    assert len({line.code for _, line in lines}) == 2015
    assert sum(invoice.cancels or line.write_off for invoice, line in lines) == 130
    assert sum(line.write_off for _, line in lines) == 30
    assert {"POST", "DOT", "M", "C2", "BANK CHARGES"} <= {line.code for _, line in lines} & NOT_PRODUCTS
    assert [i.at for i in invoices] == sorted(i.at for i in invoices)


def test_its_notice_ships_beside_it() -> None:
    from importlib.resources import files

    text = (files("reconcilerd.simulator") / "data" / "NOTICE").read_text("utf-8")
    assert "CC BY 4.0" in text
    assert "10.24432/C5BW33" in text


def test_the_busy_hour_has_all_kinds_of_invoices() -> None:
    some = busy_hour(read_invoices(None))
    assert len({invoice.at // 3_600_000 for invoice in some}) == 1
    assert len(some) >= 20
    assert any(invoice.cancels for invoice in some)


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        (GOOD.replace(",6,", ",six,"), "quantity", "six"),
        (GOOD.replace(",6,", ",6.5,"), "quantity", "6.5"),
        (GOOD.replace(",6,", ",0,"), "quantity", "0"),
        (GOOD.replace(",6,", ",,"), "quantity", "''"),
        (GOOD.replace(",6,", ",--6,"), "quantity", "--6"),
        (GOOD.replace(",6,", ",²,"), "quantity", "²"),
        (GOOD.replace(",6,", ",True,"), "quantity", "True"),
        (GOOD.replace(",6,", f",{10**12},"), "quantity", "1000000000000"),
        (GOOD.replace("2010-12-01T08:26:00Z", "2010-12-01T08:26:00"), "ordered_at", "2010-12-01T08:26:00"),
        (GOOD.replace("2010-12-01T08:26:00Z", "1/12/2010"), "ordered_at", "1/12/2010"),
        (GOOD.replace("2.55", "cheap"), "unit_price_gbp", "cheap"),
        (GOOD.replace("2.55", "nan"), "unit_price_gbp", "nan"),
        (GOOD.replace("536365", " "), "invoice", "blank"),
        (GOOD.replace("85123A", ""), "stock_code", "blank"),
    ],
)
def test_a_bad_row_is_named_by_file_line_column_and_value(
    tmp_path: Path, row: str, column: str, value: str
) -> None:
    [fault] = faults(orders(tmp_path, GOOD, row, GOOD))
    assert fault.startswith("orders.csv:3: ")
    assert column in fault
    assert value in fault


def test_all_bad_rows_are_named_at_once_up_to_a_bound(tmp_path: Path) -> None:
    kinds = (",6,", ",x,"), ("2.55", "cheap"), ("85123A", " "), ("536365", ""), ("2010-", "MMX-")
    bad = [GOOD.replace(*kind) for kind in kinds]
    found = faults(orders(tmp_path, *bad * 6))
    assert len(found) == MAX_FAULTS + 1
    assert found[-1] == f"... and {len(bad) * 6 - MAX_FAULTS} more"


def test_a_column_that_is_wrong_throughout_is_told_a_few_times(tmp_path: Path) -> None:
    found = faults(orders(tmp_path, *[GOOD.replace(",6,", ",x,")] * 23, GOOD.replace("2.55", "cheap")))
    assert [each.split()[1] for each in found[:-1]] == ["quantity"] * ALIKE + ["unit_price_gbp"]
    assert found[-1] == "... and 18 more"


@contextmanager
def piped(raw: bytes) -> Iterator[Path]:
    """A pipe that holds these bytes, under the name that a shell gives one."""
    reads, writes = os.pipe()
    os.write(writes, raw)
    os.close(writes)
    try:
        yield Path(f"/dev/fd/{reads}")
    finally:
        os.close(reads)


def test_what_comes_through_a_pipe_is_read_whole() -> None:
    """Whoever opens one a second time finds the rest of it, or nothing."""
    text = f"{HEAD}\n{GOOD}\n{GOOD.replace('536365', '536366')}\n"
    with piped(text.encode("utf-8-sig")) as pipe:
        assert [each.number for each in read_invoices(pipe)] == ["536365", "536366"]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (gzip.compress(HEAD.encode()), "is compressed (gzip); unpack it"),
        (f"{HEAD}\n{GOOD}\n".encode() + b"\xff\n", ":3: not UTF-8"),
        (f"{HEAD}\n".encode(), "holds no order lines"),
    ],
    ids=[
        "packed",
        "no text",
        "empty",
    ],  # packed bytes hold the time of packing: each worker would name it otherwise
)
def test_what_is_wrong_with_it_is_told_though_it_cannot_be_read_again(raw: bytes, said: str) -> None:
    with piped(raw) as pipe:
        (fault,) = faults(pipe)
    assert said in fault


@pytest.mark.parametrize(
    "code", ["AB\u00a00", "A" * 129, '"A\nB"', "A\u200bB", "A\x01B", "A\x00B"], ids=ascii
)
def test_a_code_that_can_be_no_sku_is_refused(tmp_path: Path, code: str) -> None:
    (fault,) = faults(orders(tmp_path, GOOD.replace("85123A", code)))
    assert re.match(r"orders.csv:[23]: stock_code must be at most 128 characters that print, not 'A", fault)


def test_a_space_of_any_kind_around_a_code_is_no_part_of_it(tmp_path: Path) -> None:
    (invoice,) = read_invoices(orders(tmp_path, GOOD.replace("85123A", "\u00a085123A\u00a0")))
    assert [line.code for line in invoice.lines] == ["85123A"]


@pytest.mark.parametrize("head", ['"' + HEAD, HEAD.replace("invoice", '"invoice"x'), "x" * 200_000 + HEAD])
def test_a_header_that_is_no_csv_is_refused(tmp_path: Path, head: str) -> None:
    (fault,) = faults(orders(tmp_path, GOOD, head=head))
    assert fault.startswith("orders.csv:1: not CSV from here on: ")


def test_a_column_that_is_there_twice_is_named(tmp_path: Path) -> None:
    path = orders(tmp_path, GOOD, head=HEAD.replace("country", "quantity"))
    assert faults(path) == ("orders.csv:1: column 'quantity' is there twice; keep one",)


@pytest.mark.parametrize("head", ["", "a,b,c", HEAD.replace("quantity", "qty")])
def test_a_file_without_its_columns_is_refused(tmp_path: Path, head: str) -> None:
    assert "lacks the columns" in faults(orders(tmp_path, GOOD, head=head))[0]


def test_an_empty_file_a_missing_one_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "no order lines" in faults(orders(tmp_path))[0]
    assert "cannot be read" in faults(tmp_path / "nowhere.csv")[0]
    assert "cannot be read" in faults(tmp_path)[0]


@given(st.text(max_size=300))
def test_whatever_stands_in_a_file_is_read_or_refused_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "orders.csv"
    path.write_text(HEAD + "\n" + text, encoding="utf-8", errors="replace")
    try:
        found = read_invoices(path)
    except ConfigFault as refused:
        said = str(refused)
    else:
        said = ""
        assert found
        assert all(line.units > 0 and line.code for invoice in found for line in invoice.lines)
    assert "orders.csv" in said or not said


def play(folder: Path, *rows: str) -> Replay:
    invoices = read_invoices(orders(folder, *rows))
    replay = Replay(world_of(invoices, WorldConfig(), START, push=False))
    for invoice in invoices:
        replay.play(invoice, Instant(START + (invoice.at - invoices[0].at)))
    return replay


def test_every_invoice_is_one_order_at_the_same_store_in_every_run(tmp_path: Path) -> None:
    world = play(tmp_path, GOOD, GOOD.replace("85123A", "71053")).world
    [order] = world.orders.values()
    assert [code for code, _ in order.lines] == ["85123A", "71053"]
    [invoice] = read_invoices(tmp_path / "orders.csv")
    assert order.store == store_of(invoice, NAMES)
    real = {store_of(each, NAMES) for each in read_invoices(None)}
    assert real == {name for name, _ in STORES}


def test_a_cancellation_ends_the_order_it_belongs_to(tmp_path: Path) -> None:
    back = "C536365,85123A,HEART,-6,2010-12-01T08:27:00Z,2.55,United Kingdom"
    [order] = play(tmp_path, GOOD, back).world.orders.values()
    assert order.cancelled == START + 60_000


def test_a_number_that_begins_with_c_is_an_order_unless_it_takes_back(tmp_path: Path) -> None:
    sold = GOOD.replace("536365", "CH-1")
    back = sold.replace("6,2010", "-6,2010")
    world = play(tmp_path, sold, back.replace("08:26", "08:27")).world
    [order] = world.orders.values()
    assert order.number == "CH-1"
    assert order.cancelled == START + 60_000
    assert sells(read_invoices(orders(tmp_path, sold)))
    assert not sells(read_invoices(orders(tmp_path, back, GOOD.replace(",6,", ",-6,"))))
    assert not sells(read_invoices(orders(tmp_path, GOOD.replace("85123A", "POST"))))


def test_a_number_that_comes_again_after_days_is_another_order(tmp_path: Path) -> None:
    rows = [GOOD.replace("12-01T08:26", each) for each in ("12-01T08:26", "12-01T08:27", "12-03T08:26")]
    taken = GOOD.replace("536365", "536365-2")
    invoices = read_invoices(orders(tmp_path, *rows, taken))
    assert [(each.number, len(each.lines)) for each in invoices] == [
        ("536365", 2),
        ("536365-2", 1),
        ("536365-3", 1),
    ]
    assert invoices[2].at - invoices[0].at == 2 * 86_400_000


def test_what_was_cancelled_or_written_off_is_nothing_sold(tmp_path: Path) -> None:
    written_off = GOOD.replace(",6,", ",-40,").replace("536365", "536366")
    cancelled = GOOD.replace(",6,", ",-50,").replace("536365", "C536367")
    path = orders(tmp_path, GOOD, written_off, cancelled)
    assert plain_catalogue(read_invoices(path)).sold == {"85123A": 6}


def test_a_write_off_takes_units_off_the_shelf_and_is_no_order(tmp_path: Path) -> None:
    off = "536366,85123A,damaged,-2,2010-12-01T08:26:00Z,0,United Kingdom"
    world = play(tmp_path, GOOD, off).world
    before = world_of(read_invoices(tmp_path / "orders.csv"), WorldConfig(), START, push=False)
    lying = [sum(each.on_hand for each in some.bins.values()) for some in (before, world)]
    assert lying[0] - lying[1] == 2
    assert len(world.orders) == 1


def test_less_than_zero_at_a_price_is_never_sold(tmp_path: Path) -> None:
    world = play(tmp_path, GOOD.replace(",6,", ",-6,")).world
    assert world.orders == {}


def test_postage_and_fees_are_sold_and_mapped_to_nothing(tmp_path: Path) -> None:
    world = play(tmp_path, GOOD, GOOD.replace("85123A", "BANK CHARGES")).world
    assert "BANK CHARGES" not in world.products
    assert world.unmapped_sold == {"BANK CHARGES"}


def test_a_rich_catalogue_holds_what_makes_real_ones_hard() -> None:
    sells = rich_catalogue(busy_hour(read_invoices(None)))
    assert sells.packs
    assert [len(each.codes) for each in sells.sets] == [3, 2, 2]
    assert sells.sets[0].components[0] == sells.sets[1].sku
    assert sells.parents["85049"] == ("85049A", "85049B", "85049E", "85049G")
    world = world_of([], WorldConfig(), START, push=False, catalogue=sells)
    assert not [parent for parent in sells.parents if world.items_of(parent)]
    assert {item.each for item in world.stores["shop-us"].items.values()} == {1, 6}


def test_a_visitor_wants_the_same_eaches_as_sets_and_packs() -> None:
    sells = rich_catalogue(busy_hour(read_invoices(None)))
    world = world_of([], WorldConfig(), START, push=False, catalogue=sells)
    pack = min(sells.packs)
    first, *rest = sorted(sells.sets[1].codes)
    wanted = [(first, 5), (rest[0], 3), (pack, 8)]
    lines = basket_of(sells)("shop-us", wanted)
    eaches: dict[str, int] = {}
    for code, units in lines:
        item = world.stores["shop-us"].by_sku[code]
        for name, count in world.uses(item.sku).items():
            eaches[name] = eaches.get(name, 0) + units * item.each * count
    assert eaches == {first: 5, rest[0]: 3, pack: 12}
    assert dict(basket_of(sells)("shop-uk", wanted))[pack] == 8


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            f"{GOOD},more",
            "orders.csv:3: more cells than the header has columns; quote a cell that holds a comma",
        ),
        ("536366,85123A,HEART", "orders.csv:3: fewer cells than the header has columns"),
        (
            GOOD.replace(",6,", ",9999999999,"),
            "orders.csv:3: quantity must be a whole number other than 0 of",
        ),
        (
            GOOD.replace("HEART", '"HEART'),
            "orders.csv:3: not CSV from here on: unexpected end of data; a quote",
        ),
    ],
)
def test_a_bad_row_is_told_where_it_begins(tmp_path: Path, row: str, said: str) -> None:
    (fault,) = faults(orders(tmp_path, GOOD, row))
    assert fault.startswith(said)


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    path = orders(tmp_path, GOOD, GOOD)
    path.write_bytes(
        path.read_bytes() + "536366,85123A,CAFÉ,1,2010-12-01T08:26:00Z,2.55,France\n".encode("latin-1")
    )
    assert faults(path) == ("orders.csv:4: not UTF-8; save it as CSV UTF-8",)


def test_a_file_that_is_packed_is_told_to_be_unpacked(tmp_path: Path) -> None:
    plain = orders(tmp_path, GOOD)
    packed = tmp_path / "orders.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert faults(packed) == (f"{packed}: is compressed (gzip); unpack it, or save it as CSV UTF-8",)
    with zipfile.ZipFile(tmp_path / "orders.zip", "w") as file:
        file.writestr("orders.csv", plain.read_text())
    assert "is compressed (zip" in faults(tmp_path / "orders.zip")[0]
