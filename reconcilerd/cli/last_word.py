"""``notify-failure``: tells people that a unit failed, when the daemon itself cannot.

Needs the alert credentials and nothing else: no ledger, no socket, no sound configuration. The names of the credentials
are taken from the configuration where it can be read, else they are those of the example. A bot of Slack's has no
channel without it. Speaks to the hosts that alerts may go to, and to no others.
"""

import http.client
import json
import os
import re
import socket
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import click
from typing_extensions import override

from reconcilerd.cli.socket_client import toml_of
from reconcilerd.config.credentials import resolve
from reconcilerd.config.fields import LOOPBACK
from reconcilerd.config.secret import Secret, redact
from reconcilerd.errors import ReconcilerdError
from reconcilerd.transport.reach import addresses_of

PAGERDUTY: Final = "https://events.pagerduty.com"
SLACK: Final = "https://slack.com/api"
NAMES: Final = {
    "slack_webhook": "slack-webhook",
    "slack_bot_token": "slack-bot-token",
    "pagerduty_routing_key": "pagerduty-routing-key",
}
PATIENCE_S: Final = 20.0
LONGEST: Final = 1_000
JOB: Final = re.compile(r"reconcilerd-(?P<name>audit|backup|digest)(?P<tenant>@[^/]*)?\.service")

PERHAPS_LATER: Final = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error"})
"""What Slack's API says when it may take the same later."""

Post = Callable[[str, Mapping[str, Any], Mapping[str, str]], tuple[int, str]]
"""Posts JSON to a URL with headers: (status, body). Raises OSError, ValueError, TryLater."""


def incident_of(unit: str, instance: str = "") -> str:
    """What opens and closes the incident of a unit: the same after any number of failures.

    That of a timer's job is the one that the daemon opens where it does the job itself. Tenants of a machine that have
    no ``instance`` of their own must not close one another's.
    """
    job = JOB.fullmatch(unit)
    if job is not None and (instance or not job["tenant"]):
        return f"reconcilerd/{instance or socket.gethostname()}/job_failed/{job['name']}"[:255]
    return f"reconcilerd/unit_failed/{socket.gethostname()}/{unit}"[:255]


def notify_failure(config: Path, unit: str, env: Mapping[str, str] = os.environ) -> int:
    """Tell every receiver. 0: all took it, or there is none; 2: one never will; 5: one did not, and may later."""
    told, codes = env.get("MONITOR_UNIT", unit), [0]
    alerts, faults = receivers(config, env)
    for fault in faults:
        click.echo(f"reconcilerd: {fault}", err=True)
        codes.append(2)
    if not alerts.secrets and not faults:
        click.echo(f"{told} failed, and nobody is to be told: [alerts] names no receiver", err=True)
    for name, send in alerts.senders(told, happened(told, env)).items():
        code, said = _tried(send)
        click.echo(f"{name}: {said}", err=code != 0)
        codes.append(code)
    return 5 if 5 in codes else max(codes)


def recovered(config: Path, unit: str, env: Mapping[str, str] = os.environ) -> int:
    """Close the incident of a unit that runs again, or of a job that succeeded; where none is open nothing comes of it.

    Exit codes as above. Slack keeps no incidents: nothing is said there.
    """
    alerts, _ = receivers(config, env)
    if "pagerduty_routing_key" not in alerts.secrets:
        return 0
    code, said = _tried(lambda: alerts.pagerduty("resolve", env.get("MONITOR_UNIT", unit), ""))
    if code:
        click.echo(f"pagerduty: {said}", err=True)
    return code


def happened(unit: str, env: Mapping[str, str]) -> str:
    """One sentence of what systemd says about it, and what to do."""
    result = env.get("MONITOR_SERVICE_RESULT", "")
    code, status = env.get("MONITOR_EXIT_CODE", ""), env.get("MONITOR_EXIT_STATUS", "")
    how = " ".join(
        each for each in (result, f"({code} {status})".replace("( ", "(") if status else "") if each
    )
    meant = "; nothing is kept in step until it runs again" if is_daemon(unit) else ""
    return (
        f"{unit} on {socket.gethostname()} failed{f': {how}' if how else ''}{meant}. "
        f"Look: journalctl -u {unit} -n 50. Start: systemctl start {unit}"
    )


def is_daemon(unit: str) -> bool:
    """Whether it is the daemon itself, of one tenant or of several, and no timer's job."""
    return unit == "reconcilerd.service" or unit.startswith("reconcilerd@")


@dataclass(frozen=True, slots=True)
class Receivers:
    """Slack and PagerDuty, as far as they are configured. ``channel``: where the bot speaks."""

    secrets: Mapping[str, Secret]
    pagerduty_url: str
    slack_url: str
    channel: str
    post: Post
    instance: str = ""

    def senders(self, unit: str, text: str) -> dict[str, Callable[[], tuple[int, str]]]:
        """By receiver, what tells it of a failure: (exit code, what to say)."""
        all_of = {
            "slack_webhook": ("slack", lambda: self.slack(unit, text)),
            "slack_bot_token": ("slack", lambda: self.bot(unit, text)),
            "pagerduty_routing_key": ("pagerduty", lambda: self.pagerduty("trigger", unit, text)),
        }
        return {name: send for key, (name, send) in all_of.items() if key in self.secrets}

    def slack(self, unit: str, text: str) -> tuple[int, str]:
        status, said = self.post(self.secrets["slack_webhook"].reveal(), {"text": shouted(unit, text)}, {})
        if status == 200 and said.strip() == "ok":
            return 0, "told"
        return (2 if status in {200, 400, 403, 404, 410} else 5), f"answered {status} {redact(said)[:80]}"

    def bot(self, unit: str, text: str) -> tuple[int, str]:
        """As Slack's own app, in the channel of the alerts: it answers 200 to what it does not take, too."""
        headers = {"Authorization": f"Bearer {self.secrets['slack_bot_token'].reveal()}"}
        body = {"channel": self.channel, "text": shouted(unit, text)}
        status, said = self.post(f"{self.slack_url.rstrip('/')}/chat.postMessage", body, headers)
        if status != 200:
            return (5 if status == 429 or status >= 500 else 2), f"answered {status} {redact(said)[:80]}"
        told = json.loads(said)
        if isinstance(told, dict) and told.get("ok") is True:
            return 0, "told"
        word = str(told.get("error") if isinstance(told, dict) else told)
        return (5 if word in PERHAPS_LATER else 2), f"answered {redact(word)[:80]}"

    def pagerduty(self, action: str, unit: str, text: str) -> tuple[int, str]:
        event: dict[str, Any] = {
            "routing_key": self.secrets["pagerduty_routing_key"].reveal(),
            "event_action": action,
            "dedup_key": incident_of(unit, self.instance),
        }
        if action == "trigger":
            event["payload"] = {
                "summary": text[:LONGEST],
                "source": socket.gethostname(),
                "severity": "critical" if is_daemon(unit) else "error",
                "component": unit,
            }
        status, said = self.post(f"{self.pagerduty_url.rstrip('/')}/v2/enqueue", event, {})
        if status == 202:
            return 0, "told"
        return (2 if status == 400 else 5), f"answered {status} {redact(said)[:80]}"


def shouted(unit: str, text: str) -> str:
    """The text in Slack's own markup; it mentions nobody."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f":rotating_light: *{'CRITICAL' if is_daemon(unit) else 'ERROR'}* {escaped[:LONGEST]}"


def receivers(config: Path, env: Mapping[str, str]) -> tuple[Receivers, list[str]]:
    """Who can be told, and what is wrong with the others. A configuration that cannot be read is no hindrance."""
    faults: list[str] = []
    alerts: dict[str, Any] = {}
    named = False
    try:
        found = toml_of(config).get("alerts", {})
        alerts, named = (found, True) if isinstance(found, dict) else ({}, False)
    except (OSError, ValueError, RecursionError):
        pass  # the daemon says what is wrong with it
    secrets: dict[str, Secret] = {}
    for key, usual in NAMES.items():
        name = alerts.get(key, "") if named else usual
        if not isinstance(name, str) or not name:
            continue
        unheard: list[str] = []
        secret = resolve(name, env, f"alerts.{key}", unheard)
        if secret is not None:
            secrets[key] = secret
        elif named:
            faults += unheard
    channel = _text(alerts, "slack_channel", "")
    if "slack_bot_token" in secrets and not channel:
        del secrets["slack_bot_token"]
        if "slack_webhook" not in secrets:
            faults.append(
                "slack: the bot has no channel to speak in: alerts.slack_channel of the configuration names none, "
                "or it cannot be read"
            )
    allowed = alerts.get("allow_hosts")
    hosts = [each for each in allowed if isinstance(each, str)] if isinstance(allowed, list) else []
    made = Receivers(
        secrets,
        _text(alerts, "pagerduty_url", PAGERDUTY),
        _text(alerts, "slack_api_url", SLACK),
        channel,
        partial(post, allowed=frozenset(hosts)),
        _text(alerts, "instance", ""),
    )
    return made, faults


def _text(table: Mapping[str, Any], key: str, usual: str) -> str:
    found = table.get(key)
    return found if isinstance(found, str) and found else usual


def _tried(send: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    try:
        return send()
    except (OSError, ValueError, RecursionError, http.client.HTTPException, ReconcilerdError) as error:
        return 5, redact(f"not reached: {type(error).__name__}: {error}")


def post(
    url: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    allowed: Collection[str] = frozenset(),
) -> tuple[int, str]:
    """Post JSON once: https, or http on this machine alone; no redirect, no proxy, to an address that was judged.

    Raises OSError, ValueError, TryLater.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and (parts.scheme != "http" or host not in LOOPBACK):
        raise ValueError("only https is sent to")
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    way = _Straight(host, port, anyio.run(_reached, host, port, allowed), secure=secure)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        way.request("POST", path or "/", json.dumps(body), {"Content-Type": "application/json", **headers})
        answer = way.getresponse()
        return answer.status, answer.read(4_096).decode("utf-8", "replace")
    finally:
        way.close()


async def _reached(host: str, port: int, allowed: Collection[str]) -> list[str]:
    with anyio.fail_after(PATIENCE_S):
        return await addresses_of(host, port, allowed)


class _Straight(http.client.HTTPConnection):
    """A connection to addresses that were judged, whatever the name stands for a moment later."""

    def __init__(self, host: str, port: int, addresses: list[str], *, secure: bool) -> None:
        super().__init__(host, port, timeout=PATIENCE_S)
        self._addresses = addresses
        self._secure = secure

    @override
    def connect(self) -> None:
        refused: OSError | None = None
        for address in self._addresses:
            try:
                self.sock = socket.create_connection((address, self.port), PATIENCE_S)
                break
            except OSError as error:
                refused = error
        else:
            raise refused or OSError("no address")
        if self._secure:
            # Who it is, is judged by its name.
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
