"""From a configuration file to a wiring that a daemon is assembled from."""

import os
from dataclasses import dataclass
from pathlib import Path

from reconcilerd.assemble import Endpoint, Wiring
from reconcilerd.cli.wall import now
from reconcilerd.config.credentials import Pair, credentials
from reconcilerd.config.load import load
from reconcilerd.config.policy import policy_of
from reconcilerd.config.settings import Auth, Settings
from reconcilerd.daemon.pollers import Pace
from reconcilerd.domain.names import ChannelName, FeedName
from reconcilerd.transport.pool import network_transport


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration with its paths made absolute."""

    settings: Settings
    wiring: Wiring
    ledger: Path
    socket: Path
    stop_file: Path


def wire(config: Path) -> Plan:
    """Read everything a start needs. Raises ConfigFault with all that is wrong."""
    settings = load(config)
    folder = config.resolve().parent
    pairs = credentials(settings, os.environ)
    stop_file = folder / settings.daemon.stop_file
    wiring = Wiring(
        policy=policy_of(settings, folder),
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
    )
    return Plan(
        settings, wiring, folder / settings.ledger.path, folder / settings.daemon.control_socket, stop_file
    )


def paces(settings: Settings) -> dict[FeedName, Pace]:
    """How often each feed is read."""
    extensiv = settings.extensiv
    found = {
        FeedName(f"extensiv.{feed}"): Pace(extensiv.catalogue_poll_s)
        for feed in ("products", "listings", "warehouses", "channels")
    }
    found[FeedName("extensiv.orders")] = Pace(extensiv.orders_poll_s)
    found[FeedName("extensiv.stock")] = Pace(extensiv.stock_poll_s)
    found[FeedName("extensiv.totals")] = Pace(extensiv.totals_poll_s)
    for channel in settings.channels:
        for feed in ("slots", "orders"):
            found[FeedName(f"{channel.name}.{feed}")] = Pace(channel.poll_s)
    return found


def _endpoint(base_url: str, auth: Auth, pair: Pair) -> Endpoint:
    return Endpoint(base_url, auth.token_url, pair.client_id, pair.client_secret, auth.client_auth)
