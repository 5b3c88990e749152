"""``notify-failure``: tells people that a unit failed, when the daemon itself cannot.

Needs the alert credentials and nothing else: no ledger, no socket, no sound configuration. The names of the credentials
are taken from the configuration where it can be read, else they are those of the example.
"""

import http.client
import json
import os
import re
import socket
import ssl
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from reconcilerd.config.credentials import resolve
from reconcilerd.config.secret import Secret, redact

PAGERDUTY: Final = "https://events.pagerduty.com"
NAMES: Final = {"slack_webhook": "slack-webhook", "pagerduty_routing_key": "pagerduty-routing-key"}
PATIENCE_S: Final = 20.0
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
LONGEST: Final = 1_000
JOB: Final = re.compile(r"reconcilerd-(?P<name>audit|backup|digest)(?P<tenant>@[^/]*)?\.service")

Post = Callable[[str, Mapping[str, Any]], tuple[int, str]]
"""Posts JSON to a URL: (status, body). Raises OSError, ValueError."""


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


class Receivers:
    """Slack and PagerDuty, as far as they are configured."""

    def __init__(
        self, secrets: Mapping[str, Secret], pagerduty_url: str, post: Post, instance: str = ""
    ) -> None:
        self.secrets = secrets
        self._instance = instance
        self._url = pagerduty_url.rstrip("/")
        self._post = post

    def senders(self, unit: str, text: str) -> dict[str, Callable[[], tuple[int, str]]]:
        """By receiver, what tells it of a failure: (exit code, what to say)."""
        all_of = {
            "slack_webhook": ("slack", lambda: self.slack(unit, text)),
            "pagerduty_routing_key": ("pagerduty", lambda: self.pagerduty("trigger", unit, text)),
        }
        return {name: send for key, (name, send) in all_of.items() if key in self.secrets}

    def slack(self, unit: str, text: str) -> tuple[int, str]:
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        body = {
            "text": f":rotating_light: *{'CRITICAL' if is_daemon(unit) else 'ERROR'}* {escaped[:LONGEST]}"
        }
        status, said = self._post(self.secrets["slack_webhook"].reveal(), body)
        if status == 200 and said.strip() == "ok":
            return 0, "told"
        return (2 if status in {200, 400, 403, 404, 410} else 5), f"answered {status} {redact(said)[:80]}"

    def pagerduty(self, action: str, unit: str, text: str) -> tuple[int, str]:
        event: dict[str, Any] = {
            "routing_key": self.secrets["pagerduty_routing_key"].reveal(),
            "event_action": action,
            "dedup_key": incident_of(unit, self._instance),
        }
        if action == "trigger":
            event["payload"] = {
                "summary": text[:LONGEST],
                "source": socket.gethostname(),
                "severity": "critical" if is_daemon(unit) else "error",
                "component": unit,
            }
        status, said = self._post(f"{self._url}/v2/enqueue", event)
        if status == 202:
            return 0, "told"
        return (2 if status == 400 else 5), f"answered {status} {redact(said)[:80]}"


def receivers(config: Path, env: Mapping[str, str]) -> tuple[Receivers, list[str]]:
    """Who can be told, and what is wrong with the others. A configuration that cannot be read is no hindrance."""
    faults: list[str] = []
    alerts: dict[str, Any] = {}
    named = False
    try:
        found = tomllib.loads(config.read_text("utf-8-sig")).get("alerts", {})
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
    url, instance = alerts.get("pagerduty_url", PAGERDUTY), alerts.get("instance", "")
    where = url if isinstance(url, str) else PAGERDUTY
    return Receivers(secrets, where, post, instance if isinstance(instance, str) else ""), faults


def _tried(send: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    try:
        return send()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return 5, redact(f"not reached: {type(error).__name__}: {error}")


def post(url: str, body: Mapping[str, Any]) -> tuple[int, str]:
    """Post JSON once: https, or http on this machine alone; no redirect, no proxy. Raises OSError, ValueError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        way: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=PATIENCE_S, context=ssl.create_default_context()
        )
    elif parts.scheme == "http" and host in LOOPBACK:
        way = http.client.HTTPConnection(host, parts.port, timeout=PATIENCE_S)
    else:
        raise ValueError("only https is sent to")
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        way.request("POST", path or "/", json.dumps(body), {"Content-Type": "application/json"})
        answer = way.getresponse()
        return answer.status, answer.read(4_096).decode("utf-8", "replace")
    finally:
        way.close()
