"""The lists of a reply, checked: what lacks its rows, or a word on whether more follow, is no list that ends."""

from dataclasses import dataclass
from typing import Any

from reconcilerd.errors import MalformedReply

Node = dict[str, Any]


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


def nodes_of(data: Node, where: str, asked: int) -> list[Node]:
    """The nodes that were asked for by id, less those that are not there. Raises MalformedReply."""
    nodes = data.get("nodes")
    if not isinstance(nodes, list) or len(nodes) != asked:
        raise MalformedReply(f"{where}: nodes is missing, or is not one for each id")
    found = [node for node in nodes if node is not None]
    if not all(isinstance(node, dict) for node in found):
        raise MalformedReply(f"{where}: a node is no object")
    return found
