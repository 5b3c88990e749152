"""From a configuration file to a wiring that a daemon is assembled from."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from reconcilerd.assemble import Endpoint, Wiring
from reconcilerd.cli.machine import around, stops
from reconcilerd.cli.receivers import secrets_of
from reconcilerd.cli.wall import now
from reconcilerd.config.calendar import Calendar
from reconcilerd.config.credentials import Pair, credentials, resolve, signing_secrets
from reconcilerd.config.load import load, salvage, text_of
from reconcilerd.config.policy import policy_of
from reconcilerd.config.secret import Secret
from reconcilerd.config.settings import Auth, Settings, WebSection
from reconcilerd.daemon.keeper import Terms
from reconcilerd.daemon.pollers import Pace, paces_of
from reconcilerd.domain.facts import CorrectionPlanned
from reconcilerd.domain.names import ChannelName, FeedName, after
from reconcilerd.errors import ConfigFault
from reconcilerd.ledger.reader import Reader
from reconcilerd.transport.credentials import TokenRequest
from reconcilerd.transport.pool import network_transport
from reconcilerd.web.roles import Role

T = TypeVar("T")
LONGEST_SOCKET = 107
DAY_MS = 86_400_000
SHORTEST_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration with its paths made absolute."""

    settings: Settings
    wiring: Wiring
    ledger: Path
    socket: Path
    stop_file: Path
    text: str
    """What the file said."""
    alerts: Mapping[str, Secret]
    """Secrets of the receivers that are configured, by the key that names them."""
    web_tokens: Mapping[Role, Secret] = field(default_factory=dict)
    """What who looks at the page must send, if anything, by what it lets see."""
    hooks: Mapping[str, tuple[Secret, ...]] = field(default_factory=dict)
    """What may sign the webhooks of each channel that sends any."""

    def recent(self, ledger: Reader) -> list[CorrectionPlanned]:
        """The corrections of the longest sliding window."""
        limits = self.wiring.policy.limits
        window_ms = max(limits.window_ms, limits.zeros_window_ms)
        return ledger.since(CorrectionPlanned, after(self.wiring.clock(), -window_ms))


def terms_of(settings: Settings) -> Terms:
    """How long the ledger keeps what it holds; what a start looks back at in any case."""
    ledger = settings.ledger
    return Terms(max(ledger.keep_days * DAY_MS, looked_at_ms(settings)), ledger.decisions_days * DAY_MS)


def looked_at_ms(settings: Settings) -> int:
    """How far back a start looks at entries: a day more than the longest sliding window."""
    longest = max(settings.limits.window_s, settings.limits.zeros_window_s)
    return round(longest * 1000) + DAY_MS


def wire(config: Path, *, strict: bool = False, calls: bool = True) -> Plan:
    """Read everything a start needs. Raises ConfigFault with all that is wrong, of every kind at once.

    ``strict``: what has ended already is wrong too; a start lets it rest. ``calls`` False: nobody will be called, so
    no secret need be there; systemd lends them to the daemon alone.
    """
    faults: list[str] = []
    unfound = faults if calls else list[str]()
    settings = _or_faults(lambda: load(config), faults) or salvage(config)
    if settings is None:
        raise ConfigFault(tuple(faults))
    folder = config.resolve().parent
    policy = _or_faults(lambda: policy_of(settings, folder, now() if strict else None), faults)
    pairs = _or_faults(lambda: credentials(settings, os.environ), faults) if calls else _nobodys(settings)
    alerts = secrets_of(settings.alerts, os.environ, unfound)
    web_tokens = _web_tokens(settings.web, unfound)
    hooks = signing_secrets(settings, pairs or {}, os.environ, unfound)
    if settings.tracing.otlp_url is not None and not _can_trace():
        faults.append(
            "tracing.otlp_url: OpenTelemetry is not installed; run: pip install 'reconcilerd[otel]'"
        )
    socket = folder / settings.daemon.control_socket
    if len(os.fsencode(socket)) > LONGEST_SOCKET:
        faults.append(
            f"daemon.control_socket: {socket} has {len(os.fsencode(socket))} bytes; a unix socket's path has at most "
            f"{LONGEST_SOCKET}, so name a shorter one"
        )
    if faults or policy is None or pairs is None:
        raise ConfigFault(tuple(dict.fromkeys(faults)))
    ledger, stop_file = folder / settings.ledger.path, folder / settings.daemon.stop_file
    wiring = Wiring(
        policy=policy,
        extensiv=_endpoint(settings.extensiv.base_url, settings.extensiv.auth, pairs["extensiv"]),
        channels={
            ChannelName(each.name): _endpoint(each.base_url, each.auth, pairs[each.name])
            for each in settings.channels
        },
        paces=paces(settings),
        clock=now,
        transport=network_transport,
        stop_file=partial(stops, stop_file),
        seed=now(),
        drain_s=settings.daemon.drain_s,
        drift_after_ms=round(settings.alerts.unresolved_drift_s * 1000),
        closed=Calendar(settings.freeze).at,
        looks_at_scopes=True,
        around=around(config, ledger, stop_file, round(settings.alerts.paused_s * 1000)),
    )
    return Plan(
        settings,
        wiring,
        ledger,
        socket,
        stop_file,
        text_of(config),
        alerts,
        web_tokens,
        hooks,
    )


def _nobodys(settings: Settings) -> dict[str, Pair | Secret]:
    """Something in place of the credentials of each system, for who calls none."""
    nothing = Secret("", public=True)
    return dict.fromkeys(["extensiv", *(each.name for each in settings.channels)], nothing)


def _web_tokens(web: WebSection, faults: list[str]) -> dict[Role, Secret]:
    found: dict[Role, Secret] = {}
    for role in Role:
        key = f"{role.name.lower()}_token"
        name = getattr(web, key)
        token = resolve(name, os.environ, f"web.{key}", faults) if name else None
        if token is None:
            continue
        if len(token.reveal()) < SHORTEST_TOKEN or not token.reveal().isascii():
            faults.append(
                f"web.{key}: at least {SHORTEST_TOKEN} letters and digits, or it can be guessed; make one with: "
                "openssl rand -hex 32"
            )
        if token.reveal() in {each.reveal() for each in found.values()}:
            faults.append(f"web.{key}: has the value of another role's token; make one of its own")
        found[role] = token
    return found


def _can_trace() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def _or_faults(make: Callable[[], T], faults: list[str]) -> T | None:
    try:
        return make()
    except ConfigFault as fault:
        faults.extend(fault.faults)
        return None


def paces(settings: Settings) -> dict[FeedName, Pace]:
    """How often each feed is read."""
    extensiv = settings.extensiv
    return paces_of(
        catalogue_s=extensiv.catalogue_poll_s,
        orders_s=extensiv.orders_poll_s,
        stock_s=extensiv.stock_poll_s,
        totals_s=extensiv.totals_poll_s,
        channels_s={channel.name: channel.poll_s for channel in settings.channels},
    )


def _endpoint(base_url: str, auth: Auth, has: Pair | Secret) -> Endpoint:
    if isinstance(has, Secret):
        return Endpoint(base_url, has)
    return Endpoint(
        base_url, TokenRequest(auth.token_url or "", has.client_id, has.client_secret, auth.client_auth)
    )
