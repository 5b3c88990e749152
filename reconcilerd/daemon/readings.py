"""Reading the stock rows and listings of some SKUs when a person asks, and again after what they had written."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial

from reconcilerd.connectors.port import Channel, StockSource
from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.names import ChannelName, Sku, SlotKey
from reconcilerd.errors import LedgerFault, ReconcilerdError


class Readings:
    """Reads by target, one system after another, into the desk."""

    def __init__(self, desk: Desk, stock: StockSource, channels: Mapping[ChannelName, Channel]) -> None:
        self._desk = desk
        self._stock = stock
        self._channels = channels
        self.on = True
        """Whether it has anything read; what is answered from the ledger alone has no credentials to read by."""

    async def read(self, skus: Sequence[Sku]) -> None:
        """Read the stock rows and slots of these SKUs and of all that share their stock. Raises ReconcilerdError."""
        for one in self._each(skus):
            await one()

    async def read_back(self, skus: Sequence[Sku]) -> list[str]:
        """The same after writes, of which is told whatever can be read: what cannot, and why. Raises LedgerFault."""
        failed = []
        for one in self._each(skus):
            try:
                await one()
            except LedgerFault:
                raise
            except ReconcilerdError as trouble:
                failed.append(str(trouble))
        return failed

    def _each(self, skus: Sequence[Sku]) -> Iterator[Callable[[], Awaitable[None]]]:
        """What to read of each system: which slots there are is known by what was read before them."""
        if not self.on:
            return
        book = self._desk.book
        components = sorted({component for sku in skus for component, _ in book.uses(sku)})
        yield partial(self._stock.read_stock, components, self._desk.page)
        joins = book.joins()
        slots = [slot for sku in joins.sold_from(components) for slot in joins.slots_of.get(sku, ())]
        for name, channel in self._channels.items():
            mine: list[SlotKey] = [slot for slot in slots if slot.channel == name]
            if mine:
                yield partial(channel.read_slots, mine, self._desk.page)
