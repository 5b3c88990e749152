"""Buttons in Slack, where the configuration names an app's token: heard beside everything else, and in nobody's way."""

from collections.abc import Mapping
from functools import partial

from reconcilerd.alerting.engine import Engine
from reconcilerd.alerting.slack import Post
from reconcilerd.alerting.slack_socket import SocketMode, Waiting
from reconcilerd.assemble import Assembled
from reconcilerd.cli.receivers import bot_of
from reconcilerd.config.secret import Secret
from reconcilerd.config.settings import AlertsSection
from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.consents import Consents
from reconcilerd.daemon.passes import held_for_a_person
from reconcilerd.daemon.presses import House, Presses, Seen, Speaker, by_of
from reconcilerd.transport.websocket import dialler


def socket_of(
    section: AlertsSection,
    secrets: Mapping[str, Secret],
    post: Post,
    built: Assembled,
    answers: Answers,
    engine: Engine,
    seen: Seen,
    waiting: Waiting,
) -> SocketMode:
    """What hears presses. ``seen``: presses that were dealt with; ``waiting``: that are not."""
    presses = presses_of(section, bot_of(section, secrets, post), built, answers, engine, seen)
    counts, dial = built.daemon.desk.counts.slack, dialler(section.allow_hosts)
    token = secrets["slack_app_token"]
    return SocketMode(section.slack_api_url, token, post, dial, presses.take, counts, waiting=waiting)


def presses_of(
    section: AlertsSection,
    speaker: Speaker,
    built: Assembled,
    answers: Answers,
    engine: Engine,
    seen: Seen | None = None,
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
    counts = daemon.desk.counts.presses
    return Presses(
        house,
        speaker,
        engine,
        daemon.desk,
        consents,
        answers.answer,
        probed,
        counts,
        {} if seen is None else seen,
    )
