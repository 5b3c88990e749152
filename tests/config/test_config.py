"""What the configuration refuses, and what it says: every fault at once, with its place."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.config.credentials import credentials
from reconcilerd.config.load import defaults, load, parse
from reconcilerd.config.policy import policy_of
from reconcilerd.config.secret import Secret, redact
from reconcilerd.domain.policy import PoolMode
from reconcilerd.errors import ConfigFault

ROOT = Path(__file__).parents[2]


def content() -> dict[str, Any]:
    return tomllib.loads((ROOT / "config.toml").read_text("utf-8"))


def faults_of(changed: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigFault) as caught:
        parse(changed, "config.toml")
    return list(caught.value.faults)


def test_the_shipped_configuration_works_and_is_short() -> None:
    policy = policy_of(load(ROOT / "config.toml"), ROOT)
    assert len(policy.channels) == 3
    assert {pool.mode for pool in policy.pools.values()} == set(PoolMode)
    assert len((ROOT / "config.toml").read_text("utf-8").splitlines()) < 120


def test_all_faults_of_a_file_are_told_at_once() -> None:
    changed = content()
    changed["daemn"] = {}
    changed["channels"][0]["pol_s"] = 1
    changed["channels"][1]["poll_s"] = "60"
    changed["limits"]["window_slots"] = True
    changed["limits"]["unexplained_zeros"] = -1
    del changed["extensiv"]["base_url"]
    said = "\n".join(faults_of(changed))
    for part in (
        "daemn: no such key; did you mean 'daemon'?",
        "channels[0].pol_s: no such key; did you mean 'poll_s'?",
        "channels[1].poll_s: input should be a valid number (got '60')",
        "limits.window_slots: input should be a valid integer (got True)",
        "limits.unexplained_zeros: input should be greater than or equal to 0 (got -1)",
        "extensiv.base_url: is missing",
    ):
        assert part in said


@pytest.mark.parametrize("bad", [-1, 1.5, True, "7"])
def test_a_quantity_is_a_whole_number_from_zero(bad: object) -> None:
    changed = content()
    changed["channels"][0]["cap"] = bad
    assert any("channels[0].cap" in fault for fault in faults_of(changed))


def test_http_is_refused_off_loopback() -> None:
    changed = content()
    changed["environment"] = "sandbox"
    changed["channels"][0]["base_url"] = "http://shop.example"
    assert any("http:// is refused off loopback" in fault for fault in faults_of(changed))


def test_the_simulator_environment_speaks_to_loopback_only() -> None:
    changed = content()
    changed["extensiv"]["base_url"] = "https://api.skubana.com"
    assert any("loopback only" in fault for fault in faults_of(changed))


def test_built_in_credentials_are_refused_elsewhere() -> None:
    changed = content()
    changed["environment"] = "live"
    assert any("built-in credentials" in fault for fault in faults_of(changed))


def test_broken_toml_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("environment = \n")
    with pytest.raises(ConfigFault, match=r"not TOML: .*line 1"):
        load(tmp_path / "config.toml")


def with_secrets(where: str) -> Any:
    changed = content()
    changed["extensiv"]["auth"] |= {"client_id": where, "client_secret": where}
    return parse(changed, "config.toml")


def test_a_missing_credential_names_every_place_looked_at() -> None:
    with pytest.raises(ConfigFault) as caught:
        credentials(with_secrets("ext-id"), {"CREDENTIALS_DIRECTORY": "/nowhere"})
    assert all("/nowhere/ext-id" in fault and "EXT_ID" in fault for fault in caught.value.faults)
    assert len(caught.value.faults) == 2


def test_a_secret_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("swordfish-1")
    path.chmod(0o644)
    with pytest.raises(ConfigFault, match=f"chmod 600 {path}"):
        credentials(with_secrets(f"file:{path}"), {})
    path.chmod(0o600)
    assert credentials(with_secrets(f"file:{path}"), {})["extensiv"].client_id.reveal() == "swordfish-1"


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("swordfish-22")
    assert "swordfish" not in f"{secret} {secret!r} {secret:>30} {[secret]}"
    assert redact("the word is swordfish-22!") == "the word is ***!"


def rules(tmp_path: Path, text: str) -> list[str]:
    changed = content()
    changed["rules_csv"] = "rules.csv"
    (tmp_path / "rules.csv").write_text(text)
    settings = parse(changed, "config.toml")
    try:
        policy_of(settings, tmp_path)
    except ConfigFault as fault:
        return list(fault.faults)
    return []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sku,chanel\nA,x\n", "rules.csv:1: no such column 'chanel'; did you mean 'channel'?"),
        ("sku,channel\n,shop-uk\n", "rules.csv:2: sku: is blank"),
        (
            "sku,channel,cap\nA,shop-uk,1\na,shop-uk,2\n",
            "rules.csv:3: sku: 'a' has a row for shop-uk already",
        ),
        ("sku,channel,cap\nA,shop-uk,-1\n", "rules.csv:2: cap: a whole number from 0 up, not '-1'"),
        ("sku,channel,cap\nA,shop-uk,1.5\n", "rules.csv:2: cap: a whole number from 0 up, not '1.5'"),
        ("sku,channel,cap\nA,ebay,1\n", "rules.csv:2: channel: no channel 'ebay'"),
        ("sku,channel,percent,max\nA,shop-uk,5,5\n", "rules.csv:2: max: percent and max exclude each other"),
        ("sku,channel,pool\nA,,nowhere\n", "rules.csv:2: pool: no pool 'nowhere'"),
        ("sku,channel,pool\nA,,split\n", "percentages in split pool 'split' add up to 300"),
    ],
)
def test_a_bad_rule_is_told_with_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in fault for fault in rules(tmp_path, text)), rules(tmp_path, text)


def test_every_key_has_a_reason() -> None:
    assert all(reason for _, _, reason in defaults())


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(
    section=st.sampled_from(["environment", "extensiv", "channels", "pools", "limits", "ages"]), value=values
)
def test_whatever_stands_in_a_section_the_answer_is_settings_or_faults(section: str, value: object) -> None:
    try:
        parse({**content(), section: value}, "config.toml")
    except ConfigFault as fault:
        assert fault.faults  # noqa: PT017 - settings are as good an answer
