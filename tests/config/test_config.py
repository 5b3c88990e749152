"""What the configuration refuses, and what it says: every fault at once, with its place."""

import copy
import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.config.defaults import describe
from reconcilerd.config.load import load, parse
from reconcilerd.config.policy import policy_of
from reconcilerd.config.settings import Settings
from reconcilerd.domain.names import ChannelName
from reconcilerd.domain.policy import Ages, ChannelRule, Limits, OfferRule, PoolMode, PoolRule, SkuRule
from reconcilerd.errors import ConfigFault

ROOT = Path(__file__).parents[2]
Change = Callable[[dict[str, Any]], object]


def content() -> dict[str, Any]:
    return tomllib.loads((ROOT / "config.toml").read_text("utf-8"))


def elsewhere(environment: str) -> dict[str, Any]:
    """The shipped configuration as a tenant would change it: https, own hosts, own credentials."""
    changed = content()
    changed["environment"] = environment
    changed["extensiv"]["base_url"] = "https://extensiv.example"
    for number, each in enumerate([changed["extensiv"], *changed["channels"]]):
        each["base_url"] = f"https://{number}.example"
        each["auth"] |= {
            "token_url": f"https://{number}.example/t",
            "client_id": "id",
            "client_secret": "key",
        }
    return changed


def faults_of(changed: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigFault) as caught:
        parse(changed, "config.toml")
    return list(caught.value.faults)


def faults_in(path: Path) -> list[str]:
    with pytest.raises(ConfigFault) as caught:
        load(path)
    return list(caught.value.faults)


def put(*keys: str | int, value: object) -> Change:
    def change(changed: dict[str, Any]) -> None:
        inner: Any = changed
        for key in keys[:-1]:
            inner = inner.setdefault(key, {}) if isinstance(inner, dict) else inner[key]
        inner[keys[-1]] = value

    return change


def test_the_shipped_configuration_works_and_is_short() -> None:
    policy = policy_of(load(ROOT / "config.toml"), ROOT)
    assert len(policy.channels) == 3
    assert {pool.mode for pool in policy.pools.values()} == {PoolMode.ADAPTIVE, PoolMode.SPLIT}
    assert len((ROOT / "config.toml").read_text("utf-8").splitlines()) < 120


def test_a_configuration_that_says_nothing_has_the_defaults_of_the_domain() -> None:
    bare = content()
    for key in ("limits", "ages"):
        bare.pop(key, None)
    bare["channels"] = bare["channels"][:1]
    policy = policy_of(parse(bare, "config.toml"), ROOT)
    assert (policy.limits, policy.ages) == (Limits(), Ages())
    assert policy.default_sku == SkuRule(pool="shared")
    assert policy.pools["shared"] == PoolRule(PoolMode.ADAPTIVE)
    channel, usual = policy.channels[ChannelName("shop-uk")], ChannelRule()
    assert channel.offer == OfferRule()
    assert (channel.order_lag_ms, channel.read_lag_ms) == (usual.order_lag_ms, usual.read_lag_ms)
    assert (channel.apply_max_ms, channel.import_max_ms) == (usual.apply_max_ms, usual.import_max_ms)


def test_settings_reach_the_policy() -> None:
    changed = content()
    changed["channels"][0] |= {"read_lag_s": 2.5, "percent": 40.5}
    changed["limits"] |= {"window_min_slots": 4, "unexplained_fall_percent": 80.5, "match_percent": 99.95}
    changed["limits"] |= {"match_floor": 3, "match_orders": 100, "match_window_s": 60}
    changed["ages"] = {"lower_reread_s": 4}
    policy = policy_of(parse(changed, "config.toml"), ROOT)
    channel = policy.channels[ChannelName("shop-uk")]
    assert (channel.read_lag_ms, channel.offer.normal) == (2_500, type(channel.offer.normal)(405))
    limits = policy.limits
    assert (limits.window_min_slots, limits.unexplained_fall_permille, limits.match_permyriad) == (
        4,
        805,
        9_995,
    )
    assert (limits.match_floor, limits.match_orders, limits.match_window_ms) == (3, 100, 60_000)
    assert policy.ages.lower_reread_ms == 4_000


def test_all_faults_of_a_file_are_told_at_once() -> None:
    changed = content()
    changed["daemn"] = {}
    changed["channels"][0]["pol_s"] = 1
    changed["channels"][1]["poll_s"] = "60"
    changed["channels"][2]["name"] = "Shop-UK"
    changed["limits"]["window_slots"] = True
    changed["limits"]["unexplained_zeros"] = -1
    changed["locations"]["2"]["miror"] = True
    changed["pools"][1]["default"] = True
    del changed["extensiv"]["base_url"]
    assert sorted(faults_of(changed)) == sorted(
        [
            "config.toml: daemn: no such key; did you mean 'daemon'?",
            "config.toml: channels[0].pol_s: no such key; did you mean 'poll_s'?",
            "config.toml: channels[1].poll_s: input should be a valid number (got '60')",
            "config.toml: channels[2].name: 'shop-uk' is that of channels[0] already",
            "config.toml: limits.window_slots: input should be a valid integer (got True)",
            "config.toml: limits.unexplained_zeros: input should be greater than or equal to 0 (got -1)",
            "config.toml: locations.2.miror: no such key; did you mean 'mirror'?",
            "config.toml: pools: exactly one has default = true, not 2",
            "config.toml: extensiv.base_url: is missing",
        ]
    )


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (-1, "input should be greater than or equal to 0 (got -1)"),
        (1.5, "input should be a valid integer (got 1.5)"),
        (2.0, "input should be a valid integer (got 2.0)"),
        (True, "input should be a valid integer (got True)"),
        ("7", "input should be a valid integer (got '7')"),
        (10**60, "input should be less than or equal to 1000000000 (got a huge number)"),
    ],
)
def test_a_quantity_is_a_whole_number_from_zero(bad: object, said: str) -> None:
    changed = content()
    changed["channels"][0]["cap"] = bad
    assert faults_of(changed) == [f"config.toml: channels[0].cap: {said}"]


CLASH = "this place of this store is mapped in channels[0] already"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("environment", value="sandbocks"), "environment: input should be 'simulator', 'sandbox' or 'live' "
            "(got 'sandbocks'); did you mean 'sandbox'?"),
        (put("limits", "mode", value=3), "limits.mode: input should be 'observe', 'net', 'guarded' or 'auto' (got 3)"),
        (put("channels", 0, "poll_s", value=0), "channels[0].poll_s: input should be greater than or equal to "
            "0.001 (got 0)"),
        (put("channels", 0, "poll_s", value=True), "channels[0].poll_s: input should be a valid number (got True)"),
        (put("channels", 0, "poll_s", value=float("nan")), "channels[0].poll_s: input should be a finite "
            "number (got nan)"),
        (put("channels", 0, "percent", value=33.33), "channels[0].percent: at most 1 decimal (got 33.33)"),
        (put("channels", 0, "name", value="extensiv"), "channels[0].name: 'extensiv' names the source of the "
            "stock; call the channel otherwise"),
        (put("channels", 1, "sales_channel_id", value=101), "channels[1].sales_channel_id: 101 is that of "
            "channels[0] already"),
        (put("channels", 0, "places", "gid://shopify/Location/109", value=["2"]),
            "channels[0].places.'gid://shopify/Location/109': warehouse '2' is drawn on by "
            "'gid://shopify/Location/101' of this channel already"),
        (put("channels", 0, "places", "gid://shopify/Location/101", value=["1", "1", "2"]),
            "channels[0].places.'gid://shopify/Location/101': warehouse '1' is listed twice"),
        (put("channels", 0, "places", "x", value=[]), "channels[0].places.x: list should have at least 1 item "
            "after validation, not 0 (got an array)"),
        (put("locations", "22", value={}), "locations.22: no channel draws on warehouse '22'; did you mean '2'?"),
        (put("pools", 1, "name", value="two words"), "pools[1].name: 1 to 64 of A-Z, a-z, 0-9, - and _, no - or _ "
            "in front (got 'two words')"),
        (put("channels", 0, "places", "x", value=["1;2"]), "channels[0].places.x[0]: an id of 1 to 64 visible "
            "characters, no comma or semicolon (got '1;2')"),
        (put("locations", "a\x1fb", value={}), "locations.'a\\x1fb': an id of 1 to 64 visible "
            "characters, no comma or semicolon (got 'a\\x1fb')"),
        (put("pools", 1, "name", value="shared"), "pools[1].name: 'shared' is that of pools[0] already"),
        (put("pools", 0, "default", value=False), "pools: exactly one has default = true, not 0"),
        (put("ages", "max_age_s", value=899), "ages.max_age_s: at least 900, which is 1.5 times "
            "extensiv.stock_poll_s (got 899); below it a sound source counts as dark"),
        (put("extensiv", "expected_skus", value=1_000_000), "ages.max_age_s: at least 6000, which is 1.5 times a "
            "reading of extensiv.expected_skus at Extensiv's limits (got 1800); below it a sound source counts as "
            "dark"),
        (put("extensiv", "base_url", value="http://[::1"), "extensiv.base_url: is not a URL"),
        (put("extensiv", "base_url", value="127.0.0.1/x"), "extensiv.base_url: is not a URL "
            "(got '127.0.0.1/x')"),
        (put("extensiv", "base_url", value="https://api.skubana.com"), "extensiv.base_url: environment simulator "
            "speaks to loopback only, not to api.skubana.com"),
        (put("extensiv", "base_url", value="http://shop.example/a"), "extensiv.base_url: http:// is refused off "
            "loopback; use https:// (got 'http://shop.example/a')"),
        (put("extensiv", "auth", "client_id", value="ext-id"), "extensiv.auth.client_secret: name a secret; the "
            "other one is named (built-in credentials are for environment simulator)"),
        (put("extensiv", "auth", "token", value="tok"), "extensiv.auth.token: belongs to mode static_token; take it "
            "out, or set that mode"),
        (put("extensiv", "auth", value={}), "extensiv.auth.token_url: is missing; client credentials are exchanged "
            "for a token there"),
        (put("extensiv", "auth", value={"mode": "static_token"}), "extensiv.auth.token: name a secret; mode "
            "static_token needs it"),
        (put("extensiv", "auth", value={"mode": "static_token", "token": "tok", "client_id": "c"}),
            "extensiv.auth.client_id: belongs to mode client_credentials; take it out, or set that mode"),
        (put("rules_csv", value="a\0b"), "rules_csv: a path without control characters"),
        (put("a b\n", value=1), "'a b\\n': no such key"),
    ],
)  # fmt: skip
def test_one_fault_is_told_with_its_place_and_nothing_else(change: Change, said: str) -> None:
    changed = content()
    change(changed)
    assert faults_of(changed) == [f"config.toml: {said}"]


def test_a_place_of_one_store_is_mapped_once() -> None:
    changed = content()
    changed["channels"][1]["base_url"] = changed["channels"][0]["base_url"] + "/"
    changed["channels"][1]["places"] = changed["channels"][0]["places"]
    said = f"channels[1].places.'gid://shopify/Location/101': {CLASH}"
    assert faults_of(changed) == [f"config.toml: {said}"]


def test_more_sets_of_warehouses_than_can_be_watched_are_refused() -> None:
    changed = content()
    places = {f"place-{number}": [str(number)] for number in range(1, 12)}
    changed["channels"][0]["places"] = places
    parse(changed, "config.toml")
    places["place-12"] = ["12"]
    assert faults_of(changed) == [
        "config.toml: channels: 13 different sets of warehouses in places; at most 12"
    ]


def test_shares_of_a_split_default_pool_fit_into_one_hundred() -> None:
    changed = content()
    changed["pools"][0]["default"], changed["pools"][1]["default"] = False, True
    assert faults_of(changed) == [
        "config.toml: channels.percent: the default pool is split, and the percentages add up to 300"
    ]


@pytest.mark.parametrize("environment", ["sandbox", "live"])
def test_built_in_credentials_are_refused_elsewhere(environment: str) -> None:
    changed = elsewhere(environment)
    parse(changed, "config.toml")
    del changed["channels"][1]["auth"]["client_secret"]
    assert faults_of(changed) == [
        f"config.toml: channels[1].auth.client_secret: name a secret; environment {environment} has none built in "
        "(built-in credentials are for environment simulator)"
    ]


def test_the_sandbox_does_not_touch_production() -> None:
    changed = elsewhere("sandbox")
    changed["extensiv"]["base_url"] = "https://API.skubana.com./v1"
    assert faults_of(changed) == [
        "config.toml: extensiv.base_url: api.skubana.com is production; environment sandbox forbids it"
    ]
    changed["environment"] = "live"
    parse(changed, "config.toml")


def test_live_speaks_https_and_keeps_its_ledger() -> None:
    changed = elsewhere("live")
    changed["channels"][0]["base_url"] = "http://127.0.0.1:8765/shop"
    changed["ledger"] = {"path": "/tmp/reconcilerd.db"}
    assert faults_of(changed) == [
        "config.toml: channels[0].base_url: environment live speaks https only (got 'http://127.0.0.1:8765/shop')",
        "config.toml: ledger.path: /tmp/reconcilerd.db does not outlive a reboot; environment live forbids it",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"environment = \n", "not TOML: Invalid value (at line 1, column 15)"),
        (b"a = 1\nb = \xff\n", "not UTF-8 (at line 2); save it as UTF-8"),
        (b"x = " + b"[" * 20_000, "not TOML: nested too deeply, or a number with too many digits"),
        (b"x = " + b"9" * 5_000, "not TOML: nested too deeply, or a number with too many digits"),
        (b"#" * 1_000_001, "larger than 1000000 bytes; rules for single SKUs go into the rules_csv"),
    ],
)
def test_a_broken_file_is_told_with_its_place(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text)
    assert faults_in(path) == [f"{path}: {said}"]


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert faults_in(path) == [f"{path}: there is no such file; name one with --config"]
    assert faults_in(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (ROOT / "config.toml").read_bytes())
    assert load(path) == load(ROOT / "config.toml")


def test_the_list_of_faults_has_an_end() -> None:
    told = faults_of({**content(), **{f"unknown-{number}": 1 for number in range(60)}})
    assert len(told) == 51
    assert told[-1] == "config.toml: ... and 10 more"


@pytest.mark.parametrize("listen", ["", "127.0.0.1:9641", "127.0.0.2:0", "localhost:80", "[::1]:9641"])
def test_the_page_is_served_on_this_machine_or_nowhere_without_more_words(listen: str) -> None:
    changed = content()
    put("web", "listen", value=listen)(changed)
    assert parse(changed, "config.toml").web.listen == listen


@pytest.mark.parametrize("listen", ["0.0.0.0:9641", "[::]:9641", "10.0.0.1:9641", "[2001:db8::1]:1"])
def test_whoever_reaches_the_page_from_elsewhere_needs_a_token(listen: str) -> None:
    changed = content()
    put("web", "listen", value=listen)(changed)
    (fault,) = faults_of(changed)
    assert fault.startswith(f"config.toml: web.listen: {listen} can be reached from other machines")
    assert "web.read_token" in fault
    for role in ("read", "approve", "admin"):
        guarded = content()
        put("web", "listen", value=listen)(guarded)
        put("web", f"{role}_token", value="web-token")(guarded)
        assert parse(guarded, "config.toml").web.listen == listen


@pytest.mark.parametrize(
    "listen",
    ["9641", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:9641", "[::1]", "[127.0.0.1]:1", "example.com:1", ":1",
     "127.0.0.1:٣", "http://127.0.0.1:1", "127.0.0.1:-1", "127.0.0.1:" + "9" * 5000, "256.0.0.1:1"],
)  # fmt: skip
def test_what_is_no_address_is_told_with_one_that_is(listen: str) -> None:
    changed = content()
    put("web", "listen", value=listen)(changed)
    (fault,) = faults_of(changed)
    assert "web.listen" in fault
    assert "like 127.0.0.1:9641" in fault


@pytest.mark.parametrize("host", ["", "https://a.example", "a.example:80", "a b", "-a", "*"])
def test_a_host_is_a_name_and_nothing_else(host: str) -> None:
    changed = content()
    put("web", "hosts", value=[host])(changed)
    (fault,) = faults_of(changed)
    assert "web.hosts[0]" in fault


def test_webhooks_are_taken_where_a_door_and_a_store_are_named() -> None:
    changed = content()
    put("webhooks", "listen", value="127.0.0.1:9642")(changed)
    (fault,) = faults_of(changed)
    assert "webhooks.listen: no channel sends any" in fault
    put("channels", 1, "webhooks", value={})(changed)
    sound = parse(changed, "config.toml").channels[1].webhooks
    assert sound is not None
    assert sound.shop is None
    put("webhooks", "listen", value="")(changed)
    (fault,) = faults_of(changed)
    assert "channels[1].webhooks: nobody takes them" in fault


def test_the_door_for_webhooks_serves_nothing_else() -> None:
    changed = content()
    put("webhooks", "listen", value=changed["web"]["listen"])(changed)
    put("channels", 0, "webhooks", value={})(changed)
    (fault,) = faults_of(changed)
    assert "is that of web.listen" in fault


def test_an_app_with_a_token_alone_names_the_secret_that_signs() -> None:
    changed = elsewhere("sandbox")
    put("webhooks", "listen", value="127.0.0.1:9642")(changed)
    changed["channels"][0]["auth"] = {"mode": "static_token", "token": "shop-token"}
    put("channels", 0, "webhooks", value={})(changed)
    (fault,) = faults_of(changed)
    assert "channels[0].webhooks.secret: name the app's client secret" in fault
    put("channels", 0, "webhooks", value={"secret": "shop-secret", "shop": "brand.myshopify.com"})(changed)
    assert parse(changed, "config.toml").channels[0].webhooks is not None


def test_every_key_has_a_unit_and_a_reason() -> None:
    rows = list(describe())
    assert [row.key for row in rows if not row.unit or not row.reason] == []
    assert len({row.key for row in rows}) == len(rows) > 50
    told = {row.key: (row.unit, row.default) for row in rows}
    assert told["channels[].poll_s"] == ("s", "60")
    assert told["channels[].cap"] == ("eaches", "none")
    assert told["locations.ID.mirror"] == ("true | false", "false")
    assert told["extensiv.base_url"] == ("URL", "required")
    assert ("limits.window_percent", "30", "%") in {(row.key, row.default, row.unit) for row in describe()}


def flat(said: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every value of a section, those of its tables with their names."""
    for key, value in said.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", each) for inner, each in flat(value))
        else:
            yield key, value


def test_the_defaults_that_are_told_are_those_in_force() -> None:
    bare = content()
    for key in ("limits", "ages", "daemon", "alerts"):
        bare.pop(key, None)
    settings = parse(bare, "config.toml")
    told = {row.key: row.default.strip('"') for row in describe()}
    for section in ("limits", "ages", "daemon", "alerts"):
        for key, value in flat(getattr(settings, section).model_dump(exclude_none=True)):
            said = f"{value:g}" if isinstance(value, float) else str(value)
            assert told[f"{section}.{key}"] == (json.dumps(value) if isinstance(value, list) else said)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


def places_in(inner: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    pairs = inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
    return [here + (key,) for key, _ in pairs] + [  # noqa: RUF005 - a path grows by one
        deeper for key, each in pairs for deeper in places_in(each, (*here, key))
    ]


PLACES = [
    *places_in(content()),
    ("ages",),
    ("ages", "max_age_s"),
    ("rules_csv",),
    ("unknown",),
    ("channels", 0, "cap"),
]


@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), values, st.booleans()), min_size=1, max_size=4))
def test_however_a_configuration_is_changed_the_answer_is_settings_or_faults(
    changes: list[tuple[tuple[str | int, ...], object, bool]],
) -> None:
    changed = copy.deepcopy(content())
    for place, value, removes in changes:
        inner: Any = changed
        try:
            for key in place[:-1]:
                inner = inner[key]
            if removes:
                del inner[place[-1]]
            else:
                inner[place[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    try:
        assert isinstance(parse(changed, "config.toml"), Settings)
    except ConfigFault as fault:
        assert fault.faults  # noqa: PT017 - settings are as good an answer
        assert all(line.isprintable() and line.startswith("config.toml: ") for line in fault.faults)  # noqa: PT017


@given(text=st.text(max_size=60) | st.binary(max_size=60))
def test_whatever_bytes_a_file_holds_the_answer_is_settings_or_faults(
    tmp_path_factory: pytest.TempPathFactory, text: str | bytes
) -> None:
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    assert faults_in(path)


def test_an_order_key_reaches_the_policy_and_is_a_pattern_with_one_group() -> None:
    changed = content()
    changed["channels"][0]["order_key"] = "SHOP-(.+)"
    policy = policy_of(parse(changed, "config.toml"), ROOT)
    assert [rule.order_key for rule in policy.channels.values()] == ["SHOP-(.+)", "(.*)", "(.*)"]


@pytest.mark.parametrize(
    ("order_key", "said"),
    [
        ("SHOP-", "exactly one group in parentheses, not 0 (got 'SHOP-')"),
        ("(a)(b)", "exactly one group in parentheses, not 2 (got '(a)(b)')"),
        (
            "SHOP-(",
            "is not a regular expression: missing ), unterminated subpattern at position 5 (got 'SHOP-(')",
        ),
        (
            "a{99999999999}(b)",
            "is not a regular expression: the repetition number is too large (got 'a{99999999999}(b)')",
        ),
    ],
)
def test_an_order_key_that_cannot_be_used_is_told(order_key: str, said: str) -> None:
    changed = content()
    changed["channels"][0]["order_key"] = order_key
    assert faults_of(changed) == [f"config.toml: channels[0].order_key: {said}"]


def test_an_order_key_that_is_nested_too_deeply_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """How deep that is depends on how deep whoever reads the configuration is himself."""

    def deep(_: str) -> object:
        raise RecursionError("maximum recursion depth exceeded")

    changed = content()
    changed["channels"][0]["order_key"] = "((a))"
    monkeypatch.setattr("reconcilerd.config.fields.re.compile", deep)
    (fault,) = faults_of(changed)
    assert fault.endswith("order_key: is not a regular expression: nested too deeply (got '((a))')")
