"""The rules CSV: what it refuses and what it says, and what a good one comes to."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.config.load import parse
from reconcilerd.config.policy import policy_of
from reconcilerd.domain.names import ChannelName, LocationName, Sku
from reconcilerd.domain.policy import MaxUnits, Percent, Policy
from reconcilerd.domain.quantities import Rate
from reconcilerd.errors import ConfigFault

ROOT = Path(__file__).parents[2]
UK = ChannelName("shop-uk")


def policy(folder: Path, text: str | bytes, **more: Any) -> Policy:
    content = tomllib.loads((ROOT / "config.toml").read_text("utf-8"))
    (folder / "rules.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return policy_of(parse({**content, "rules_csv": "rules.csv", **more}, "config.toml"), folder)


def faults(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigFault) as caught:
        policy(folder, text)
    return list(caught.value.faults)


WHOLE = "a whole number from 0 to 1000000000"
SHARE = "a percentage from 0 to 100 with at most one decimal"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sku,chanel\nA,x\n", "rules.csv:1: no such column 'chanel'; did you mean 'channel'?"),
        ("sku,cap,cap\n", "rules.csv:1: column 'cap' is there twice"),
        (
            "sku;channel;cap\nA;shop-uk;1\n",
            "rules.csv:1: separated by semicolons; save it as CSV with commas",
        ),
        ("", "rules.csv:1: the column 'sku' is missing; the first line names the columns"),
        ("sku,channel\n,shop-uk\n", "rules.csv:2: sku: is blank"),
        ("sku,channel\n\u0007,shop-uk\n", "rules.csv:2: sku: is not a SKU"),
        (
            "sku,channel,cap\nA,shop-uk,1\na ,shop-uk,2\n",
            "rules.csv:3: sku: 'a' has a row for shop-uk already, on line 2",
        ),
        ("sku\nA\n\na\n", "rules.csv:4: sku: 'a' has a row for all channels already, on line 2"),
        ("sku,channel,cap\nA,shop-uk,-1\n", f"rules.csv:2: cap: {WHOLE} (got '-1')"),
        ("sku,channel,cap\nA,shop-uk,1.5\n", f"rules.csv:2: cap: {WHOLE} (got '1.5')"),
        ("sku,channel,cap\nA,shop-uk,true\n", f"rules.csv:2: cap: {WHOLE} (got 'true')"),
        ("sku,channel,cap\nA,shop-uk,٣\n", f"rules.csv:2: cap: {WHOLE} (got '٣')"),
        ("sku,channel,cap\nA,shop-uk,1000000001\n", f"rules.csv:2: cap: {WHOLE} (got '1000000001')"),
        (
            f"sku,channel,cap\nA,shop-uk,{'9' * 5000}\n",
            f"rules.csv:2: cap: {WHOLE} (got '{'9' * 40}')",
        ),
        (
            "sku,channel,units_per_sale\nA,shop-uk,0\n",
            "rules.csv:2: units_per_sale: a whole number from 1 to 100000 (got '0')",
        ),
        ("sku,channel,percent\nA,shop-uk,100.1\n", f"rules.csv:2: percent: {SHARE} (got '100.1')"),
        ("sku,channel,percent\nA,shop-uk,33.33\n", f"rules.csv:2: percent: {SHARE} (got '33.33')"),
        ("sku,channel,percent\nA,shop-uk,nan\n", f"rules.csv:2: percent: {SHARE} (got 'nan')"),
        (
            "sku,channel,percent,max\nA,shop-uk,5,5\n",
            "rules.csv:2: max: percent and max exclude each other; leave one empty",
        ),
        ("sku,channel,cap,floor\nA,shop-uk,1,5\n", "rules.csv:2: floor: 5 is above the cap of 1"),
        ("sku,channel,managed\nA,shop-uk,maybe\n", "rules.csv:2: managed: yes or no (got 'maybe')"),
        ("sku,kit\nA,true\n", "rules.csv:2: kit: yes or no (got 'true')"),
        (
            "sku,channel,kit\nA,shop-uk,yes\n",
            "rules.csv:2: kit: belongs to the SKU: put it in a row without a channel",
        ),
        (
            "sku,channel,cap\nA,shop-uk,1,2\n",
            "rules.csv:2: row: more cells than the header has columns; quote a cell that holds a comma",
        ),
        ("sku,channel\nA,shop_uk\n", "rules.csv:2: channel: no channel 'shop_uk'; did you mean 'shop-uk'?"),
        (
            "sku,channel\nA,ebay\n",
            "rules.csv:2: channel: no channel 'ebay'; known: shop-eu, shop-uk, shop-us",
        ),
        ("sku,pool\nA,splits\n", "rules.csv:2: pool: no pool 'splits'; did you mean 'split'?"),
        (
            "sku,exclude_locations\nA,2;7\n",
            "rules.csv:2: exclude_locations: no channel draws on warehouse '7'; known: 1, 2",
        ),
        ("sku,cap\nA,1\n", "rules.csv:2: cap: belongs to a listing: put it in a row with a channel"),
        (
            "sku,channel,pool\nA,shop-uk,split\n",
            "rules.csv:2: pool: belongs to the SKU: put it in a row without a channel",
        ),
        (
            "sku,pool\nA,split\n",
            "rules.csv:2: percent: the percentages of 'a' in the split pool 'split' "
            "add up to 300 over shop-eu, shop-uk, shop-us; at most 100",
        ),
    ],
)
def test_a_bad_rule_is_told_with_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    assert faults(tmp_path, text) == [said]


SPLIT = (
    "sku,channel,pool,percent,max,low_stock_percent,low_stock_max\n"
    "A,,split,,,,\nA,shop-eu,,20,,,\nA,shop-us,,10,,,\n"
)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            "A,shop-uk,,,5,,\n",
            "rules.csv:5: max: 'a' on shop-uk is in the split pool 'split'; use percent with cap",
        ),
        (
            "A,shop-uk,,70,,,5\n",
            "rules.csv:5: low_stock_max: 'a' on shop-uk is in the split pool 'split'; use low_stock_percent with cap",
        ),
        (
            "A,shop-uk,,70,,70.1,\n",
            "rules.csv:2: low_stock_percent: the percentages of 'a' in the split pool 'split' "
            "add up to 100.1 over shop-eu, shop-uk, shop-us; at most 100",
        ),
    ],
)
def test_a_split_pool_takes_only_shares_that_fit(tmp_path: Path, row: str, said: str) -> None:
    assert faults(tmp_path, SPLIT + row) == [said]


def test_shares_that_fill_a_split_pool_exactly_are_taken(tmp_path: Path) -> None:
    made = policy(tmp_path, SPLIT + "A,shop-uk,,70,,,\n")
    assert made.offers[Sku("a"), UK].normal == Percent(700)


def test_all_faults_of_a_sheet_are_told_at_once(tmp_path: Path) -> None:
    text = "sku,channel,cap,floor\nA,shop-uk,x,y\n,,,\nB,ebay,,\nC,shop-eu,1.0,\n"
    assert [fault.split(": ")[0:2] for fault in faults(tmp_path, text)] == [
        ["rules.csv:2", "cap"],
        ["rules.csv:2", "floor"],
        ["rules.csv:3", "sku"],
        ["rules.csv:4", "channel"],
        ["rules.csv:5", "cap"],
    ]


def test_a_quote_that_is_left_open_swallows_no_row(tmp_path: Path) -> None:
    """What follows would be one cell of its row, and its rules would be lost without a word."""
    (said,) = faults(tmp_path, 'sku,pool\nA,"split\nB,split\nC,split\n')
    assert said.endswith("; a quote may be open above it")


def test_the_list_of_faults_has_an_end(tmp_path: Path) -> None:
    told = faults(tmp_path, "sku\n" + " ,\n" * 70)
    assert len(told) == 51
    assert told[-1].startswith("... and ")


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    content = tomllib.loads((ROOT / "config.toml").read_text("utf-8"))
    settings = parse({**content, "rules_csv": "missing.csv"}, "config.toml")
    with pytest.raises(ConfigFault) as caught:
        policy_of(settings, tmp_path)
    assert caught.value.faults == (f"{tmp_path}/missing.csv: there is no such file; rules_csv names it",)


def test_a_file_in_another_encoding_says_so(tmp_path: Path) -> None:
    assert faults(tmp_path, "sku\nÄ\n".encode("latin-1")) == [
        f"{tmp_path}/rules.csv: not UTF-8; save it as CSV UTF-8"
    ]


def test_a_rule_says_what_its_row_says(tmp_path: Path) -> None:
    made = policy(
        tmp_path,
        "\ufeffsku,channel,max,low_stock_percent,cap,floor,buffer,units_per_sale,exclude_locations,managed,"
        "safety_stock,min_level,rate_per_day,kit\n"
        "Ab,,,,,,,,1,,3,4,48,Yes\n"
        "AB,shop-uk,9,12.5,8,2,1,6,2;1,no,,,,\n",
    )
    rule, offer = made.sku_rule(Sku("ab")), made.offer_rule(Sku("ab"), UK)
    assert (rule.safety_stock, rule.min_level, rule.rate, rule.pool) == (3, 4, Rate(2000), "shared")
    assert rule.excluded_locations == {LocationName("1")}
    assert rule.kit
    assert not made.sku_rule(Sku("b")).kit
    assert (offer.normal, offer.low_stock) == (MaxUnits(9), Percent(125))
    assert (offer.cap, offer.floor, offer.buffer, offer.units_per_sale, offer.managed) == (8, 2, 1, 6, False)
    assert offer.excluded_locations == {LocationName("1"), LocationName("2")}


def test_what_a_row_leaves_open_is_the_default(tmp_path: Path) -> None:
    base = {"safety_stock": 2, "min_level": 5, "rate_per_day": 12}
    made = policy(tmp_path, "sku,safety_stock\nA,7\n", sku_defaults=base)
    named, other = made.sku_rule(Sku("a")), made.sku_rule(Sku("b"))
    assert (named.safety_stock, named.min_level, named.rate) == (7, 5, Rate(500))
    assert (other.safety_stock, other.min_level, other.rate) == (2, 5, Rate(500))


def test_the_revision_follows_what_is_said_not_how_it_is_written(tmp_path: Path) -> None:
    one = policy(tmp_path, "sku,channel,cap\nA,shop-uk,1\nB,shop-uk,2\n")
    same = policy(tmp_path, "channel,sku,cap\nshop-uk,b,02\n\nshop-uk,a,1\n")
    other = policy(tmp_path, "sku,channel,cap\nA,shop-uk,1\nB,shop-uk,3\n")
    assert one.revision == same.revision
    assert one.revision != other.revision


@given(
    st.lists(
        st.lists(st.text(max_size=8) | st.sampled_from(["sku", "a", "shop-uk", "5"]), max_size=5), max_size=5
    )
)
def test_whatever_the_sheet_holds_the_answer_is_rules_or_faults(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]
) -> None:
    text = "\n".join(",".join(row) for row in [["sku", "channel", "cap"], *cells])
    try:
        policy(tmp_path_factory.mktemp("rules"), text.encode("utf-8", "surrogatepass"))
    except ConfigFault as fault:
        assert fault.faults  # noqa: PT017 - rules are as good an answer


def test_a_share_that_could_not_be_read_is_told_once_and_not_added_up(tmp_path: Path) -> None:
    assert faults(tmp_path, SPLIT + "A,shop-uk,,7O,,,\n") == [
        f"rules.csv:5: percent: {SHARE} (got '7O')",
    ]
    misspelt = "sku,channel,pool,percnt\nA,,split,\nA,shop-uk,,10\n"
    assert faults(tmp_path, misspelt) == ["rules.csv:1: no such column 'percnt'; did you mean 'percent'?"]


def test_the_rules_that_the_readme_shows_are_good_ones(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```csv\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    lines = "\n".join(line.strip() for line in shown.splitlines())
    made = policy(tmp_path, f"{lines}\n")
    assert made.offer_rule(Sku("mug-red"), ChannelName("shop-us")).cap == 24
    assert made.offer_rule(Sku("mug-box6"), UK).units_per_sale == 6


@pytest.mark.parametrize(
    ("price", "hundredths"), [("12.50", 1250), ("12.5", 1250), ("12", 1200), ("0.05", 5), ("", 300)]
)
def test_a_price_is_kept_in_hundredths(tmp_path: Path, price: str, hundredths: int) -> None:
    made = policy(tmp_path, f"sku,unit_price,protected\nA,{price},yes\n", sku_defaults={"unit_price": 3.0})
    assert (made.skus[Sku("a")].price, made.skus[Sku("a")].protected) == (hundredths, True)
    assert (made.default_sku.price, made.default_sku.protected) == (300, False)


@pytest.mark.parametrize("price", ["-1", "1.234", "12,50", "£5", "1e3", "nan"])
def test_a_price_that_is_none_is_refused(tmp_path: Path, price: str) -> None:
    said = f"rules.csv:2: unit_price: an amount like 12.50, without a currency (got '{price}')"
    assert faults(tmp_path, f'sku,unit_price\nA,"{price}"\n') == [said]
