"""From a configuration file to a wiring that a daemon is assembled from."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from reconcilerd.assemble import Endpoint, Wiring
from reconcilerd.cli.machine import around
from reconcilerd.cli.receivers import secrets_of
from reconcilerd.cli.wall import now
from reconcilerd.config.calendar import Calendar
from reconcilerd.config.credentials import Pair, credentials
from reconcilerd.config.load import load, salvage
from reconcilerd.config.policy import policy_of
from reconcilerd.config.secret import Secret
from reconcilerd.config.settings import Auth, Settings
from reconcilerd.daemon.pollers import WHOLE_ORDERS_S, Pace
from reconcilerd.domain.facts import CorrectionPlanned
from reconcilerd.domain.names import ChannelName, FeedName, after
from reconcilerd.errors import ConfigFault
from reconcilerd.ledger.reader import Reader
from reconcilerd.transport.credentials import TokenRequest
from reconcilerd.transport.pool import network_transport

T = TypeVar("T")
LONGEST_SOCKET = 107


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration with its paths made absolute."""

    settings: Settings
    wiring: Wiring
    ledger: Path
    socket: Path
    stop_file: Path
    alerts: Mapping[str, Secret]
    """Secrets of the receivers that are configured, by the key that names them."""

    def recent(self, ledger: Reader) -> list[CorrectionPlanned]:
        """The corrections of the longest sliding window."""
        limits = self.wiring.policy.limits
        window_ms = max(limits.window_ms, limits.zeros_window_ms)
        return ledger.since(CorrectionPlanned, after(self.wiring.clock(), -window_ms))


def wire(config: Path, *, strict: bool = False) -> Plan:
    """Read everything a start needs. Raises ConfigFault with all that is wrong, of every kind at once.

    ``strict``: what has ended already is wrong too; a start lets it rest.
    """
    faults: list[str] = []
    settings = _or_faults(lambda: load(config), faults) or salvage(config)
    if settings is None:
        raise ConfigFault(tuple(faults))
    folder = config.resolve().parent
    policy = _or_faults(lambda: policy_of(settings, folder, now() if strict else None), faults)
    pairs = _or_faults(lambda: credentials(settings, os.environ), faults)
    alerts = secrets_of(settings.alerts, os.environ, faults)
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
        stop_file=stop_file.exists,
        seed=now(),
        drain_s=settings.daemon.drain_s,
        drift_after_ms=round(settings.alerts.unresolved_drift_s * 1000),
        closed=Calendar(settings.freeze).at,
        around=around(config, ledger, stop_file, round(settings.alerts.paused_s * 1000)),
    )
    return Plan(
        settings,
        wiring,
        ledger,
        socket,
        stop_file,
        alerts,
    )


def _or_faults(make: Callable[[], T], faults: list[str]) -> T | None:
    try:
        return make()
    except ConfigFault as fault:
        faults.extend(fault.faults)
        return None


def paces(settings: Settings) -> dict[FeedName, Pace]:
    """How often each feed is read."""
    extensiv = settings.extensiv
    found = {
        FeedName(f"extensiv.{feed}"): Pace(extensiv.catalogue_poll_s)
        for feed in ("products", "listings", "warehouses", "channels")
    }
    found[FeedName("extensiv.orders")] = Pace(extensiv.orders_poll_s, whole_every_s=WHOLE_ORDERS_S)
    found[FeedName("extensiv.stock")] = Pace(extensiv.stock_poll_s)
    found[FeedName("extensiv.totals")] = Pace(extensiv.totals_poll_s)
    for channel in settings.channels:
        for feed in ("slots", "orders"):
            found[FeedName(f"{channel.name}.{feed}")] = Pace(channel.poll_s)
    return found


def _endpoint(base_url: str, auth: Auth, has: Pair | Secret) -> Endpoint:
    if isinstance(has, Secret):
        return Endpoint(base_url, has)
    return Endpoint(
        base_url, TokenRequest(auth.token_url or "", has.client_id, has.client_secret, auth.client_auth)
    )
