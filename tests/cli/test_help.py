"""What a person at a terminal of 80 columns types and reads: help, times, names to copy."""

import click
import pytest
from click.testing import CliRunner

from reconcilerd.cli import alert_text
from reconcilerd.cli.options import Span
from reconcilerd.cli.render import status
from reconcilerd.cli.wrapping import wrap
from reconcilerd.domain.alerts import KINDS
from tests.cli.commands import ALL, PROGRAM, Words
from tests.cli.pretended import a_status

TIMES = {"--for", "--since", "--every", "--watch-for"}
NAME = "tug-of-war:shop-uk/gid://shopify/InventoryItem/10100005/gid://shopify/Location/101"


@pytest.mark.parametrize("words", [(), *ALL], ids=" ".join)
def test_help_fits_and_is_there_under_both_of_its_names(words: Words) -> None:
    said = [
        CliRunner(env={"COLUMNS": "80"}).invoke(PROGRAM, [*words, flag], terminal_width=80)
        for flag in ("-h", "--help")
    ]
    assert [each.exit_code for each in said] == [0, 0]
    assert said[0].output == said[1].output
    assert not [line for line in said[0].output.splitlines() if len(line) > 80]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_time_is_said_the_same_way(words: Words) -> None:
    """Who freezes ``--for 2h`` and silences ``--for 2h`` need not know which of them counts in seconds."""
    found = [each for each in ALL[words].params if isinstance(each, click.Option) and TIMES & {*each.opts}]
    assert all(isinstance(each.type, Span) for each in found)


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_name_with_hyphens_is_not_broken(columns: int) -> None:
    for before in range(columns):
        assert "tug-of-war:shop-uk" in "\n".join(wrap(f"{'x' * before} tug-of-war:shop-uk", columns))
    text = status(a_status(tripped=["tug-of-war:shop-uk", "zero-storm:shop-eu", NAME]), columns)
    assert all(each in text for each in ("tug-of-war:shop-uk,", "zero-storm:shop-eu,", NAME))


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_what_is_wrong_with_a_feed_is_told_to_its_end(columns: int) -> None:
    why = "http://127.0.0.1:8765/shopify/shop-us/admin/oauth/access_token answered 401: credentials refused"
    feeds = [
        {"feed": name, "complete": True, "age_s": 96, "why": said} for name, said in (("a", why), ("b", ""))
    ]
    text = status(a_status(feeds=feeds), columns)
    assert not [line for line in text.splitlines() if len(line) > columns]
    assert "credentials refused" in " ".join(text.split())
    assert [each for each in text.splitlines() if each.split() == ["b", "96", "s"] and each == each.rstrip()]


def test_many_tripped_rails_leave_the_rest_of_status_in_sight() -> None:
    """A store that takes back what is written trips one a listing."""
    text = status(a_status(tripped=[f"tug-of-war:shop-uk/{number}" for number in range(500)]), 80)
    assert "tug-of-war:shop-uk/4, and 495 more; see" in " ".join(text.split())
    assert len(text.splitlines()) < 20


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_kinds_of_alerts_are_listed_with_all_of_what_they_mean(columns: int) -> None:
    text = alert_text.kinds([(name, each.severity, each.means) for name, each in KINDS.items()], columns)
    assert not [line for line in text.splitlines() if len(line) > columns]
    flat = " ".join(text.split())
    assert all(f"{name} {each.severity} {each.means}" in flat for name, each in KINDS.items())
