"""Who hears of alerts: receivers and a dead man's switch, from the settings and the secrets that they name."""

import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from random import Random
from typing import TYPE_CHECKING

from reconcilerd import __version__
from reconcilerd.alerting.alertmanager import PACE as ALERTMANAGER_PACE
from reconcilerd.alerting.alertmanager import Alertmanager
from reconcilerd.alerting.changes import Changes
from reconcilerd.alerting.engine import Engine, Journal, Receiver
from reconcilerd.alerting.heartbeat import Heartbeat
from reconcilerd.alerting.outbox import Pace
from reconcilerd.alerting.pagerduty import PACE as PAGERDUTY_PACE
from reconcilerd.alerting.pagerduty import PagerDuty
from reconcilerd.alerting.slack import Post, Slack
from reconcilerd.alerting.webhook import Webhook, key_of_secret
from reconcilerd.cli.wall import now
from reconcilerd.config.credentials import resolve
from reconcilerd.config.fields import LOOPBACK, url_parts
from reconcilerd.config.hosts import why_unreachable
from reconcilerd.config.secret import Secret
from reconcilerd.config.settings import AlertsSection, MailSection, Settings
from reconcilerd.daemon.alarms import Alarms
from reconcilerd.domain.facts import AlertChanged, AlertTold, DecisionRecorded, SilenceSet
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.reader import Reader

if TYPE_CHECKING:
    from reconcilerd.alerting.slack_bot import SlackBot

ROUTING_KEY = 32
Clock = Callable[[], Instant]


def secrets_of(alerts: AlertsSection, env: Mapping[str, str], faults: list[str]) -> dict[str, Secret]:
    """The secrets of all receivers that are configured, by the key that names each; mail's by ``mail.password``.

    ``faults`` has one more for each that is missing or cannot be what it should be; none repeats a secret.
    """
    named = {
        "slack_webhook": alerts.slack_webhook,
        "slack_bot_token": alerts.slack_bot_token,
        "slack_app_token": alerts.slack_app_token,
        "pagerduty_routing_key": alerts.pagerduty_routing_key,
        "pagerduty_old_routing_key": alerts.pagerduty_old_routing_key,
        "webhook_url": alerts.webhook_url,
        "webhook_secret": alerts.webhook_secret,
        "apprise_urls": alerts.apprise_urls,
        "heartbeat_url": alerts.heartbeat_url,
        "mail.password": alerts.mail.password if alerts.mail is not None else "",
    }
    found: dict[str, Secret] = {}
    for key, name in named.items():
        secret = resolve(name, env, f"alerts.{key}", faults) if name else None
        if secret is None:
            continue
        found[key] = secret
        why = _CHECKS[key](secret.reveal()) if key in _CHECKS else ""
        if key == "apprise_urls":
            faults += [f"alerts.{key}: {each}" for each in _apprise(secret.reveal(), alerts.allow_hosts)]
        why = why or (_unreachable(secret.reveal(), alerts.allow_hosts) if key in _ADDRESSES else "")
        if why:
            faults.append(f"alerts.{key}: the secret {why}")
    return found


def _address(value: str) -> str:
    """What is wrong with an address that alerts go to, if anything."""
    try:
        parts = url_parts(value)
    except ValueError as error:
        return str(error)
    if parts.scheme not in {"https", "http"} or not parts.hostname or " " in value:
        return "is not a URL; it begins with https://"
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return "is an address with http://; off this machine alerts go by https only"
    if parts.username is not None or parts.fragment:
        return "is a URL with a user or a #; neither is sent"
    return ""


def _unreachable(value: str, allowed: Collection[str]) -> str:
    """Why nothing may be sent to an address, if so."""
    why = why_unreachable(url_parts(value).hostname or "", allowed)
    return (
        f"is an address whose host {why}; if that is meant, name the host in alerts.allow_hosts"
        if why
        else ""
    )


def _apprise(value: str, allowed: Collection[str]) -> list[str]:
    """What is wrong with addresses of apprise."""
    if find_spec("apprise") is None:
        return ["apprise is not installed; run: pip install 'reconcilerd[apprise]'"]
    from reconcilerd.alerting.apprise_urls import faults_of

    return faults_of(value.split(), allowed)


def _heart(value: str) -> str:
    bad = "holds a ?: /fail is put behind it where something is wrong" if "?" in value else ""
    return _address(value) or bad


def _routing_key(value: str) -> str:
    """PagerDuty drops events of any other key without a word that would help."""
    sound = len(value) == ROUTING_KEY and value.isascii() and value.isalnum()
    return "" if sound else f"is no integration key of Events v2: those have {ROUTING_KEY} letters and digits"


def _bot_token(value: str) -> str:
    return "" if value.startswith("xoxb-") else "is no token of a bot: those begin with xoxb-"


def _app_token(value: str) -> str:
    return "" if value.startswith("xapp-") else "is no token of an app: those begin with xapp-"


def _signing(value: str) -> str:
    try:
        key_of_secret(value)
    except ValueError as error:
        return f"does not sign: {error}"
    return ""


_CHECKS: Mapping[str, Callable[[str], str]] = {
    "slack_webhook": _address,
    "slack_bot_token": _bot_token,
    "slack_app_token": _app_token,
    "pagerduty_routing_key": _routing_key,
    "pagerduty_old_routing_key": _routing_key,
    "webhook_url": _address,
    "webhook_secret": _signing,
    "heartbeat_url": _heart,
}


_ADDRESSES = frozenset({"slack_webhook", "webhook_url", "heartbeat_url"})


def instance_of(alerts: AlertsSection) -> str:
    """What this daemon is called where its alerts go."""
    return alerts.instance or socket.gethostname()


def receivers_of(
    alerts: AlertsSection,
    secrets: Mapping[str, Secret],
    post: Post,
    clock: Clock,
    channels: Collection[str] = (),
) -> list[Receiver]:
    """Everybody who is to be told; ``secrets`` as ``secrets_of`` found them.

    ``channels``: sales channels that buttons may be about, where there are any.
    """
    made: list[Receiver] = []
    pace = Pace(
        wait_ms=round(alerts.group_wait_s * 1000),
        interval_ms=round(alerts.group_interval_s * 1000),
        repeat_ms=round(alerts.repeat_s * 1000),
    )
    instance = instance_of(alerts)
    if "slack_webhook" in secrets:
        url = secrets["slack_webhook"].reveal()
        made.append(Slack(url, post, replace(pace, least=alerts.slack_least), instance))
    if "slack_bot_token" in secrets:
        acts_on = channels if "slack_app_token" in secrets else None
        made.append(bot_of(alerts, secrets, post, replace(pace, least=alerts.slack_least), acts_on))
    if "pagerduty_routing_key" in secrets:
        names = ("pagerduty_routing_key", "pagerduty_old_routing_key")
        keys = [secrets[name].reveal() for name in names if name in secrets]
        paged = replace(PAGERDUTY_PACE, least=alerts.pagerduty_least)
        made.append(PagerDuty(alerts.pagerduty_url, keys, instance, post, paged))
    if alerts.alertmanager_url is not None:
        sunk = replace(ALERTMANAGER_PACE, least=alerts.alertmanager_least)
        made.append(Alertmanager(alerts.alertmanager_url, instance, post, sunk))
    if "webhook_url" in secrets and "webhook_secret" in secrets:
        url, key = secrets["webhook_url"].reveal(), secrets["webhook_secret"].reveal()
        made.append(Webhook(url, key, instance, post, clock, replace(pace, least=alerts.webhook_least)))
    if "apprise_urls" in secrets:
        # A large library: whoever has no use for it need not wait for it.
        from reconcilerd.alerting.apprise_urls import Services

        urls = secrets["apprise_urls"].reveal().split()
        made.append(Services(urls, replace(pace, least=alerts.apprise_least), instance))
    if alerts.mail is not None:
        made.append(_mail(alerts.mail, secrets, replace(pace, least=alerts.mail_least), instance))
    return made


def bot_of(
    alerts: AlertsSection,
    secrets: Mapping[str, Secret],
    post: Post,
    pace: Pace | None = None,
    acts_on: Collection[str] | None = None,
) -> "SlackBot":
    """The bot; ``acts_on``: what its buttons may be about, None for no buttons."""
    from reconcilerd.alerting.slack_bot import SlackBot

    token = secrets["slack_bot_token"]
    called = instance_of(alerts)
    return SlackBot(alerts.slack_api_url, token, alerts.slack_channel, post, pace, acts_on, called)


def _mail(mail: MailSection, secrets: Mapping[str, Secret], pace: Pace, instance: str) -> Receiver:
    # The library's mail and a TLS context take time that a tenant without mail need not wait for.
    from reconcilerd.alerting.mail import Mail, Server
    from reconcilerd.transport.pool import tls_context

    password = secrets["mail.password"].reveal() if "mail.password" in secrets else ""
    server = Server(mail.server, mail.port, mail.user, password, mail.tls)
    return Mail(server, mail.sender, mail.recipients, tls_context(), pace, instance)


def engine_of(
    alerts: AlertsSection,
    secrets: Mapping[str, Secret],
    post: Post,
    journal: Journal,
    ledger: Reader,
    channels: Collection[str] = (),
) -> Engine:
    """The engine as it stands by the ledger."""
    return Engine(
        receivers_of(alerts, secrets, post, now, channels),
        journal,
        now,
        ledger.state(AlertChanged),
        ledger.state(AlertTold),
        ledger.state(SilenceSet),
        Random(),
    )


def alarms_of(
    alerts: AlertsSection,
    secrets: Mapping[str, Secret],
    post: Post,
    engine: Engine,
    ledger: Reader,
    *,
    running: bool,
) -> Alarms:
    """Answers about alerts. ``running``: the engine delivers."""

    def make(by: Post) -> list[Receiver]:
        return receivers_of(alerts, secrets, by, now)

    return Alarms(engine, now, ledger, make, post, running=running, digest=partial(digest_of, alerts))


def digest_of(alerts: AlertsSection) -> tuple[str, Sequence[str]]:
    """What we are called where the digest goes, and who takes it."""
    return instance_of(alerts), alerts.digest_to


def changes_of(alerts: AlertsSection, secrets: Mapping[str, Secret], post: Post) -> Changes:
    """Where what changed is told: to whom the pages go."""
    key = secrets.get("pagerduty_routing_key")
    revealed = None if key is None else key.reveal()
    return Changes(alerts.pagerduty_url, revealed, instance_of(alerts), post, now)


def started(
    changes: Changes, settings: Settings, revision: str, decisions: Iterable[DecisionRecorded]
) -> None:
    """Say that the daemon started, and what is other than it was at the last decision that is written down."""
    last = max(decisions, key=lambda each: each.at, default=None)
    what = f"reconcilerd {__version__} started, mode {settings.limits.mode}"
    details = {"version": __version__, "policy": revision}
    if last is not None and last.program != __version__:
        what += f", upgraded from {last.program}"
    if last is not None and last.policy != revision:
        what += ", with another policy"
        details["policy before"] = last.policy
    changes.note(what, details)


def heartbeat_of(secrets: Mapping[str, Secret], post: Post, why_not: Callable[[], str]) -> Heartbeat | None:
    """The dead man's switch, if there is one. ``why_not``: why this moment must not count as alive."""
    url = secrets.get("heartbeat_url")
    return None if url is None else Heartbeat(url.reveal(), post, why_not)
