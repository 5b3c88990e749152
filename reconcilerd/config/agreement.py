"""What the values of a configuration must agree on, and what each environment forbids.

Looks at whatever sections could be read, so that these faults are told beside those of single values.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import ceil
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from reconcilerd.config.fields import LOOPBACK
from reconcilerd.config.settings import (
    AgesSection,
    Auth,
    ChannelSection,
    ExtensivSection,
    FreezeSection,
    LedgerSection,
    PoolSection,
    SentinelSection,
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
    yield from _sentinels(parts)
    yield from _freezes(parts)
    if parts.ages is not None:
        yield from _ages(parts.ages, parts)
    if parts.environment is not None:
        yield from _hosts(parts.environment, parts)
        yield from _credentials(parts.environment, parts)
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
    close = get_close_matches(text, known, 1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if 0 < len(known) <= 12 else ""


def _pools(pools: Sequence[tuple[int, PoolSection]], parts: Parts) -> Iterator[str]:
    yield from _twice("pools", "name", [(number, each.name.casefold()) for number, each in pools])
    defaults = [each for _, each in pools if each.default]
    if len(defaults) != 1:
        yield f"pools: exactly one has default = true, not {len(defaults)}"
    elif defaults[0].mode == "split" and parts.all_channels:
        total = sum(each.percent for _, each in parts.channels)
        if total > 100:
            yield f"channels.percent: the default pool is split, and the percentages add up to {total:g}"


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


def _lasting(ledger: LedgerSection) -> Iterator[str]:
    path = PurePosixPath(ledger.path)
    if any(path.is_relative_to(each) for each in ("/tmp", "/var/tmp", "/dev/shm")):  # noqa: S108 - refused here
        yield f"ledger.path: {ledger.path} does not outlive a reboot; environment live forbids it"
