"""Settings and rules to the policy that decisions look at. Its revision is a hash of all that it says.

The hash is of the policy itself: comments, order of lines and paths do not change it, every rule does.
"""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from reconcilerd.config.dated import Dated, read_dated
from reconcilerd.config.rules import Rules, default_sku, read_rules
from reconcilerd.config.settings import ChannelSection, DemandSection, LimitsSection, Settings
from reconcilerd.domain.digest import canonical, digest_of
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName, Sku
from reconcilerd.domain.policy import (
    AfterDark,
    Ages,
    BundleMode,
    ChannelRule,
    Costs,
    DemandRule,
    Firmness,
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
    Velocity,
)


def policy_of(settings: Settings, folder: Path, now: Instant | None = None) -> Policy:
    """The policy of a configuration; rules are read from beside it. Raises ConfigFault.

    ``now``: also refuse what has ended already. A start does not: yesterday's reserve is no reason to stand still.
    """
    offers = {ChannelName(each.name): _offer(each) for each in settings.channels}
    rules = Rules()
    if settings.rules_csv:
        rules = read_rules(folder / settings.rules_csv, settings, offers)
    dated = read_dated(folder, settings, now)
    policy = _policy(settings, rules, offers, dated)
    return replace(policy, revision=revision_of(policy))


def revision_of(policy: Policy) -> str:
    """Twelve hex digits that are the same for policies that say the same."""
    return digest_of(canonical(replace(policy, revision="")))[:12]


def _policy(settings: Settings, rules: Rules, offers: dict[ChannelName, OfferRule], dated: Dated) -> Policy:
    return Policy(
        revision="",
        pools={
            each.name: PoolRule(
                mode=PoolMode(each.mode),
                bundles=BundleMode(each.bundles),
                unread_peer=UnreadPeer(each.unread_peer),
                dead_band_permille=round(each.dead_band_percent * 10),
                overcommit=each.overcommit,
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
        velocity=Velocity(_ms(settings.velocity.window_s), _ms(settings.velocity.prior_s)),
        demand=MappingProxyType({(ChannelName(d.channel), d.status): _demand(d) for d in settings.demand}),
        reserves=MappingProxyType(dated.reserves),
        inbound=MappingProxyType(dated.inbound),
    )


def _demand(demand: DemandSection) -> DemandRule:
    share = 100.0 if demand.max_share_percent is None else demand.max_share_percent
    return DemandRule(Firmness(demand.firmness), _ms(demand.expires_s or 0), round(share * 10))


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
        plan_max_age_ms=_ms(said.plan_max_age_s),
        announce_permille=round(said.announce_percent * 10),
        announce_units=said.announce_units,
    )


def _offer(channel: ChannelSection) -> OfferRule:
    return OfferRule(
        normal=Percent(round(channel.percent * 10)),
        cap=channel.cap,
        floor=channel.floor,
        buffer=channel.buffer,
        units_per_sale=channel.units_per_sale,
        weight=channel.weight,
        tier=channel.tier,
        priority=channel.priority,
        minimum=channel.minimum,
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
        costs=_costs(channel),
        decrease_only=channel.decrease_only,
    )


def _costs(channel: ChannelSection) -> Costs | None:
    if channel.cost_oversold is None or channel.cost_hidden_day is None:
        return None
    return Costs(channel.cost_oversold, channel.cost_hidden_day)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
