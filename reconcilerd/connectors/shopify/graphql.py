"""GraphQL calls to one store: documents from files, cost points, and the errors that come with status 200."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Protocol

import anyio
import msgspec

from reconcilerd.config.secret import redact
from reconcilerd.connectors.port import Withholding
from reconcilerd.domain.names import Instant
from reconcilerd.errors import Denied, MalformedReply, OutcomeUnknown, Refused, TryLater, Withheld
from reconcilerd.transport.client import Call
from reconcilerd.transport.lane import Lane, LaneSpec, Priority
from reconcilerd.transport.refusals import TurnedAway
from reconcilerd.transport.replies import Reply, Skew, json_of

VERSION: Final = "2026-10"
PATH: Final = f"/admin/api/{VERSION}/graphql.json"
LANE: Final = LaneSpec("graphql", rate_per_s=100, burst=2000, model="cost")
"""The smallest plan's bucket; the first reply tells the real one."""

OPERATIONS: Final = (
    "inventory_items",
    "items_by_id",
    "item_levels",
    "orders",
    "order_lines",
    "set_quantities",
)
"""Every document that is run, fragments apart."""

FRAGMENTS: Final = {"ItemFields": "item_fields", "LevelFields": "level_fields", "LineFields": "line_fields"}
"""Each before those that it uses itself."""

MAX_THROTTLED: Final = 16
FIRST_COST: Final = 950.0
"""What a query is taken to cost until the store has priced one: just under the most it allows."""


class Sender(Protocol):
    """What this connector needs of a client."""

    async def send(self, call: Call) -> Reply: ...

    def lane(self, name: str) -> Lane: ...


@cache
def document(name: str) -> str:
    """A document with the fragments it uses."""
    folder = files("reconcilerd.connectors.shopify") / "documents"
    text = (folder / f"{name}.graphql").read_text("utf-8")
    for fragment, file in FRAGMENTS.items():
        if f"...{fragment}" in text:
            text += (folder / f"{file}.graphql").read_text("utf-8")
    return text


class GraphQL:
    """One store's endpoint."""

    def __init__(self, client: Sender, store: str) -> None:
        self._client = client
        self._store = store
        self._cost: dict[str, float] = {}
        self._spare: dict[str, float] = {}
        self.skew = Skew()

    async def run(
        self,
        name: str,
        variables: Mapping[str, object],
        priority: Priority,
        *,
        guess: float = FIRST_COST,
        withheld: Withholding | None = None,
    ) -> tuple[dict[str, Any], Instant]:
        """Run a document; its data and the moment they tell of. Waits out THROTTLED, a bounded number of times.

        ``guess``: cost points of the first such call; later ones use what the last one cost.

        With ``withheld`` it is a write, and OutcomeUnknown is raised whenever any try may have had its effect: then
        all else but TryLater and MalformedReply says that none had.
        """
        where = f"{self._store} {name}"
        lane = self._client.lane(LANE.name)
        in_doubt = 0
        for _ in range(MAX_THROTTLED):
            call = Call(
                "POST",
                PATH,
                LANE.name,
                priority,
                json={"query": document(name), "variables": dict(variables)},
                cost=self._cost.get(name, min(guess, lane.size)),
                withheld=withheld,
                operation=name,
            )
            try:
                reply = await self._client.send(call)
            except (Denied, Refused, TurnedAway, Withheld) as error:
                if in_doubt and withheld is not None:
                    # It tells of its own tries alone, and not of those before the store said that it was busy.
                    raise OutcomeUnknown(f"{error}, after another call that may have worked") from error
                raise
            in_doubt += reply.in_doubt
            self._check_version(reply, where)
            told_of = self.skew.learn(reply)
            body = json_of(reply, dict[str, Any], where)
            wait_s = self._learn(name, body, lane)
            codes = _codes(body, where)
            if "THROTTLED" in codes:
                lane.turned_away()
                in_doubt += codes != {"THROTTLED"} or _has_data(body)
                await anyio.sleep(max(0.05, wait_s))
                continue
            if codes and withheld is not None and (in_doubt or _may_have_run(body, codes)):
                raise OutcomeUnknown(f"{where}: {_said(body)}; whether it had its effect is not known")
            _raise(codes, body, where)
            data = body.get("data")
            if not isinstance(data, dict):
                raise MalformedReply(f"{where}: a reply without data")
            return data, told_of
        why = f"{where}: throttled {MAX_THROTTLED} times in a row"
        # Who is throttled is turned away before anything is begun.
        raise TryLater(why) if in_doubt else TurnedAway(why, tries=MAX_THROTTLED)

    def _learn(self, name: str, body: Mapping[str, Any], lane: Lane) -> float:
        """Take over what the store says of its bucket; seconds until this call would fit.

        The store reserves what a query may cost and gives back what it did not. We count what it did cost, and
        leave the largest difference at the bottom of the bucket, so that the reservation always fits.
        """
        try:
            cost = msgspec.convert((body.get("extensions") or {}).get("cost"), _Cost, strict=False)
        except (msgspec.ValidationError, AttributeError):
            return 1.0  # how dear it was is worth no answer that was given
        status, asked, actual = cost.status, cost.asked, cost.actual
        size, available, rate = status.size, status.available, status.rate
        if actual is not None:
            self._cost[name] = max(1.0, actual)
            self._spare[name] = max(self._spare.get(name, 0.0), asked - actual)
        # Whatever is left at the bottom, the dearest of our calls must fit above it.
        dearest = max(self._cost.values(), default=0.0)
        spare = max(0.0, min(max(self._spare.values(), default=0.0), size - dearest))
        lane.told_bucket(size - spare, max(0.0, available - spare), rate)
        return max(0.0, (asked - available) / rate) if rate else 1.0

    def _check_version(self, reply: Reply, where: str) -> None:
        version = reply.headers.get("x-shopify-api-version")
        if version is not None and version != VERSION:
            raise MalformedReply(
                f"{where}: answered by API version {version}, not {VERSION}; upgrade reconcilerd"
            )


class _Status(msgspec.Struct):
    size: float = msgspec.field(name="maximumAvailable")
    available: float = msgspec.field(name="currentlyAvailable")
    rate: float = msgspec.field(name="restoreRate")


class _Cost(msgspec.Struct):
    status: _Status = msgspec.field(name="throttleStatus")
    asked: float = msgspec.field(name="requestedQueryCost", default=0.0)
    actual: float | None = msgspec.field(name="actualQueryCost", default=None)


def _codes(body: Mapping[str, Any], where: str) -> set[str]:
    """The codes of all errors. Raises MalformedReply for what cannot be told: unheard, it would pass for none."""
    errors = body.get("errors")
    if errors is None:
        return set()
    if not isinstance(errors, list) or not all(isinstance(each, dict) for each in errors):
        raise MalformedReply(f"{where}: errors is no list of objects")
    more = [error.get("extensions") for error in errors]
    return {str((each.get("code") if isinstance(each, dict) else None) or "UNKNOWN") for each in more}


def _said(body: Mapping[str, Any]) -> str:
    """What the errors say, without secrets: redacted before it is cut, or half a secret would pass."""
    return "; ".join(redact(str(error.get("message", "")))[:200] for error in body["errors"])


def _has_data(body: Mapping[str, Any]) -> bool:
    """Whether an answer holds some part of what was asked for."""
    data = body.get("data")
    return isinstance(data, dict) and any(part is not None for part in data.values())


def _may_have_run(body: Mapping[str, Any], codes: set[str]) -> bool:
    """Whether a mutation with errors was begun: before that there is no data, and a field refused has none."""
    if "data" not in body:
        return False
    began = body["data"] is None or _has_data(body)
    return began or not codes <= {"ACCESS_DENIED", "SHOP_INACTIVE"}


def _raise(codes: set[str], body: Mapping[str, Any], where: str) -> None:
    if not codes:
        return
    said = _said(body)
    if "ACCESS_DENIED" in codes or "SHOP_INACTIVE" in codes:
        raise Denied(f"{where}: {said}")
    if "INTERNAL_SERVER_ERROR" in codes:
        raise TryLater(f"{where}: {said}")
    raise Refused(f"{where}: {said}")
