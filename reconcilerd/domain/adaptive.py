"""When an adaptive pool turns split: when what is left could sell before every channel has heard of it.

K = mu + z sqrt(mu) + 1, with mu what the pool sells in poll + order lag + slowest apply. Being shared at K oversells
one unit with the chance that more than K sell in that time; being split hides about one unit for that time. Where the
channels say what either costs, z is the point at which the two cost the same; without costs it is 3.
"""

from collections.abc import Iterator

from reconcilerd.domain.names import Sku
from reconcilerd.domain.position import Position
from reconcilerd.domain.quantities import Rate, expected_tenths
from reconcilerd.domain.room import Room, level_of

DAY_MS = 86_400_000
PLAIN_TENTHS = 30
"""z without costs, in tenths."""


_TAILS = (
    500_000_000, 460_172_163, 420_740_291, 382_088_578, 344_578_258, 308_537_539, 274_253_118, 241_963_652,
    211_855_399, 184_060_125, 158_655_254, 135_666_061, 115_069_670, 96_800_485, 80_756_659, 66_807_201,
    54_799_292, 44_565_463, 35_930_319, 28_716_560, 22_750_132, 17_864_421, 13_903_448, 10_724_110, 8_197_536,
    6_209_665, 4_661_188, 3_466_974, 2_555_130, 1_865_813, 1_349_898, 967_603, 687_138, 483_424, 336_929, 232_629,
    159_109, 107_800, 72_348, 48_096, 31_671, 20_658, 13_346, 8_540, 5_413, 3_398, 2_112, 1_301, 793, 479, 287,
)  # fmt: skip
"""The chance of more than mu + z sigma for z = 0.0, 0.1 ... 5.0, in parts of 10^9: a table, since no float decides."""


def scarcity(position: Position, *, scarce: bool, room: Room | None = None) -> bool:
    """Whether an adaptive pool should be split now: at S <= K, and back only above 1.25 K.

    ``room``: the position's own, where the caller has it already.
    """
    if position.split and not scarce:
        return False
    return any(
        left <= bound or (scarce and 4 * left <= 5 * bound)
        for _, left, bound in turning_points(position, room)
    )


def turning_points(position: Position, room: Room | None = None) -> Iterator[tuple[Sku, int, int]]:
    """Each counted component, what is left of it, and its K."""
    slow = slow_ms(position)
    yield from stock_against_sales(position, slow, z_tenths(position, slow), room)


def slow_ms(position: Position) -> int:
    """How long the slowest channel of a pool group can be wrong."""
    return max((channel.slow_ms for channel in position.channels), default=0)


def z_tenths(position: Position, window_ms: int) -> int:
    """How many deviations (in tenths) of the sales of a window keep the costs of overselling and hiding even.

    The newsvendor's critical ratio: costs are averaged over the channels that state them, by how fast each sells.
    """
    oversold = hidden = 0
    for channel in position.channels:
        if channel.costs is not None:
            rates = (o.rate.milli_per_hour for o in position.offers if o.slot.channel == channel.name)
            sells = max(1, sum(rates))
            oversold += sells * channel.costs.oversold * DAY_MS
            hidden += sells * channel.costs.hidden_day * window_ms
    if not oversold:
        return PLAIN_TENTHS
    fits = (z for z, tail in enumerate(_TAILS) if tail * (oversold + hidden) <= hidden * 1_000_000_000)
    return next(fits, len(_TAILS) - 1)


def stock_against_sales(
    position: Position, window_ms: int, tenths: int = PLAIN_TENTHS, room: Room | None = None
) -> Iterator[tuple[Sku, int, int]]:
    """Each counted component, what is left of it, and what could sell in a window: mu + z sqrt(mu) + 1."""
    sold = {name for offer in position.offers for name, _ in offer.uses}
    for component in sorted(sold - set(position.unknown)):
        # Each place of a listing sells as fast as the listing does at all of them.
        rates = {
            (o.slot.channel, o.slot.listing): o.rate.milli_per_hour * o.use_of(component)
            for o in position.offers
        }
        rate = Rate(sum(rates.values()))
        left = level_of(position, component) if room is None else room.levels[component]
        yield component, left, expected_tenths(rate, window_ms, tenths) + 1
