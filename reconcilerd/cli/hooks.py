"""Opens the door for webhooks, as the configuration says."""

from collections.abc import Mapping
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from anyio.abc import TaskGroup

from reconcilerd.cli.wiring import Plan
from reconcilerd.config.fields import address_of
from reconcilerd.connectors.hints import Became, Reader
from reconcilerd.connectors.shopify.hooks import Hooks
from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.supervisor import keep_alive
from reconcilerd.domain.names import ChannelName
from reconcilerd.web.hooks import build_door
from reconcilerd.web.serve import serve

WORDS: Final[Mapping[Became, str]] = {
    Became.BAD_SIGNATURE: "one that none of our secrets signed",
    Became.OTHER_SHOP: "one of another shop",
    Became.TOO_LARGE: "one that is too large",
    Became.TOO_SLOW: "one that did not end",
    Became.NO_POST: "somebody who posted nothing",
}


def start_hooks(group: TaskGroup, plan: Plan, daemon: Daemon) -> None:
    """Take webhooks in this group, unless the configuration says nowhere."""
    listen = plan.settings.webhooks.listen
    if not listen:
        return
    readers = readers_of(plan)
    daemon.hints.channels = tuple(readers)

    def refused(channel: ChannelName | None, why: Became) -> None:
        daemon.desk.counts.turned_away["webhooks"] += 1
        # Those who merely look for doors are the internet's noise: counted, and no alert.
        if channel is not None:
            daemon.health.surroundings.probed(f"webhooks of {channel}", WORDS[why])

    host, port = address_of(listen)
    door = build_door(readers, daemon.hints, refused, daemon.desk.clock)
    group.start_soon(keep_alive, "webhooks", partial(serve, door, host, port))


def readers_of(plan: Plan) -> dict[ChannelName, Reader]:
    """Who reads what comes for each channel that sends webhooks."""
    found: dict[ChannelName, Reader] = {}
    for each in plan.settings.channels:
        if each.webhooks is not None:
            name = ChannelName(each.name)
            shop = each.webhooks.shop or urlsplit(each.base_url).hostname or ""
            found[name] = Hooks(name, shop, plan.hooks[each.name], tuple(each.places))
    return found
