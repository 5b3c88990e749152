"""Where secrets may come from, what is said of those that may not be used, and that none ever shows."""

import copy
import json
import os
import pickle
import traceback
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from reconcilerd.config.credentials import Pair, credentials, resolve, signing_secrets
from reconcilerd.config.load import parse
from reconcilerd.config.secret import Secret, redact
from reconcilerd.errors import ConfigFault
from tests.config.test_config import content, elsewhere, faults_of

WORD = "swordfish-1"
UNKNOWN = "albatross-7"
"""Never made a secret here: no process that holds it would show it anyway."""


def answer(name: str, env: dict[str, str] | None = None) -> str:
    """The secret that a name stands for, or the fault."""
    faults: list[str] = []
    found = resolve(name, env or {}, "here", faults)
    assert (found is None) == (len(faults) == 1)
    return faults[0] if found is None else found.reveal()


def file_of(path: Path, mode: int, text: bytes = WORD.encode()) -> Path:
    path.write_bytes(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = file_of(tmp_path / "secret", mode)
    assert answer(f"file:{path}") == f"here: {path} can be read by others; run: chmod 600 {path}"


def test_a_file_only_we_can_read_is_taken(tmp_path: Path) -> None:
    path = file_of(tmp_path / "secret", 0o600, f"{WORD}\n".encode())
    assert answer(f"file:{path}") == WORD


def test_what_systemd_hands_over_is_taken_as_it_is(tmp_path: Path) -> None:
    # systemd lets a service's user in by an access list, whose mask shows as the group's bits.
    file_of(tmp_path / "ext-id", 0o440)
    assert answer("ext-id", {"CREDENTIALS_DIRECTORY": str(tmp_path), "EXT_ID": "other"}) == WORD


def test_even_there_a_file_for_everybody_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path / "ext-id", 0o444)
    said = answer("ext-id", {"CREDENTIALS_DIRECTORY": str(tmp_path), "EXT_ID": WORD})
    assert said == f"here: {path} can be read by others; run: chmod 600 {path}"


def test_the_environment_comes_last(tmp_path: Path) -> None:
    assert answer("ext-id", {"CREDENTIALS_DIRECTORY": str(tmp_path), "EXT_ID": WORD}) == WORD
    assert answer("env:MY_ID", {"MY_ID": WORD}) == WORD


@pytest.mark.parametrize(
    ("name", "env", "said"),
    [
        ("env:MY_ID", {}, "here: the environment has no MY_ID, or it is empty"),
        ("env:MY_ID", {"MY_ID": ""}, "here: the environment has no MY_ID, or it is empty"),
        ("env:MY_ID", {"MY_ID": "a\nb"}, "here: the secret has control characters or more than one line; "
            "it is one line of text"),
        ("file:/nowhere/x", {}, "here: /nowhere/x: there is no such file"),
        ("ext-id", {}, "here: no credential 'ext-id'; looked at $CREDENTIALS_DIRECTORY (not set) and the "
            "environment's EXT_ID; or name a file with file:/PATH, a variable with env:NAME"),
        ("ext-id", {"CREDENTIALS_DIRECTORY": "/nowhere"}, "here: no credential 'ext-id'; looked at /nowhere/ext-id "
            "and the environment's EXT_ID; or name a file with file:/PATH, a variable with env:NAME"),
    ],
)  # fmt: skip
def test_a_missing_credential_names_every_place_looked_at(name: str, env: dict[str, str], said: str) -> None:
    assert answer(name, env) == said


def test_a_file_that_holds_no_secret_is_told(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for text, said in (
        (b" \n", "is empty"),
        (b"\xff", "is not text (UTF-8)"),
        (b"x" * 70_000, "is larger than 65536 bytes; it should hold one secret"),
    ):
        file_of(path, 0o600, text)
        assert answer(f"file:{path}") == f"here: {path} {said}"
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert answer(f"file:{tmp_path}/pipe") == f"here: {tmp_path}/pipe is not a plain file"


def test_all_missing_credentials_are_told_at_once() -> None:
    settings = parse(elsewhere("live"), "config.toml")
    with pytest.raises(ConfigFault) as caught:
        credentials(settings, {"KEY": "enough-for-one"})
    places = [fault.split(": ")[0] for fault in caught.value.faults]
    assert places == ["extensiv.auth.client_id"] + [f"channels[{n}].auth.client_id" for n in range(3)]


def test_each_system_has_its_own_credentials() -> None:
    changed = elsewhere("live")
    changed["channels"][2]["auth"] |= {"client_id": "env:C", "client_secret": "env:D"}
    found = credentials(parse(changed, "config.toml"), {"ID": "a", "KEY": "b", "C": "c", "D": "d"})
    assert found["extensiv"] == Pair(Secret("a"), Secret("b"))
    assert found["shop-us"] == Pair(Secret("c"), Secret("d"))


def test_a_static_token_is_found_by_its_name() -> None:
    changed = elsewhere("live")
    changed["extensiv"]["auth"] = {"mode": "static_token", "token": "env:TOKEN"}
    found = credentials(parse(changed, "config.toml"), {"ID": "a", "KEY": "b", "TOKEN": "long-lived"})
    assert found["extensiv"] == Secret("long-lived")


def test_the_simulator_needs_none() -> None:
    found = credentials(parse(content(), "config.toml"), {})
    assert set(found) == {"extensiv", "shop-uk", "shop-eu", "shop-us"}
    # Its client id is an everyday word: hiding it would spoil every message that speaks of the simulator.
    assert redact("start `reconcilerd simulator`") == "start `reconcilerd simulator`"


LITERALS = [
    "shpss_0123456789abcdef",
    "xoxb-123-456",
    "9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "a8Kd02mXq71LpZr4Tn6Wy9Bs",
    "tok_9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "f47ac10b-58cc-4372-a567-0e02b2c3d479",
    "F47AC10B-58CC-4372-A567-0E02B2C3D479",
    "9bd4e1c2-58cc-4372-a567-0e02b2c3d479",
    "token-f47ac10b-58cc-4372-a567-0e02b2c3d479",
    "https://hooks.slack.com/services/T0/B0/abcdef",
    "pa$$word!",
    "two words",
    "file:relative/path",
    "env:NOT A NAME",
    "../../etc/shadow",
]


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize("key", ["client_secret", "slack_webhook"])
def test_a_secret_written_into_the_file_is_refused_and_not_repeated(literal: str, key: str) -> None:
    changed: dict[str, Any] = content()
    if key == "client_secret":
        changed["extensiv"]["auth"] |= {"client_id": "ext-id", "client_secret": literal}
    else:
        changed["alerts"] = {"slack_webhook": literal}
    said = faults_of(changed)
    assert len(said) == 1
    assert f"{key}: " in said[0]
    assert "write a NAME, file:/PATH or env:NAME" in said[0]
    assert literal not in said[0]


@pytest.mark.parametrize(
    "name",
    [
        "extensiv-client-secret",
        "extensiv_client_secret",
        "the-client-secret-of-extensiv-since-20261001",
        "deadbeef-cafe-f00d",
        "file:/run/f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "env:A_1",
        "K2",
    ],
)
def test_a_name_of_a_secret_is_not_taken_for_one(name: str) -> None:
    changed = elsewhere("live")
    changed["extensiv"]["auth"]["client_secret"] = name
    assert parse(changed, "config.toml").extensiv.auth.client_secret == name


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["extensiv"]["auth"].update(client_secret=[UNKNOWN]),
        lambda c: c["extensiv"]["auth"].update(client_auth=UNKNOWN),
        lambda c: c["extensiv"].update(auth=UNKNOWN),
        lambda c: c.update(extensiv=[{"auth": {"client_secret": UNKNOWN}}]),
        lambda c: c.update(alerts=UNKNOWN),
        lambda c: c["alerts"].update(pagerduty_routing_key=12345678, slack=UNKNOWN),
        lambda c: c["extensiv"].update(base_url=f"https://user:{UNKNOWN}@extensiv.example"),
        lambda c: c["extensiv"].update(base_url=f"http://127.0.0.1/?token={UNKNOWN}"),
        lambda c: c["extensiv"]["auth"].update(token_url=UNKNOWN),
        lambda c: c["extensiv"]["auth"].update(token_url=f"http://extensiv.example/{UNKNOWN}"),
        lambda c: c["channels"][0].update(webhooks=UNKNOWN),
        lambda c: c["channels"][0].update(webhooks={"secret": 12345678}),
        lambda c: c["channels"][0].update(webhooks={"secret": [UNKNOWN]}),
        lambda c: c.update(webhooks=UNKNOWN),
        lambda c: c.update(web=UNKNOWN),
        lambda c: c["web"].update(hosts=UNKNOWN),
        lambda c: c["web"].update(hosts=[f"{UNKNOWN}!"]),
        lambda c: c["web"].update(listen=UNKNOWN),
    ],
)
def test_no_fault_shows_what_may_be_a_secret_not_even_in_a_traceback(change: Any) -> None:
    changed = copy.deepcopy(content())
    change(changed)
    with pytest.raises(ConfigFault) as caught:
        parse(changed, "config.toml")
    shown = "".join(traceback.format_exception(caught.value))
    assert UNKNOWN not in shown
    assert "12345678" not in shown


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("swordfish-22")
    assert "swordfish" not in f"{secret} {secret!r} {secret:>30} {[secret]}"
    assert redact("the word is swordfish-22!") == "the word is ***!"
    for spread in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="a secret is not pickled"):
            spread(secret)


def test_a_secret_is_hidden_also_as_a_form_or_an_address_has_it() -> None:
    Secret("a b/c+d&e")
    assert redact("id=a+b%2Fc%2Bd%26e and a%20b%2Fc%2Bd%26e") == "id=*** and ***"
    assert "hunter2" not in redact("client_secret=hunter2&grant=x")


def test_a_secret_is_hidden_also_as_json_and_as_a_header_have_it() -> None:
    value = 'a "quoted"\\ pa\u00dfword'
    Secret(value)
    for text in (
        json.dumps(value),
        json.dumps(value, ensure_ascii=False),
        b64encode(value.encode()).decode(),
    ):
        assert redact(f"it says {text} here") in {'it says "***" here', "it says *** here"}
    assert redact('{"refresh_token": "r3fr3sh-value"}') == '{"***"}'


def test_an_old_token_is_looked_for_no_longer() -> None:
    old = Secret("an-old-access-token")
    assert redact("an-old-access-token") == "***"
    old.forget()
    assert redact("an-old-access-token") == "an-old-access-token"


def test_secrets_are_equal_by_value_only() -> None:
    assert Secret("one-secret") == Secret("one-secret")
    assert Secret("one-secret") != Secret("two-secret")
    assert Secret("one-secret") != "one-secret"
    assert len({Secret("ä"), Secret("ä")}) == 1


@pytest.mark.parametrize("before", range(0, 80, 4))
def test_a_value_that_is_shown_in_part_shows_no_part_of_a_secret(before: int) -> None:
    changed = content()
    changed["channels"][0]["poll_s"] = f"{'e' * before}https://me:{WORD}@shop.example"
    with pytest.raises(ConfigFault) as caught:
        parse(changed, "config.toml")
    assert "(got '" in str(caught.value)
    assert WORD[:5] not in str(caught.value)


def test_webhooks_are_signed_by_the_apps_secret_unless_another_is_named() -> None:
    changed, faults = content(), list[str]()
    changed["webhooks"] = {"listen": "127.0.0.1:9642"}
    changed["channels"][0]["webhooks"] = {}
    changed["channels"][1]["webhooks"] = {"secret": "NEW", "old_secret": "OLD"}
    settings = parse(changed, "config.toml")
    env = {"NEW": "new-secret", "OLD": "old-secret"}
    found = signing_secrets(settings, credentials(settings, env), env, faults)
    told = {name: [each.reveal() for each in secrets] for name, secrets in found.items()}
    assert told == {"shop-uk": ["simulator-secret"], "shop-eu": ["new-secret", "old-secret"]}
    assert faults == []
    signing_secrets(settings, {}, {}, faults)
    assert len(faults) == 2
    assert faults[0].startswith("channels[1].webhooks.secret: no credential 'NEW'")
