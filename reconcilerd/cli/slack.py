"""Buttons in Slack, where the configuration names an app's token: heard beside everything else, and in nobody's way."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from anyio.abc import TaskGroup

from reconcilerd.alerting.engine import Engine
from reconcilerd.assemble import Assembled
from reconcilerd.cli.receivers import bot_of
from reconcilerd.cli.wiring import Plan
from reconcilerd.config.settings import AlertsSection
from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.consents import Consents
from reconcilerd.daemon.passes import held_for_a_person
from reconcilerd.daemon.presses import House, Presses, by_of
from reconcilerd.daemon.supervisor import keep_alive
from reconcilerd.transport.post import Poster


def start_buttons(
    group: TaskGroup, plan: Plan, poster: Poster, built: Assembled, answers: Answers, engine: Engine
) -> Callable[[], str | None]:
    """Hear presses in this group, if there are to be any; tells why none would be heard now."""
    section, secrets = plan.settings.alerts, plan.alerts
    if "slack_app_token" not in secrets:
        return lambda: None
    # Most tenants have no buttons, and need not wait for the library.
    from reconcilerd.alerting.slack_socket import SocketMode
    from reconcilerd.transport.websocket import dialler

    presses = presses_of(section, bot_of(section, secrets, poster.post), built, answers, engine)
    counts = built.daemon.desk.counts.slack
    token, dial = secrets["slack_app_token"], dialler(section.allow_hosts)
    mode = SocketMode(section.slack_api_url, token, poster.post, dial, presses.take, counts)
    group.start_soon(keep_alive, "slack socket", mode.stay)
    group.start_soon(keep_alive, "slack presses", mode.work)
    return lambda: mode.trouble


def presses_of(
    section: AlertsSection, speaker: Any, built: Assembled, answers: Answers, engine: Engine
) -> Presses:
    """What deals with presses."""
    daemon, people = built.daemon, section.people
    house = House(
        section.slack_team,
        section.slack_channel,
        {
            "approve": frozenset(people.approve),
            "freeze": frozenset(people.freeze),
            "unfreeze": frozenset(people.unfreeze),
            "silence": frozenset(people.silence),
        },
    )

    def changed(what: str, details: Mapping[str, str]) -> None:
        daemon.changed(what, details)

    consents = Consents(
        daemon.desk,
        lambda: held_for_a_person(daemon.passes.standing),
        changed,
        round(section.agree_within_s * 1000),
        frozenset(map(by_of, people.approve)),
    )
    probed = partial(answers.probed, surface="buttons in Slack")
    return Presses(
        house, speaker, engine, daemon.desk, consents, answers.answer, probed, daemon.desk.counts.presses
    )
