"""Texts that are almost right: files, headers, replies, command lines. The number that stands there, or an error."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from reconcilerd.cli.pretend import Moment
from reconcilerd.config.credentials import resolve
from reconcilerd.config.load import load, salvage
from reconcilerd.config.policy import policy_of
from reconcilerd.config.rules import LISTING_COLUMNS, SKU_COLUMNS, default_sku, read_rules
from reconcilerd.connectors.shopify.graphql import GraphQL
from reconcilerd.connectors.shopify.lists import connection_of, nodes_of
from reconcilerd.domain.facts import FACT_TYPES, Fact
from reconcilerd.domain.names import ChannelName, Instant, Sku, format_instant, parse_instant, sku_of
from reconcilerd.domain.policy import MaxUnits, OfferRule, Percent
from reconcilerd.domain.quantities import MAX_UNITS, units
from reconcilerd.errors import ConfigFault, LedgerFault, MalformedReply, ReconcilerdError
from reconcilerd.ledger.codec import UnknownFact, decode, decode_body, encode, encode_body
from reconcilerd.simulator.shoppers import read_invoices
from reconcilerd.transport.replies import Reply, Skew, json_of, retry_after_ms
from tests.cli.commands import PROGRAM
from tests.near_misses.damage import GONE, NUMBERS, cuts, damaged, near_misses_of
from tests.near_misses.samples import FACTS

AT = Instant(1_700_000_000_000)
ROOT = Path(__file__).parents[2]
WHOLE = re.compile(r"[0-9]{1,10}")


def whole_number(text: str) -> int | None:
    """What a text denotes where a whole number from zero belongs."""
    trimmed = text.strip()
    return int(trimmed) if WHOLE.fullmatch(trimmed) and int(trimmed) <= MAX_UNITS else None


def moments() -> list[str]:
    return [
        str(each)
        for each in near_misses_of("2026-01-01T00:00:00Z")
        if isinstance(each, str) and each.encode("utf-8", "ignore").decode() == each
    ]


# Names, moments, quantities.


def test_a_quantity_is_a_whole_number_and_nothing_that_looks_like_one() -> None:
    for value in near_misses_of(5):
        if type(value) is int and 0 <= value <= MAX_UNITS:
            assert units(value) == value
        else:
            with pytest.raises(ValueError, match="quantity"):
                units(value)


@pytest.mark.parametrize("text", moments(), ids=ascii)
def test_a_moment_is_one_moment_or_none(text: str) -> None:
    try:
        at = parse_instant(text)
    except ValueError:
        return
    assert re.search(r"(Z|[+-]\d\d:\d\d)$", text, re.IGNORECASE), "a time without a zone"
    assert text.isascii()
    assert at in {parse_instant("2026-01-01T00:00:00Z"), at if text.startswith("0001") else -1}


BEYOND = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-00:01"
"""Moments that cannot be written down in UTC."""


@pytest.mark.parametrize("text", BEYOND)
def test_a_moment_beyond_the_calendar_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="out of the calendar"):
        parse_instant(text)
    with pytest.raises(click.UsageError, match="no time with a zone"):
        Moment().convert(text, None, None)
    for at in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        assert format_instant(parse_instant(at)) == at


@pytest.mark.parametrize(
    "text", [t for t in map(str, near_misses_of("Mug-1")) if "\ud800" not in t], ids=ascii
)
def test_a_sku_is_read_as_it_is_or_refused(text: str) -> None:
    try:
        found = sku_of(text)
    except ValueError as error:
        assert "SKU" in str(error)
    else:
        assert found == text.strip().casefold()
        assert found.isprintable()


# The rules CSV.


def read_cell(folder: Path, column: str, text: str) -> Any:
    settings = load(ROOT / "config.toml")
    lends = [each.model_copy(update={"overcommit": 1_000}) for each in settings.pools]
    settings = settings.model_copy(update={"pools": lends})
    quoted = text.replace('"', '""')
    channel = settings.channels[0].name if column in LISTING_COLUMNS else ""
    path = folder / "rules.csv"
    path.write_bytes(f'sku,channel,{column}\nA,{channel},"{quoted}"\n'.encode())
    default = {ChannelName(each.name): OfferRule() for each in settings.channels}
    rules = read_rules(path, settings, default)
    return rules.offers[Sku("a"), ChannelName(channel)] if channel else rules.skus[Sku("a")]


CELLS: dict[str, Callable[[Any], Any]] = {
    "max": lambda rule: rule.normal.units if isinstance(rule.normal, MaxUnits) else None,
    "low_stock_max": lambda rule: rule.low_stock.units if rule.low_stock else None,
    "cap": lambda rule: rule.cap,
    "floor": lambda rule: rule.floor,
    "pot": lambda rule: rule.pot,
    "minimum": lambda rule: rule.minimum,
    "buffer": lambda rule: rule.buffer,
    "units_per_sale": lambda rule: rule.units_per_sale,
    "min_level": lambda rule: rule.min_level,
    "safety_stock": lambda rule: rule.safety_stock,
}


@pytest.mark.parametrize("column", CELLS)
def test_a_cell_of_the_rules_is_the_number_it_holds_or_a_fault_of_its_column(
    tmp_path: Path, column: str
) -> None:
    for text in NUMBERS:
        denoted = whole_number(text)
        try:
            rule = read_cell(tmp_path, column, text)
        except ConfigFault as fault:
            assert denoted is None or column == "units_per_sale", text
            assert f"rules.csv:2: {column}" in str(fault) or "not CSV" in str(fault), text
        else:
            assert CELLS[column](rule) == denoted, text


@pytest.mark.parametrize("column", ["percent", "low_stock_percent"])
def test_a_share_of_the_rules_is_the_percentage_it_holds_or_a_fault(tmp_path: Path, column: str) -> None:
    for text in (*NUMBERS, "60", "60.5", "60,5", "100", "100.1", "60.55", "60 %"):
        try:
            rule = read_cell(tmp_path, column, text)
        except ConfigFault as fault:
            assert column in str(fault) or "not CSV" in str(fault)
        else:
            share = rule.normal if column == "percent" else rule.low_stock
            assert re.fullmatch(r"[0-9]{1,3}(\.[0-9])?", text.strip()), text
            assert share == Percent(round(float(text) * 10))


def test_every_number_of_the_rules_is_tried() -> None:
    eaches = {name for name, (unit, _) in {**SKU_COLUMNS, **LISTING_COLUMNS}.items() if unit == "eaches"}
    assert eaches == set(CELLS)


def test_cut_or_spoilt_rules_are_rules_or_faults(tmp_path: Path) -> None:
    settings = load(ROOT / "config.toml")
    default = {ChannelName(each.name): OfferRule() for each in settings.channels}
    path = tmp_path / "rules.csv"
    for data in cuts(f"sku,channel,safety_stock,cap\nA,,2,\nA,{settings.channels[0].name},,60\n".encode()):
        path.write_bytes(data)
        try:
            rules = read_rules(path, settings, default)
        except ConfigFault as fault:
            assert "rules.csv" in str(fault)
        else:
            assert {rule.safety_stock for rule in rules.skus.values()} <= {
                2,
                default_sku(settings).safety_stock,
            }
            assert {rule.cap for rule in rules.offers.values()} <= {60, 6, None}  # 6: it ended there


# The orders file of the simulator.

ORDER = "invoice,stock_code,description,quantity,ordered_at,unit_price_gbp,country\n"


def test_a_quantity_of_an_order_line_is_the_number_it_holds_or_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    for text in NUMBERS:
        quoted = text.replace('"', '""')
        path.write_text(f'{ORDER}1,A,a,"{quoted}",2026-01-01T00:00:00Z,1.5,UK\n', "utf-8")
        try:
            (invoice,) = read_invoices(path)
        except ConfigFault as fault:
            assert "orders.csv:2: quantity" in str(fault) or "not CSV" in str(fault), text
        else:
            assert re.fullmatch(r"-?[0-9]{1,9}", text.strip()), text
            (line,) = invoice.lines
            assert (line.units, line.write_off) == (abs(int(text)), int(text) < 0)


@pytest.mark.parametrize("text", moments(), ids=ascii)
def test_a_moment_of_an_order_line_is_one_or_a_fault(tmp_path: Path, text: str) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(f'{ORDER}1,A,a,5,"{text}",1.5,UK\n', "utf-8")
    try:
        (invoice,) = read_invoices(path)
    except ConfigFault as fault:
        assert "ordered_at" in str(fault) or "not CSV" in str(fault)
    else:
        assert invoice.at == parse_instant(text.strip())


def test_a_cut_orders_file_is_told_or_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    whole = f"{ORDER}1,A,a,12,2026-01-01T00:00:00Z,1.5,UK\n".encode()
    for data in cuts(whole):
        path.write_bytes(data)
        try:
            invoices = read_invoices(path)
        except ConfigFault as fault:
            assert str(fault)
        else:
            assert {line.units for each in invoices for line in each.lines} == {12}


# config.toml.

TOML = (ROOT / "config.toml").read_text("utf-8")


@pytest.mark.parametrize("text", [*NUMBERS, '"5"', "[5]", "5.0", "true", "2026-01-01", "nan"], ids=ascii)
def test_a_number_of_the_configuration_is_what_toml_says_it_is_or_a_fault_of_its_key(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"{TOML}\n[sku_defaults]\nsafety_stock = {text}\n", "utf-8")
    try:
        stock = load(path).sku_defaults.safety_stock
    except ConfigFault as fault:
        assert "safety_stock" in str(fault) or "not TOML" in str(fault)
        salvage(path)
    else:
        assert type(stock) is int
        assert stock == int(text.strip().lstrip("+"), 0)


def test_a_cut_configuration_is_settings_or_faults(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    whole = b'environment = "simulator"\n[extensiv]\nurl = "http://127.0.0.1:1"\n[sku_defaults]\nsafety_stock = 77\n'
    for data in cuts(whole):
        path.write_bytes(data)
        try:
            settings = load(path)
        except ConfigFault as fault:
            assert "config.toml" in str(fault)
        else:
            policy = policy_of(settings, tmp_path)
            assert policy.default_sku.safety_stock in {0, 7, 77}


# Secrets.


@pytest.mark.parametrize(
    "text", [t for t in map(str, near_misses_of("s3cr3t-of-ours")) if "\ud800" not in t], ids=ascii
)
def test_a_secret_is_what_the_file_holds_or_a_fault_without_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    faults: list[str] = []
    found = resolve(f"file:{path}", {}, "extensiv.auth.token", faults)
    if found is None:
        assert faults
        assert faults[0].startswith("extensiv.auth.token: ")
        assert not text.strip() or text.strip() not in faults[0]
    else:
        assert found.reveal() == text.strip()
        assert found.reveal().isprintable()


# Headers.


def test_how_long_to_wait_is_the_number_that_a_header_holds_or_nothing() -> None:
    for header, unit in (("retry-after", 1000), ("x-skubana-quota-retryafter", 1)):
        for text in NUMBERS:
            told = retry_after_ms({header: text}, AT)
            if told is not None:
                assert re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?([eE][0-9]+)?", text.strip()), text
                assert told == max(0, round(float(text) * unit))
                assert math.isfinite(told)


@pytest.mark.parametrize(
    "text",
    [
        "Thu, 01 Jan 1970 00:16:45 GMT", "Thu, 01 Jan 1970 00:16:45", "01 Jan 1970 00:16:45 GMT", "Thu, 99 Jan 1970",
        "1970-01-01T00:16:45Z", "Thu, 01 Jan 0000 00:00:00 GMT", "Thu, 01 Jan 99999 00:00:00 GMT", "", "\0", "5",
        "Thu, 01 Jan 1970 25:16:45 GMT", "Thu, 01 Jan 1970 00:16:45 +9999", "Thu, 01 Jan ١٩٧٠ 00:16:45 GMT",
    ],
)  # fmt: skip
def test_a_date_that_cannot_be_read_proves_nothing(text: str) -> None:
    skew = Skew()
    skew.learn(Reply(200, {"date": text}, b"", Instant(1_005_000), Instant(1_005_000)))
    told = retry_after_ms({"retry-after": text}, Instant(1_000_000))
    if "00:16:45 GMT" in text and text.isascii():
        assert (skew.ahead_ms, told) == (0, 5_000)
    else:
        assert skew.ahead_ms == 0 or told is not None


# Replies.


def reply(body: bytes) -> Reply:
    return Reply(200, {}, body, AT, AT)


def test_a_spoilt_reply_is_malformed_or_what_it_says() -> None:
    sound = {"data": {"quantity": 12}, "errors": []}
    for data in cuts(json.dumps(sound).encode()):
        try:
            found = json_of(reply(data), dict[str, Any], "shop-uk")
        except MalformedReply as error:
            assert "shop-uk" in str(error)
        else:
            assert found == sound


def test_of_a_key_that_stands_twice_the_last_one_counts_as_everywhere_in_json() -> None:
    assert json_of(reply(b'{"quantity": 5, "quantity": 7}'), dict[str, Any], "x") == {"quantity": 7}


LIST = {"items": {"nodes": [{"id": "a"}], "pageInfo": {"hasNextPage": True, "endCursor": "c"}}}


def test_a_spoilt_list_never_ends_early_and_never_goes_on_nowhere() -> None:
    for spoilt in damaged(LIST):
        try:
            found = connection_of(spoilt.row, "items", "shop-uk")
        except MalformedReply as error:
            assert "shop-uk" in str(error)
            continue
        has_next = spoilt.row["items"]["pageInfo"]["hasNextPage"]
        assert found.more is (has_next is True)
        assert isinstance(found.nodes, list)


def test_items_by_id_are_all_there_or_the_reply_is_malformed() -> None:
    for spoilt in damaged({"nodes": [{"id": "a"}, None]}):
        try:
            found = nodes_of(spoilt.row, "shop-uk", ["a", "b"])
        except MalformedReply as error:
            assert "shop-uk" in str(error)
        else:
            assert len(spoilt.row["nodes"]) == 2
            assert {each["id"] for each in found} <= {"a", "b"}


GRAPHQL = {
    "data": {"x": 1},
    "extensions": {
        "cost": {
            "requestedQueryCost": 10,
            "actualQueryCost": 8,
            "throttleStatus": {"maximumAvailable": 2000, "currentlyAvailable": 1990, "restoreRate": 100},
        }
    },
}
REFUSED = {"data": None, "errors": [{"message": "no", "extensions": {"code": "BAD"}}]}


class OneReply:
    """A store that always says the same."""

    def __init__(self, body: Any) -> None:
        from reconcilerd.connectors.shopify.graphql import LANE
        from reconcilerd.transport.lane import Lane

        self.body = json.dumps(body).encode()
        self.made = Lane(LANE, lambda: AT)

    def lane(self, _name: str) -> Any:
        return self.made

    async def send(self, _call: object) -> Reply:
        return reply(self.body)


@pytest.mark.parametrize("sound", [GRAPHQL, REFUSED], ids=["an answer", "a refusal"])
async def test_a_spoilt_graphql_reply_is_an_answer_or_one_of_our_errors(sound: dict[str, Any]) -> None:
    from reconcilerd.transport.lane import Priority

    for spoilt in damaged(sound):
        if "\\ud800" in json.dumps(spoilt.row):
            continue
        wire = OneReply(spoilt.row)
        try:
            data, _ = await GraphQL(wire, "shop-uk").run("inventory_items", {}, Priority.STOCK)
        except ReconcilerdError as error:
            assert "shop-uk" in str(error)
        else:
            assert data == spoilt.row["data"]
            assert not spoilt.row.get("errors"), "what it said beside its answer was not heard"
        assert math.isfinite(wire.made.size)
        assert wire.made.size > 0
        assert math.isfinite(wire.made.tokens_left)


# The ledger's bytes.


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.kind)
def test_spoilt_bytes_of_a_fact_are_a_fault_or_the_fact_that_they_say(fact: Fact) -> None:
    assert decode(fact.kind, fact.about, encode(fact)) == fact
    for spoilt in damaged(json.loads(encode(fact))):
        if "\\ud800" in json.dumps(spoilt.row):
            continue
        try:
            found = decode(fact.kind, fact.about, json.dumps(spoilt.row).encode())
        except LedgerFault as error:
            assert fact.kind in str(error)
            continue
        assert type(found) is type(fact)
        if spoilt.value is not GONE:
            assert json.loads(encode(found)) is not None
            changed = _at(json.loads(encode(found)), spoilt.path)
            assert (
                changed == spoilt.value or spoilt.value in ([], {}) or isinstance(spoilt.value, (dict, list))
            )
            assert not (isinstance(spoilt.value, bool) and type(changed) is int), "True is not 1"


def _at(row: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        row = row[step]
    return row


@pytest.mark.parametrize("fact", FACTS[:3], ids=lambda fact: fact.kind)
def test_cut_bytes_of_a_fact_or_an_entry_are_a_fault(fact: Fact) -> None:
    from reconcilerd.ledger.codec import Row

    for data in cuts(encode(fact)):
        try:
            found = decode(fact.kind, fact.about, data)
        except LedgerFault as error:
            assert fact.kind in str(error)
        else:
            assert found == fact
    rows = [Row(fact.kind, fact.about, 0, encode(fact))]
    for data in cuts(encode_body(rows)):
        try:
            again = decode_body(data)
        except LedgerFault as error:
            assert "entry" in str(error)
        else:
            assert [each.kind for each in again] in ([fact.kind], []), (
                "what is in it, the chain's hash proves"
            )


def test_a_fact_of_a_later_version_is_kept_as_it_is() -> None:
    assert decode("moon", "x", b'{"a": 1}') == UnknownFact("moon", "x", b'{"a": 1}')
    assert {fact.kind for fact in FACTS} == set(FACT_TYPES), "a fact without a sample"


# The command line.


@pytest.mark.parametrize(
    "text",
    ["", "5", "1..", "..5", "1..5..9", "5..1", "-1..5", "1...5", "1 .. 5", "١..٣", "1..²", "1..5.0", "a..b", "1..1e3",
     "1,5", "1-5", "0x1..0x5", "1..99999999999999999999", "1.." + "9" * 5000, "1..5\0", "True..5", "1_0..2_0"],
    ids=ascii,
)  # fmt: skip
def test_a_span_of_seeds_is_two_whole_numbers_or_refused(text: str) -> None:
    seeds = next(each for each in PROGRAM.commands["simulate"].params if each.name == "seeds").type
    with pytest.raises(click.UsageError, match="seeds"):
        seeds.convert(text, None, None)
    assert seeds.convert("3..5", None, None) == range(3, 6)


@pytest.mark.parametrize(
    "text",
    ["", "5", "h", "2 h", "-2h", "2.5h", "2H", "2w", "1h30m", "1e3s", "٢h", "²h", "0x2h",
     "2h\0", "2h\n", "9" * 8 + "s", "1_0s"],
    ids=ascii,
)  # fmt: skip
def test_a_span_of_time_is_a_whole_number_with_its_unit_or_refused(text: str) -> None:
    group = PROGRAM.commands["alerts"]
    assert isinstance(group, click.Group)
    span = next(each for each in group.commands["silence"].params if "--for" in each.opts).type
    with pytest.raises(click.UsageError, match="no time"):
        span.convert(text, None, None)
    assert [span.convert(each, None, None) for each in ("90s", "30m", "2h", "1d")] == [90, 1800, 7200, 86_400]
