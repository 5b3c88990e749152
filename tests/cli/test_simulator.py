"""The pretend business is not begun with what would strike nothing, or be posted to nobody."""

from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from reconcilerd.cli.simulator import serve_simulator
from reconcilerd.errors import ConfigFault
from tests.cli.commands import PROGRAM

LINE = '{"seed": 7, "system": "extensiv", "request": 5, "fault": "5xx", "at": 0, "subject": ""}\n'


class Begun(Exception):
    """It would be served now."""


@pytest.fixture(autouse=True)
def _nobody_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(*_: object) -> NoReturn:
        raise Begun

    monkeypatch.setattr("reconcilerd.cli.simulator.anyio.run", begin)


def begin(*, seed: int = 1, faults: str = "none", webhooks: str | None = None) -> str:
    """Why it is not begun."""
    with pytest.raises(ConfigFault) as refused:
        serve_simulator(0, seed, None, faults, demo=False, webhooks=webhooks)
    (fault,) = refused.value.faults
    return fault


@pytest.mark.parametrize(
    ("text", "seed", "said"),
    [
        (LINE, 1, "the record is of seed 7; play that: --seed 7"),
        ("", 1, "the record is empty; name one that simulate --record wrote"),
        (
            LINE.replace("extensiv", "shop-9"),
            7,
            "the record strikes shop-9; this business has extensiv, shop-eu, shop-uk, shop-us",
        ),
    ],
)
def test_a_record_that_would_strike_nothing_is_refused(
    tmp_path: Path, text: str, seed: int, said: str
) -> None:
    record = tmp_path / "s7.rec"
    record.write_text(text, "utf-8")
    assert said in begin(seed=seed, faults=f"@{record}")


@pytest.mark.parametrize("demo", [False, True])
def test_a_record_of_its_seed_strikes(tmp_path: Path, demo: bool) -> None:
    record = tmp_path / "s7.rec"
    record.write_text(LINE + LINE.replace("extensiv", "shop-uk"), "utf-8")
    with pytest.raises(Begun):
        serve_simulator(0, 7, None, f"@{record}", demo=demo)


def test_which_faults_there_are_is_said_here_too() -> None:
    done = [
        CliRunner().invoke(PROGRAM, [command, "--faults", "list"]) for command in ("simulator", "simulate")
    ]
    assert [each.exit_code for each in done] == [0, 0]
    assert "truncated_json" in done[0].output
    assert done[0].output == done[1].output


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "ftp://127.0.0.1",
        "ws://127.0.0.1:9642",
        "127.0.0.1:9642",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:x",
        "http://127.0.0.1\x00",
        "http://shop.example",
        "http://127.0.0.1@shop.example",
        "http://",
        "",
    ],
)
def test_a_door_at_which_nothing_could_arrive_or_of_another_machine_is_refused(url: str) -> None:
    assert "only to this machine, by http, like http://127.0.0.1:9642" in begin(webhooks=url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9642", "http://localhost", "http://[::1]:9642"])
def test_a_door_of_this_machine_is_posted_to(url: str) -> None:
    with pytest.raises(Begun):
        serve_simulator(0, 1, None, "none", demo=False, webhooks=url)
