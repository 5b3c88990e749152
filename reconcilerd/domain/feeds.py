"""The names of the feeds that decisions ask after."""

from typing import Final

from reconcilerd.domain.names import ChannelName, FeedName

STOCK_FEED: Final = FeedName("extensiv.stock")
EXTENSIV_ORDERS: Final = FeedName("extensiv.orders")


def orders_feed(channel: ChannelName) -> FeedName:
    return FeedName(f"{channel}.orders")


def slots_feed(channel: ChannelName) -> FeedName:
    return FeedName(f"{channel}.slots")
