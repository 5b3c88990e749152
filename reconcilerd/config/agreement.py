"""What the values of a configuration must agree on, and what each environment forbids.

Looks at whatever sections could be read, so that these faults are told beside those of single values.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from reconcilerd.config.fields import LOOPBACK, WORKING, address_of
from reconcilerd.config.hosts import why_unreachable
from reconcilerd.config.nearest import nearest
from reconcilerd.config.settings import (
    AgesSection,
    AlertsSection,
    Auth,
    ChannelSection,
    DemandSection,
    ExtensivSection,
    FreezeSection,
    LedgerSection,
    PoolSection,
    ScheduleSection,
    SentinelSection,
    WebhooksSection,
    WebSection,
)

PRODUCTION: Final = frozenset({"api.skubana.com", "app.skubana.com"})
MAX_LOCATION_SETS: Final = 12
"""Headroom is kept for every union of the listings' location sets; above this there are too many unions."""
STOCK_PAGE_ROWS: Final = 100
STOCK_PAGES_A_SECOND: Final = 5
"""What Extensiv allows for stock rows; a whole reading cannot be faster."""
AGE_FACTOR: Final = 1.5
"""A reading must be allowed to come half a turn late before its source counts as dark."""

Loc = tuple[int | str, ...]
_ONLY_IN_EXTENSIV: Final = re.compile(r"extensiv-[1-9][0-9]{0,17}")
"""How a sales channel is called that the configuration does not name."""
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Parts:
    """The sections that could be read, each with its number in the file. None or absent: it could not."""

    environment: str | None
    extensiv: ExtensivSection | None
    channels: Sequence[tuple[int, ChannelSection]]
    pools: Sequence[tuple[int, PoolSection]] | None
    locations: Sequence[str]
    ages: AgesSection | None
    ledger: LedgerSection | None
    sentinels: Sequence[tuple[int, SentinelSection]]
    freeze: Sequence[tuple[int, FreezeSection]]
    all_channels: bool
    """Whether ``channels`` is all of them."""
    demand: Sequence[tuple[int, DemandSection]] = ()
    web: WebSection | None = None
    webhooks: WebhooksSection | None = None
    alerts: AlertsSection | None = None
    schedule: ScheduleSection | None = None


def place_of(loc: Loc) -> str:
    """``("channels", 1, "poll_s")`` as ``channels[1].poll_s``; keys that TOML would quote stand in quotes."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part != "[key]":
            word = part if _BARE_KEY.fullmatch(part) else ascii(part[:64])
            text += f".{word}" if text else word
    return text


def disagreements(parts: Parts) -> Iterator[str]:
    """Every fault that takes more than one value to see, each opened by its place."""
    yield from _channels(parts.channels)
    yield from _places(parts)
    if parts.pools is not None:
        yield from _pools(parts.pools, parts)
    yield from _demand(parts.demand, parts)
    yield from _sentinels(parts)
    yield from _freezes(parts)
    if parts.ages is not None:
        yield from _ages(parts.ages, parts)
    if parts.alerts is not None:
        yield from _alerts(parts.alerts)
        if parts.schedule is not None:
            yield from _scheduled(parts.schedule, parts.alerts)
    if parts.environment is not None:
        yield from _hosts(parts.environment, parts)
        yield from _credentials(parts.environment, parts)
    if parts.web is not None:
        yield from _served(parts.web)
    if parts.webhooks is not None:
        yield from _hooked(parts.webhooks, parts)
    if parts.environment == "live" and parts.ledger is not None:
        yield from _lasting(parts.ledger)


def _channels(channels: Sequence[tuple[int, ChannelSection]]) -> Iterator[str]:
    yield from _twice("channels", "name", [(number, each.name.casefold()) for number, each in channels])
    yield from _twice(
        "channels", "sales_channel_id", [(number, each.sales_channel_id) for number, each in channels]
    )
    for number, each in channels:
        if each.name.casefold() == "extensiv":
            yield f"channels[{number}].name: 'extensiv' names the source of the stock; call the channel otherwise"
        yield from _rules_of(f"channels[{number}]", each)


def _rules_of(where: str, channel: ChannelSection) -> Iterator[str]:
    for key in ("floor", "minimum"):
        units = getattr(channel, key)
        if channel.cap is not None and units > channel.cap:
            yield f"{where}.{key}: {units} is above the cap of {channel.cap}"
    if channel.tier != 1 and channel.weight is None:
        yield f"{where}.tier: needs a weight: within a tier units are divided by weight"
    if (channel.cost_oversold is None) != (channel.cost_hidden_day is None):
        missing = "cost_oversold" if channel.cost_oversold is None else "cost_hidden_day"
        yield f"{where}.{missing}: is missing; only the ratio of both costs says anything"


def _served(web: WebSection) -> Iterator[str]:
    """Quantities, orders and names of SKUs are nobody's business who does not know the token."""
    if not web.listen or web.read_token or web.approve_token or web.admin_token:
        return
    host, port = address_of(web.listen)
    if host not in LOOPBACK and not host.startswith("127."):
        yield (
            f"web.listen: {web.listen} can be reached from other machines: name the secret of a token in "
            f'web.read_token, or keep it here with "127.0.0.1:{port}"'
        )


def _hooked(webhooks: WebhooksSection, parts: Parts) -> Iterator[str]:
    """A door without a store that knocks, or the other way round, is a slip; so is one that another has."""
    knocking = [(number, each) for number, each in parts.channels if each.webhooks is not None]
    if webhooks.listen and not knocking and parts.all_channels:
        yield "webhooks.listen: no channel sends any; give one a table of its own: webhooks = {}"
    if webhooks.listen and parts.web is not None and webhooks.listen == parts.web.listen:
        yield f"webhooks.listen: {webhooks.listen} is that of web.listen; what is open to others serves nothing else"
    for number, each in knocking:
        where = f"channels[{number}].webhooks"
        assert each.webhooks is not None
        if not webhooks.listen:
            yield f'{where}: nobody takes them; say where in webhooks.listen, like "127.0.0.1:9642"'
        if not each.webhooks.secret and each.auth.mode != "client_credentials":
            yield f"{where}.secret: name the app's client secret: it signs them, and auth has only a token"


def _twice(table: str, key: str, values: Sequence[tuple[int, object]]) -> Iterator[str]:
    first: dict[object, int] = {}
    for number, value in values:
        if value in first:
            yield f"{table}[{number}].{key}: {value!r} is that of {table}[{first[value]}] already"
        first.setdefault(value, number)


def _places(parts: Parts) -> Iterator[str]:
    owner: dict[tuple[str, str], int] = {}
    for number, channel in parts.channels:
        drawn: dict[str, str] = {}
        for place, warehouses in channel.places.items():
            where = place_of(("channels", number, "places", place))
            store = (channel.base_url.rstrip("/").casefold(), place)
            if store in owner:
                yield f"{where}: this place of this store is mapped in channels[{owner[store]}] already"
            owner.setdefault(store, number)
            for warehouse in sorted(set(warehouses) & set(drawn)):
                # Every place would be given the channel's whole share of it.
                yield f"{where}: warehouse {warehouse!r} is drawn on by {drawn[warehouse]!r} of this channel already"
            drawn.update(dict.fromkeys(warehouses, place))
            for warehouse in sorted({each for each in warehouses if warehouses.count(each) > 1}):
                yield f"{where}: warehouse {warehouse!r} is listed twice"
    sets = {frozenset(draws) for _, channel in parts.channels for draws in channel.places.values()}
    if len(sets) > MAX_LOCATION_SETS:
        yield f"channels: {len(sets)} different sets of warehouses in places; at most {MAX_LOCATION_SETS}"
    if parts.all_channels:
        known = sorted({each for draws in sets for each in draws})
        for name in parts.locations:
            if name not in known:
                where = place_of(("locations", name))
                yield f"{where}: no channel draws on warehouse {name[:64]!r}{meant(name, known)}"


def meant(text: str, known: Sequence[str]) -> str:
    """The known word that is written most like this one, or all of them if there are few."""
    close = nearest(text, known)
    if close is not None:
        return f"; did you mean {close!r}?"
    return f"; known: {', '.join(known)}" if 0 < len(known) <= 12 else ""


def _pools(pools: Sequence[tuple[int, PoolSection]], parts: Parts) -> Iterator[str]:
    yield from _twice("pools", "name", [(number, each.name.casefold()) for number, each in pools])
    defaults = [each for _, each in pools if each.default]
    if len(defaults) != 1:
        yield f"pools: exactly one has default = true, not {len(defaults)}"
    elif parts.all_channels:
        yield from _default_pool(defaults[0], [each for _, each in parts.channels])


def _default_pool(pool: PoolSection, channels: Sequence[ChannelSection]) -> Iterator[str]:
    """What the channels say of every SKU that no rule names."""
    with_minimum = [each.name for each in channels if each.minimum]
    if with_minimum and not pool.overcommit:
        yield (
            f"channels.minimum: {', '.join(with_minimum)} shows one, and the default pool {pool.name!r} has no "
            "overcommit: say how many units that are not there it may show, or use floor"
        )
    if pool.mode == "shared":
        return
    without = mixed_weights({each.name: (each.weight, each.percent == 0) for each in channels})
    if without:
        yield f"channels.weight: some channels have one, but not {without}; give all of them one, or none"
    ceilings = {
        each.name: (each.tier, each.cap is not None or each.percent < 100) for each in channels if each.weight
    }
    if hungry := starved(ceilings):
        yield f"channels.tier: the default pool would never reach {hungry}"
    total = sum(each.percent for each in channels if each.weight is None)
    if pool.mode == "split" and total > 100:
        yield f"channels.percent: the default pool is split, and the percentages add up to {total:g}"


def mixed_weights(parts: Mapping[str, tuple[int | None, bool]]) -> str:
    """Who has no weight where others have one (each: its weight, and whether it gets nothing anyway)."""
    if all(weight is None for weight, _ in parts.values()):
        return ""
    return ", ".join(
        sorted(name for name, (weight, nothing) in parts.items() if weight is None and not nothing)
    )


def starved(tiers: Mapping[str, tuple[int, bool]]) -> str:
    """The tiers that never get a unit, and why (each: its tier, and whether it stops anywhere)."""
    endless = sorted((tier, name) for name, (tier, ceiling) in tiers.items() if not ceiling)
    after = sorted({tier for tier, _ in tiers.values() if endless and tier > endless[0][0]})
    if not after:
        return ""
    tier, name = endless[0]
    reason = f"{name} in tier {tier} takes all there is; give it a cap, a max or a percent below 100"
    return f"tier {', '.join(map(str, after))}: {reason}"


def _demand(demand: Sequence[tuple[int, DemandSection]], parts: Parts) -> Iterator[str]:
    yield from _twice("demand", "status", [(number, (each.channel, each.status)) for number, each in demand])
    names = [each.name for _, each in parts.channels]
    for number, each in demand:
        where = f"demand[{number}]"
        known = not each.channel or each.channel in names or _ONLY_IN_EXTENSIV.fullmatch(each.channel)
        if parts.all_channels and not known:
            yield f"{where}.channel: no channel {each.channel[:40]!r}{meant(each.channel, names)}"
        if each.firmness == "ignored" and each.status in WORKING:
            yield f"{where}.firmness: every order passes through {each.status}; ignoring it would sell its units again"
        for key in ("expires_s", "max_share_percent"):
            given = getattr(each, key) is not None
            if each.firmness == "soft" and not given:
                yield f"{where}.{key}: is missing; soft demand needs an end and a share"
            elif given and each.firmness != "soft":
                yield f"{where}.{key}: belongs to firmness soft; take it out, or set that"


def _sentinels(parts: Parts) -> Iterator[str]:
    known = ["extensiv.stock", *(f"{each.name}.slots" for _, each in parts.channels)]
    for number, each in parts.sentinels:
        if parts.all_channels and each.feed not in known:
            yield f"sentinels[{number}].feed: no feed {each.feed!r} is watched for this{meant(each.feed, known)}"
        if each.at_least > each.at_most:
            yield f"sentinels[{number}].at_least: {each.at_least} is above at_most ({each.at_most})"


def _freezes(parts: Parts) -> Iterator[str]:
    known = [each.name for _, each in parts.channels]
    for number, each in parts.freeze:
        where = f"freeze[{number}]"
        for name in each.channels:
            if parts.all_channels and name not in known:
                yield f"{where}.channels: no channel {name!r}{meant(name, known)}"
        once, again = (each.start, each.end), (each.cron, each.duration_s)
        if not (None not in once and again == (None, None)) and not (
            None not in again and once == (None, None)
        ):
            yield f"{where}: either cron and duration_s, or start and end"
        for key, moment in (("start", each.start), ("end", each.end)):
            if moment is not None and moment.tzinfo is not None:
                yield f"{where}.{key}: without a zone; timezone says whose clock it is"
        if each.start is not None and each.end is not None:
            both_local = each.start.tzinfo is None and each.end.tzinfo is None
            if both_local and each.start >= each.end:
                yield f"{where}.end: {each.end} is not after start ({each.start})"


def _ages(ages: AgesSection, parts: Parts) -> Iterator[str]:
    turns: list[tuple[float, str]] = [
        (each.poll_s, f"channels[{number}].poll_s") for number, each in parts.channels
    ]
    if parts.extensiv is not None:
        turns.append((parts.extensiv.orders_poll_s, "extensiv.orders_poll_s"))
        turns.append((parts.extensiv.stock_poll_s, "extensiv.stock_poll_s"))
        if parts.all_channels:
            turns.append(
                (
                    stock_sweep_s(parts.extensiv, parts),
                    "a reading of extensiv.expected_skus at Extensiv's limits",
                )
            )
    # One fault is enough: the slowest turn decides.
    longest, what = max(turns, default=(0.0, ""))
    if ages.max_age_s < AGE_FACTOR * longest:
        yield (
            f"ages.max_age_s: at least {AGE_FACTOR * longest:g}, which is {AGE_FACTOR:g} times {what} "
            f"(got {ages.max_age_s:g}); below it a sound source counts as dark"
        )


def stock_sweep_s(extensiv: ExtensivSection, parts: Parts) -> float:
    """How long Extensiv's limits make one reading of all stock rows, in seconds."""
    warehouses = {
        each for _, channel in parts.channels for draws in channel.places.values() for each in draws
    }
    return ceil(extensiv.expected_skus * len(warehouses) / STOCK_PAGE_ROWS) / STOCK_PAGES_A_SECOND


def _auths(parts: Parts) -> Iterator[tuple[str, Auth]]:
    if parts.extensiv is not None:
        yield "extensiv", parts.extensiv.auth
    for number, channel in parts.channels:
        yield f"channels[{number}]", channel.auth


def _urls(parts: Parts) -> Iterator[tuple[str, str]]:
    if parts.extensiv is not None:
        yield "extensiv.base_url", parts.extensiv.base_url
    for number, channel in parts.channels:
        yield f"channels[{number}].base_url", channel.base_url
    for where, auth in _auths(parts):
        if auth.token_url is not None:
            yield f"{where}.auth.token_url", auth.token_url


def _hosts(environment: str, parts: Parts) -> Iterator[str]:
    for where, url in _urls(parts):
        split = urlsplit(url)
        host = (split.hostname or "").rstrip(".")
        if environment == "simulator" and host not in LOOPBACK:
            yield f"{where}: environment simulator speaks to loopback only, not to {host}"
        elif environment == "sandbox" and host in PRODUCTION:
            yield f"{where}: {host} is production; environment sandbox forbids it"
        elif environment == "live" and split.scheme == "http":
            yield f"{where}: environment live speaks https only (got {url!r})"


def _credentials(environment: str, parts: Parts) -> Iterator[str]:
    for where, auth in _auths(parts):
        if auth.mode == "static_token":
            yield from _static_token(where, auth)
            continue
        if auth.token:
            yield f"{where}.auth.token: belongs to mode static_token; take it out, or set that mode"
        if auth.token_url is None:
            yield f"{where}.auth.token_url: is missing; client credentials are exchanged for a token there"
        names = {"client_id": auth.client_id, "client_secret": auth.client_secret}
        missing = [key for key, name in names.items() if not name]
        if environment == "simulator" and len(missing) == 2:
            continue
        for key in missing:
            why = (
                "the other one is named"
                if environment == "simulator"
                else f"environment {environment} has none built in"
            )
            yield f"{where}.auth.{key}: name a secret; {why} (built-in credentials are for environment simulator)"


def _static_token(where: str, auth: Auth) -> Iterator[str]:
    if not auth.token:
        yield f"{where}.auth.token: name a secret; mode static_token needs it"
    for key in ("client_id", "client_secret", "token_url"):
        if getattr(auth, key):
            yield f"{where}.auth.{key}: belongs to mode client_credentials; take it out, or set that mode"


def _alerts(alerts: AlertsSection) -> Iterator[str]:
    for key, other, why in (
        ("webhook_url", "webhook_secret", "nobody could tell who sent it"),
        ("webhook_secret", "webhook_url", "there is nothing to sign"),
        ("slack_bot_token", "slack_channel", "the bot does not know where to speak"),
        ("slack_channel", "slack_bot_token", "nobody speaks there"),
        ("slack_app_token", "slack_bot_token", "there are no messages to have buttons"),
        ("slack_app_token", "slack_team", "presses from any workspace would count"),
        ("slack_team", "slack_app_token", "nobody presses anything"),
        ("pagerduty_old_routing_key", "pagerduty_routing_key", "there is no key in use"),
    ):
        if getattr(alerts, key) and not getattr(alerts, other):
            yield f"alerts.{key}: needs alerts.{other} beside it; without, {why}"
    if alerts.slack_webhook and alerts.slack_bot_token:
        yield "alerts.slack_bot_token: beside alerts.slack_webhook Slack would be told twice; keep one of them"
    anybody = any(people for _, people in alerts.people)
    if alerts.slack_app_token and not anybody:
        yield "alerts.people: nobody may do anything by the buttons of alerts.slack_app_token; list who may"
    if anybody and not alerts.slack_app_token:
        yield "alerts.people: needs alerts.slack_app_token; without, there are no buttons"
    for key in ("slack_api_url", "pagerduty_url", "alertmanager_url"):
        host = urlsplit(getattr(alerts, key) or "").hostname
        why = why_unreachable(host, alerts.allow_hosts) if host else ""
        if why:
            yield f"alerts.{key}: {host} {why}; if that is meant, name it in alerts.allow_hosts"
    if alerts.mail is None:
        return
    if bool(alerts.mail.user) != bool(alerts.mail.password):
        missing = "password" if alerts.mail.user else "user"
        yield f"alerts.mail.{missing}: is missing; a log-in takes both"
    if not alerts.mail.tls and alerts.mail.server not in LOOPBACK:
        yield "alerts.mail.tls: false is for a server on this machine; alerts are not sent readable for others"


def _scheduled(schedule: ScheduleSection, alerts: AlertsSection) -> Iterator[str]:
    configured = {
        "slack": bool(alerts.slack_webhook or alerts.slack_bot_token),
        "mail": alerts.mail is not None,
        "webhook": bool(alerts.webhook_url),
    }
    if schedule.digest is not None and not any(configured[each] for each in alerts.digest_to):
        yield "schedule.digest: nobody gets it; configure a receiver that alerts.digest_to names"


def _lasting(ledger: LedgerSection) -> Iterator[str]:
    path = PurePosixPath(ledger.path)
    if any(path.is_relative_to(each) for each in ("/tmp", "/var/tmp", "/dev/shm")):  # noqa: S108 - refused here
        yield f"ledger.path: {ledger.path} does not outlive a reboot; environment live forbids it"
