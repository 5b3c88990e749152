"""The lists of a reply, checked: what lacks its rows, or a word on whether more follow, is no list that ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconcilerd.errors import MalformedReply

Node = dict[str, Any]

MOST_DIGITS: Final = 20
"""Of the number in an id, which has 64 bits. Of thousands Python makes no number."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One page of a list. ``following``: the cursor of the next one; None says that there is none."""

    nodes: list[Any]
    following: str | None

    @property
    def more(self) -> bool:
        """Whether another page follows."""
        return self.following is not None


def connection_of(holder: Any, name: str, where: str, *, of: object = None) -> Connection:
    """The list ``name`` of a reply, or of the node ``of`` in it. Raises MalformedReply that names what is missing."""
    named = name if of is None else f"{name} of {str(of)[:80]}"
    found = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(found, dict):
        raise MalformedReply(f"{where}: {named} is missing")
    nodes, info = found.get("nodes"), found.get("pageInfo")
    if not isinstance(nodes, list):
        raise MalformedReply(f"{where}: nodes of {named} is missing")
    if of is None and not all(isinstance(node, dict) for node in nodes):
        raise MalformedReply(f"{where}: a node of {named} is missing")
    if not isinstance(info, dict) or not isinstance(info.get("hasNextPage"), bool):
        raise MalformedReply(f"{where}: pageInfo of {named} is missing")
    if not info["hasNextPage"]:
        return Connection(nodes, None)
    if not isinstance(info.get("endCursor"), str):
        raise MalformedReply(f"{where}: endCursor of {named} is missing")
    return Connection(nodes, info["endCursor"])


def nodes_of(data: Node, where: str, ids: Sequence[str]) -> list[Node]:
    """The nodes that were asked for by id, less those that are not there. Raises MalformedReply.

    A node that was not asked for may be one that was and says so no longer: that one would pass for gone.
    """
    nodes = data.get("nodes")
    if not isinstance(nodes, list) or len(nodes) != len(ids):
        raise MalformedReply(f"{where}: nodes is missing, or is not one for each id")
    found = [node for node in nodes if node is not None]
    if not all(isinstance(node, dict) for node in found):
        raise MalformedReply(f"{where}: a node is no object")
    if not all(node.get("id") in ids for node in found):
        raise MalformedReply(f"{where}: a node that was not asked for")
    return found


def id_of(node: Node) -> object:
    """What tells a node apart; its text where its id is no plain value."""
    id_ = node.get("id")
    return id_ if isinstance(id_, str) else repr(id_)


@dataclass(slots=True)
class ById:
    """Where to go on in a list of any length, ``size`` nodes a page.

    A store pages through no more than ``cap`` nodes of one list. Beyond goes another list, of the ids from the last one
    on: it leaves nothing out as long as the first one came in the order of its ids, which is looked at and not taken
    for granted.
    """

    size: int
    cap: int
    after: str | None = None
    least: int = 0
    """The id from which the list is asked for; 0: the whole list."""
    _last: int = 0
    _deep: int = 0
    _in_order: bool = True

    @property
    def variables(self) -> dict[str, object]:
        """Asks for the page that comes next."""
        asked: dict[str, object] = {"first": self.size, "after": self.after}
        return asked | {"query": f"id:>={self.least}"} if self.least else asked

    def turn(self, page: Connection) -> str:
        """Go on behind a page that others follow. Why that cannot be, or nothing."""
        for number in _numbers(page.nodes):
            if number < self.least:
                return f"paging does not go deeper than {self.cap}: asked for ids from {self.least} on, {number} came"
            self._in_order &= number >= self._last
            self._last = max(self._last, number)
        if page.following == self.after or not page.nodes:
            return "paging does not move on"
        self.after = page.following
        self._deep += len(page.nodes)
        if self._deep + self.size > self.cap:
            if not self._in_order or self._last == self.least:
                return f"paging does not go deeper than {self.cap}, and ids do not come in their order"
            self.after, self.least, self._deep = None, self._last, 0
        return ""


def _numbers(nodes: Iterable[Node]) -> list[int]:
    """The numbers in the ids of nodes; 0, which is before every other, for an id without one that can be read."""
    tails = [str(node.get("id")).rpartition("/")[2] for node in nodes]
    return [int(tail) if tail.isdecimal() and len(tail) <= MOST_DIGITS else 0 for tail in tails]
