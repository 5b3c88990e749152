"""Services that apprise speaks to: each hears a message once, by sound addresses only, and nobody is mentioned."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import apprise
import pytest
from hypothesis import given

from reconcilerd.alerting.apprise_urls import BUDGET, TITLE, Services, faults_of, message_of
from reconcilerd.alerting.engine import NotTaken
from reconcilerd.alerting.outbox import Notice
from reconcilerd.alerting.trying import try_all
from reconcilerd.cli import receivers
from reconcilerd.cli.receivers import receivers_of, secrets_of
from reconcilerd.domain.facts import Transition
from reconcilerd.domain.names import Instant
from tests.alerting.test_receivers import messages
from tests.alerting.test_slack_bot import notice
from tests.cli.test_alerts import hook
from tests.cli.test_receivers import SOUND, alerts_of, clock, post

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
"""One of its hundred plugins imports it."""


@pytest.fixture
def heard() -> Iterator[tuple[str, Any]]:
    """An address on this machine that apprise posts JSON to, and what it heard."""
    with hook() as (address, ears):
        yield address.replace("http://", "json://"), ears


def bodies(ears: Any, path: str = "/") -> list[dict[str, Any]]:
    return [json.loads(body) for at, body in ears.heard if at.startswith(path)]


@given(messages)
def test_any_message_fits_mentions_nobody_and_says_how_bad_it_is(told: list[Notice]) -> None:
    title, body, kind = message_of(told, "tenant-7")
    assert "tenant-7, since " in body or len(told) > 1
    assert 0 < len(title) <= TITLE + 30
    assert 0 < len(body) <= BUDGET
    assert not set("<>@`") & set(title + body)
    over = all(each.transition is Transition.RESOLVED for each in told)
    assert (kind is apprise.NotifyType.SUCCESS) is over


async def test_what_happens_and_its_end_are_told(heard: tuple[str, Any]) -> None:
    address, ears = heard
    services = Services([f"{address}/one"])
    assert await services.tell([notice("a"), notice("b")]) == {}
    assert await services.tell([notice("a", Transition.RESOLVED)]) == {}
    first, last = bodies(ears)
    assert (first["title"], first["type"]) == ("[ERROR] listings of a differ (and 1 more)", "failure")
    assert "more: reconcilerd runbook bug" in first["message"]
    assert (last["title"], last["type"]) == ("[RESOLVED] listings of a differ", "success")


async def test_who_has_heard_is_not_told_again_because_another_has_not(heard: tuple[str, Any]) -> None:
    address, ears = heard
    dead = address.rpartition(":")[0] + ":9"
    services = Services([f"{address}/well", f"{dead}/ill"])
    for _ in range(2):
        with pytest.raises(NotTaken, match=r"address 2 of alerts\.apprise_urls") as caught:
            await services.tell([notice("a")])
        assert "ill" not in str(caught.value)
    assert len(bodies(ears, "/well")) == 1
    with pytest.raises(NotTaken):
        await services.tell([notice("b")])
    assert len(bodies(ears, "/well")) == 2, "another message is told to all"


async def test_a_service_that_refuses_is_told_again_later(heard: tuple[str, Any]) -> None:
    address, ears = heard
    ears.answer = (503, "no")
    services = Services([f"{address}/one"])
    with pytest.raises(NotTaken):
        await services.tell([notice("a")])
    ears.answer = (200, "ok")
    assert await services.tell([notice("a")]) == {}


async def test_a_try_tells_whether_it_was_taken(heard: tuple[str, Any]) -> None:
    address, ears = heard

    def make(_: Any) -> list[Any]:
        return [Services([f"{address}/one"])]

    told = await try_all(make, post, ["apprise"], "warning", "uid 7", Instant(0), resolve=True)
    assert [(each.what, each.accepted) for each in told["apprise"]] == [("trigger", True), ("resolve", True)]
    assert ["[TEST]" in each["title"] for each in bodies(ears)] == [True, True]
    ears.answer = (401, "no")
    told = await try_all(make, post, ["apprise"], "warning", "uid 7", Instant(0), resolve=True)
    assert [each.accepted for each in told["apprise"]] == [False]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nope://swordfish", "none that apprise knows"),
        ("swordfish", "none that apprise knows"),
        ("json://alerts.example/swordfish", "write jsons://"),
        ("mailto://u:swordfish@example.com", "write mailtos://"),
        ("syslog://", "not encrypted"),
        ("jsons://10.0.0.7/swordfish", "alerts.allow_hosts"),
        ("jsons://169.254.169.254/swordfish", "link-local"),
        ("jsons://alerts.example/swordfish?verify=no", "verify=no"),
    ],
)
def test_an_address_that_should_not_be_spoken_to_is_refused_and_not_repeated(url: str, why: str) -> None:
    sound = "jsons://alerts.example/x"
    [fault] = faults_of([sound, url], ())
    assert fault.startswith("address 2 ")
    assert why in fault
    assert "swordfish" not in fault


def test_sound_addresses_are_taken_and_private_ones_where_they_are_named() -> None:
    urls = [
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "jsons://10.0.0.7/x",
        "json://127.0.0.1:80/x",
    ]
    assert faults_of(urls, ("10.0.0.7",)) == []


def test_the_configuration_names_the_addresses_by_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    alerts, faults = alerts_of(apprise_urls="services", apprise_least="error"), list[str]()
    env = SOUND | {"SERVICES": "jsons://a.example/x  jsons://b.example/y"}
    secrets = secrets_of(alerts, env, faults)
    assert faults == []
    made = {each.name: each for each in receivers_of(alerts, secrets, post, clock)}
    assert made["apprise"].pace == replace(made["mail"].pace, least="error")
    secrets_of(alerts, SOUND | {"SERVICES": "jsons://a.example/x http://swordfish"}, faults)
    assert [each.startswith("alerts.apprise_urls: address 2 ") for each in faults] == [True]
    faults.clear()
    monkeypatch.setattr(receivers, "find_spec", lambda _: None)
    secrets_of(alerts, env, faults)
    assert faults == [
        "alerts.apprise_urls: apprise is not installed; run: pip install 'reconcilerd[apprise]'"
    ]


async def test_its_library_logs_nothing(heard: tuple[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("apprise", "urllib3", "urllib3.connectionpool"):
        caplog.set_level(logging.DEBUG, logger=name)
    address, ears = heard
    ears.answer = (500, "swordfish")
    with pytest.raises(NotTaken):
        await Services([f"{address}/swordfish"]).tell([notice("a")])
    assert ears.heard
    assert "swordfish" not in caplog.text
