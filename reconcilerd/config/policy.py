"""Settings and rules to the policy that decisions look at. Its revision is a hash of all that it says.

The hash is of the policy itself: comments, order of lines and paths do not change it, every rule does.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from reconcilerd.config.rules import Rules, default_sku, read_rules
from reconcilerd.config.settings import ChannelSection, LimitsSection, Settings
from reconcilerd.domain.names import ChannelName, FeedName, LocationName, Sku
from reconcilerd.domain.policy import (
    AfterDark,
    Ages,
    BundleMode,
    ChannelRule,
    Limits,
    LocationRule,
    Mode,
    OfferRule,
    Percent,
    Policy,
    PoolMode,
    PoolRule,
    Publisher,
    Sentinel,
    UnreadPeer,
)


def policy_of(settings: Settings, folder: Path) -> Policy:
    """The policy of a configuration; rules are read from beside it. Raises ConfigFault."""
    offers = {ChannelName(each.name): _offer(each) for each in settings.channels}
    rules = Rules()
    if settings.rules_csv:
        rules = read_rules(folder / settings.rules_csv, settings, offers)
    policy = _policy(settings, rules, offers)
    return replace(policy, revision=revision_of(policy))


def revision_of(policy: Policy) -> str:
    """Twelve hex digits that are the same for policies that say the same."""
    said = json.dumps(_plain(replace(policy, revision="")), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    """A value as JSON has it; a record with its name, sets sorted, tables as sorted pairs."""
    if is_dataclass(value):
        return [
            type(value).__name__,
            {each.name: _plain(getattr(value, each.name)) for each in fields(value)},
        ]
    match value:
        case Mapping():
            return sorted([_plain(key), _plain(each)] for key, each in value.items())
        case frozenset():
            return sorted(value)
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def _policy(settings: Settings, rules: Rules, offers: dict[ChannelName, OfferRule]) -> Policy:
    return Policy(
        revision="",
        pools={
            each.name: PoolRule(
                mode=PoolMode(each.mode),
                bundles=BundleMode(each.bundles),
                unread_peer=UnreadPeer(each.unread_peer),
                scarcity_switch=each.scarcity_switch,
                dead_band_permille=round(each.dead_band_percent * 10),
            )
            for each in settings.pools
        },
        channels={ChannelName(each.name): _channel(each, offers) for each in settings.channels},
        skus=MappingProxyType(rules.skus),
        offers=MappingProxyType(rules.offers),
        default_sku=default_sku(settings),
        locations={
            LocationName(name): LocationRule(each.mirror, _ms(each.mirror_max_s))
            for name, each in settings.locations.items()
        },
        ages=Ages(
            stock_ms=_ms(settings.ages.stock_s),
            own_slot_ms=_ms(settings.ages.own_slot_s),
            peer_slot_ms=_ms(settings.ages.peer_slot_s),
            max_age_ms=_ms(settings.ages.max_age_s),
            lower_reread_ms=_ms(settings.ages.lower_reread_s),
            dark_grace_ms=_ms(settings.ages.dark_grace_s),
        ),
        limits=_limits(settings.limits),
        sentinels=tuple(
            Sentinel(FeedName(each.feed), Sku(each.sku.strip().casefold()), each.at_least, each.at_most)
            for each in settings.sentinels
        ),
        stock_sweep_ms=_ms(settings.extensiv.stock_poll_s),
    )


def _limits(said: LimitsSection) -> Limits:
    return Limits(
        mode=Mode(said.mode),
        window_ms=_ms(said.window_s),
        window_slots=said.window_slots,
        window_permille=round(said.window_percent * 10),
        window_min_slots=said.window_min_slots,
        window_units=said.window_units,
        window_value=round(said.window_value * 100),
        zeros_window_ms=_ms(said.zeros_window_s),
        unexplained_zeros=said.unexplained_zeros,
        unexplained_fall_units=said.unexplained_fall_units,
        unexplained_fall_permille=round(said.unexplained_fall_percent * 10),
        zero_reads=said.zero_reads,
        confirm_reads=said.confirm_reads,
        confirm_gap_ms=_ms(said.confirm_gap_s),
        raise_permille=round(said.raise_ratio * 1000),
        raise_floor_units=said.raise_floor_units,
        all_changed_permille=round(said.all_changed_percent * 10),
        shrink_permille=round(said.shrink_percent * 10),
        suspect_min_rows=said.suspect_min_rows,
        tug_times=said.tug_times,
        tug_window_ms=_ms(said.tug_window_s),
        tug_hold_ms=_ms(said.tug_hold_s),
        breaker_permille=round(said.breaker_percent * 10),
        breaker_calls=said.breaker_calls,
        breaker_window_ms=_ms(said.breaker_window_s),
        breaker_open_ms=_ms(said.breaker_open_s),
        breaker_longest_ms=_ms(said.breaker_longest_s),
        breaker_probes=said.breaker_probes,
        half_fails=said.half_fails,
        canary_over=said.canary_over,
        canary_first=said.canary_first,
        canary_second=said.canary_second,
        refusals=said.refusals,
        quarantine_ms=_ms(said.quarantine_s),
        attempts=said.attempts_per_hour,
        config_change_slots=said.config_change_slots,
        after_dark=AfterDark(said.after_dark),
        haircut_permille=round(said.haircut_percent * 10),
        match_permyriad=round(said.match_percent * 100),
        match_floor=said.match_floor,
        match_orders=said.match_orders,
        match_window_ms=_ms(said.match_window_s),
    )


def _offer(channel: ChannelSection) -> OfferRule:
    return OfferRule(
        normal=Percent(round(channel.percent * 10)),
        cap=channel.cap,
        floor=channel.floor,
        buffer=channel.buffer,
        units_per_sale=channel.units_per_sale,
    )


def _channel(channel: ChannelSection, offers: dict[ChannelName, OfferRule]) -> ChannelRule:
    return ChannelRule(
        publisher=Publisher(channel.publisher),
        sales_channel_id=channel.sales_channel_id,
        places={place: frozenset(LocationName(w) for w in draws) for place, draws in channel.places.items()},
        poll_ms=_ms(channel.poll_s),
        order_lag_ms=_ms(channel.order_lag_s),
        read_lag_ms=_ms(channel.read_lag_s),
        import_max_ms=_ms(channel.import_max_s),
        apply_max_ms=_ms(channel.apply_max_s),
        compare_and_set=True,
        order_key=channel.order_key,
        offer=offers[ChannelName(channel.name)],
        decrease_only=channel.decrease_only,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
