"""The kinds of value that ``config.toml`` holds, each with its unit and its check. Knows no section."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from reconcilerd.config.nearest import nearest

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
_GROUP: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}")
_MAIL_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?"
)
_STATUS: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
ENDED: Final = frozenset({"SHIPPED", "CANCELLED", "FULFILLED", "PROCESSED_OUTSIDE_OF_SKUBANA"})
WORKING: Final = frozenset({"AWAITING_SHIPMENT", "AWAITING_3PL_EXPORT", "PENDING_FULFILLMENT", "UNFULFILLED"})
"""Statuses that every order passes through on its way to the parcel."""
STATUSES: Final = (
    "UNRESOLVED", "AWAITING_PAYMENT", "AWAITING_SHIPMENT", "AWAITING_MC_FULFILLMENT", "AWAITING_3PL_EXPORT",
    "AWAITING_DROPSHIP", "PENDING_FULFILLMENT", "ON_HOLD", "SKU_UNPROCESSED", "FBA_INBOUND_SHIPMENT_PLAN",
    "UNFULFILLED", "PARTIALLY_FULFILLED", "SCHEDULED", "OPEN", "IN_PROGRESS", "PENDING", *sorted(ENDED),
)  # fmt: skip
"""What Extensiv and the channels call their orders: for telling a slip of the pen."""
_SECRET_NAME: Final = re.compile(
    r"file:/[^\x00-\x1f]+|env:[A-Za-z_][A-Za-z0-9_]*|[A-Za-z][A-Za-z0-9_.-]{0,63}"
)
_LITERAL_SECRET: Final = re.compile(
    r"(shp[a-z]{2}_|xox[a-z]-|sk_|pk_|gh[a-z]_|eyJ)|(?=[a-z_-]*[0-9])[A-Za-z0-9]{24,}"
    r"|.*(?<![a-z0-9])((?=[a-z]*[0-9])[a-z0-9]{24,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})",
    re.IGNORECASE,
)
"""By how they begin; long runs with a digit in them, and UUIDs, also behind a word."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts, for the list of all keys."""

    name: str


def _decimals(places: int) -> Callable[[float], float]:
    def check(value: float) -> float:
        if abs(round(value, places) - value) > 1e-9:
            raise ValueError(f"at most {places} decimal{'s' * (places > 1)} (got {value!r})")
        return value

    return check


def url_parts(value: str) -> SplitResult:
    """An address taken apart, host and port included. Raises ValueError, which does not repeat it."""
    try:
        parts = urlsplit(value)
        _host_and_port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    return parts


def _url(value: str) -> str:
    """An address without credentials or query; http only to this machine. The value is told only if harmless."""
    parts = url_parts(value)
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds credentials; name them under auth instead")
    if parts.query or parts.fragment:
        raise ValueError("a URL without ? and #")
    if parts.scheme not in {"https", "http"} or not parts.hostname or not value.isprintable() or " " in value:
        raise ValueError(f"is not a URL (got {value[:80]!a})")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError(f"http:// is refused off loopback; use https:// (got {value[:80]!a})")
    return value


def address_of(value: str) -> tuple[str, int]:
    """``127.0.0.1:9641`` or ``[::1]:9641``: host and port. Raises ValueError."""
    host, _, port = value.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65_535:
        with suppress(ValueError):
            if bare != "localhost":
                ip_address(bare)
            if (":" in bare) == (bare != host):
                return bare, int(port)
    raise ValueError(
        f"an IP address (or localhost), a colon and a port, like 127.0.0.1:9641 (got {value[:80]!a})"
    )


def _address(value: str) -> str:
    if value:
        address_of(value)
    return value


def _host_name(value: str) -> str:
    """A name as a browser puts it into ``Host``, without a port; an address of IPv6 without its brackets."""
    with suppress(ValueError):
        return str(ip_address(value))
    if not _HOST_NAME.fullmatch(value):
        raise ValueError(f"a host name without scheme and port, like stock.example.com (got {value[:80]!a})")
    return value.casefold()


def _secret_name(value: str) -> str:
    """Refuses what is no name, and what looks like the secret itself. Never repeats the value."""
    if not value:
        return value
    if not _SECRET_NAME.fullmatch(value):
        raise ValueError("is not the name of a secret; write a NAME, file:/PATH or env:NAME")
    if ":" not in value and _LITERAL_SECRET.match(value):
        raise ValueError(
            "looks like the secret itself; write a NAME, file:/PATH or env:NAME, and replace the secret"
        )
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"1 to 64 of A-Z, a-z, 0-9, - and _, no - or _ in front (got {value[:80]!a})")
    return value


def _group_name(value: str) -> str:
    if value and not _GROUP.fullmatch(value):
        raise ValueError(
            f"the name of a group of this machine, like reconcilerd-readers (got {value[:80]!a})"
        )
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("a name of A-Z, a-z, 0-9, dots, - and _; no address with :// or a port")
    return value


def _slack_channel(value: str) -> str:
    if value and not re.fullmatch("[CG][A-Z0-9]{8,20}", value):
        raise ValueError("the id of a channel, like C0123ABCD: it is at the end of what 'View details' shows")
    return value


def _slack_team(value: str) -> str:
    if value and not re.fullmatch("T[A-Z0-9]{6,20}", value):
        raise ValueError("the id of a workspace, like T0123ABCD: it is in the address of Slack in a browser")
    return value


def _slack_user(value: str) -> str:
    if not re.fullmatch("[UW][A-Z0-9]{6,20}", value):
        raise ValueError("the id of a person, like U0123ABCD: 'Copy member ID' in the menu of their profile")
    return value


def _mail_address(value: str) -> str:
    """A bare address: what stands in a header must not begin another."""
    if not _MAIL_ADDRESS.fullmatch(value):
        raise ValueError("an address like stock@example.com, and nothing else")
    return value


def _order_pattern(value: str) -> str:
    """A regular expression with exactly one group: the part that is the channel's own order number."""
    try:
        groups = re.compile(value).groups
    except (re.error, OverflowError) as error:
        raise ValueError(f"is not a regular expression: {error} (got {value[:80]!a})") from None
    except RecursionError:
        raise ValueError(f"is not a regular expression: nested too deeply (got {value[:80]!a})") from None
    if groups != 1:
        raise ValueError(f"exactly one group in parentheses, not {groups} (got {value[:80]!a})")
    return value


def _status(value: str) -> str:
    """An order status as its source writes it. Tenants may have others than the known ones."""
    if not _STATUS.fullmatch(value):
        raise ValueError(
            f"a status in capitals as the source writes it, e.g. AWAITING_PAYMENT (got {value[:80]!a})"
        )
    close = None if value in STATUSES else nearest(value, STATUSES, 0.85)
    if close is not None:
        raise ValueError(f"no such status (got {value!r}); did you mean {close!r}?")
    if value in ENDED:
        raise ValueError(f"{value} is no open order: it takes nothing off the shelf by being firm or soft")
    return value


def warehouse_id(value: str) -> str:
    """An id as the vendor has it. Rules separate several by semicolons."""
    if (
        value != value.strip()
        or not 0 < len(value) <= 64
        or not value.isprintable()
        or set(value) & {";", ","}
    ):
        raise ValueError(f"an id of 1 to 64 visible characters, no comma or semicolon (got {value[:80]!a})")
    return value


def _path(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a path without control characters")
    return value


def _zone(value: str) -> str:
    """A time zone of the tz database."""
    if not value or value not in available_timezones():
        raise ValueError(f"no time zone is called so; write it like Europe/London (got {value[:80]!a})")
    return value


def _cron(value: str) -> str:
    """Five fields of cron, that come true some day."""
    if len(value.split()) != 5:
        # Some tools put seconds before these, others a year behind them: what is read otherwise comes true otherwise.
        raise ValueError(
            f"is not a cron expression: write five fields, like 0 22 * * FRI (got {value[:80]!a})"
        )
    try:
        next(CronSim(value, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        why = str(error) or "it never comes true"
        raise ValueError(
            f"is not a cron expression: {why}; write five fields, like 0 22 * * FRI (got {value[:80]!a})"
        ) from None
    return value


Seconds = Annotated[float, Field(ge=0.001, le=31_536_000, allow_inf_nan=False), Unit("s")]
Lag = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False), Unit("s")]
"""A lag, which may be nothing."""
Days = Annotated[int, Field(ge=1, le=36_500), Unit("days")]
Eaches = Annotated[int, Field(ge=0, le=1_000_000_000), Unit("eaches")]
Count = Annotated[int, Field(ge=0, le=1_000_000_000), Unit("count")]
Percentage = Annotated[
    float, Field(ge=0, le=100, allow_inf_nan=False), AfterValidator(_decimals(1)), Unit("%")
]
FinePercentage = Annotated[
    float, Field(ge=0, le=100, allow_inf_nan=False), AfterValidator(_decimals(2)), Unit("%")
]
Weight = Annotated[int, Field(ge=1, le=1_000_000), Unit("parts")]
Place = Annotated[int, Field(ge=1, le=1_000), Unit("1 is first")]
Cost = Annotated[int, Field(ge=1, le=1_000_000_000), Unit("any money, whole")]
"""Only the ratio of two such amounts counts."""
Status = Annotated[str, AfterValidator(_status), Unit("status")]
Ratio = Annotated[
    float, Field(ge=1, le=1_000, allow_inf_nan=False), AfterValidator(_decimals(1)), Unit("times")
]
Money = Annotated[
    float, Field(ge=0, le=1_000_000_000, allow_inf_nan=False), AfterValidator(_decimals(2)), Unit("currency")
]
"""In the one currency that all prices of the rules are in."""
Zone = Annotated[str, AfterValidator(_zone), Unit("time zone")]
Cron = Annotated[str, Field(max_length=200), AfterValidator(_cron), Unit("cron")]
Name = Annotated[str, AfterValidator(_name), Unit("name")]
Host = Annotated[str, AfterValidator(_host), Unit("name")]
GroupName = Annotated[str, AfterValidator(_group_name), Unit("name")]
Instance = Annotated[str, AfterValidator(lambda value: value and _host(value)), Unit("name")]
"""A name, or empty for that of the machine."""
MailAddress = Annotated[str, AfterValidator(_mail_address), Unit("address")]
SlackChannel = Annotated[str, AfterValidator(_slack_channel), Unit("id")]
SlackTeam = Annotated[str, AfterValidator(_slack_team), Unit("id")]
SlackUser = Annotated[str, AfterValidator(_slack_user), Unit("ids")]
Severity = Literal["critical", "error", "warning", "info"]
Warehouse = Annotated[str, AfterValidator(warehouse_id), Unit("id")]
OrderPattern = Annotated[str, Field(max_length=200), AfterValidator(_order_pattern), Unit("regex")]
Address = Annotated[str, AfterValidator(_address), Unit("host:port")]
HostName = Annotated[str, AfterValidator(_host_name), Unit("host")]
Url = Annotated[str, Field(max_length=2_000), AfterValidator(_url), Unit("URL")]
SecretName = Annotated[str, AfterValidator(_secret_name), Unit("name of a secret")]
FilePath = Annotated[str, Field(max_length=4_000), AfterValidator(_path), Unit("path")]
