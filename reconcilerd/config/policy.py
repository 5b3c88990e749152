"""Settings and rules to the policy that decisions look at. Its revision is a hash of all that it says.

The hash is of the policy itself: comments, order of lines and paths do not change it, every rule does.
"""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from reconcilerd.config.dated import Dated, read_dated
from reconcilerd.config.rules import Rules, default_sku, read_rules
from reconcilerd.config.settings import ChannelSection, DemandSection, Settings
from reconcilerd.domain.digest import canonical, digest_of
from reconcilerd.domain.names import ChannelName, Instant, LocationName
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
        limits=Limits(
            mode=Mode(settings.limits.mode),
            window_ms=_ms(settings.limits.window_s),
            window_slots=settings.limits.window_slots,
            window_permille=round(settings.limits.window_percent * 10),
            window_min_slots=settings.limits.window_min_slots,
            window_units=settings.limits.window_units,
            unexplained_zeros=settings.limits.unexplained_zeros,
            unexplained_fall_units=settings.limits.unexplained_fall_units,
            unexplained_fall_permille=round(settings.limits.unexplained_fall_percent * 10),
            after_dark=AfterDark(settings.limits.after_dark),
            haircut_permille=round(settings.limits.haircut_percent * 10),
            plan_max_age_ms=_ms(settings.limits.plan_max_age_s),
            match_permyriad=round(settings.limits.match_percent * 100),
            match_floor=settings.limits.match_floor,
            match_orders=settings.limits.match_orders,
            match_window_ms=_ms(settings.limits.match_window_s),
            announce_permille=round(settings.limits.announce_percent * 10),
            announce_units=settings.limits.announce_units,
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
    )


def _costs(channel: ChannelSection) -> Costs | None:
    if channel.cost_oversold is None or channel.cost_hidden_day is None:
        return None
    return Costs(channel.cost_oversold, channel.cost_hidden_day)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
