"""The shape of ``config.toml``. Every field says its unit (in its name), its default and the reason for it."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """Strict: no unknown keys, no number for a text, no text for a number, ``true`` is not 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Units = Annotated[int, Field(ge=0, le=1_000_000_000)]
PercentNumber = Annotated[float, Field(ge=0, le=100)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Auth(Section):
    """OAuth2 client credentials. The values name secrets; they are never the secrets themselves."""

    token_url: str = Field(description="where a token is asked for")
    client_id: str = Field("", description="name of the secret; built in for the simulator")
    client_secret: str = Field("", description="name of the secret; built in for the simulator")
    client_auth: Literal["basic", "post"] = Field(
        "basic", description="credentials in the header or the form"
    )


class ExtensivSection(Section):
    base_url: str = Field(description="the API's root")
    auth: Auth
    catalogue_poll_s: Seconds = Field(900, description="products and listings change rarely")
    orders_poll_s: Seconds = Field(30, description="a new order moves every listing of its SKU")
    stock_poll_s: Seconds = Field(
        600, description="the slow, whole reading; scarce SKUs are read every minute"
    )
    totals_poll_s: Seconds = Field(3600, description="only a cross-check")


class ChannelSection(Section):
    name: Name = Field(description="how commands, logs and rules call it")
    kind: Literal["shopify"] = Field(description="which connector")
    base_url: str = Field(description="the store's root")
    auth: Auth
    sales_channel_id: int = Field(gt=0, description="its id in Extensiv")
    places: dict[str, list[str]] = Field(
        min_length=1,
        description="the channel's locations that are ours, and the warehouse ids each may draw on",
    )
    publisher: Literal["reconcilerd", "extensiv"] = Field(
        "reconcilerd", description="who writes its quantities"
    )
    poll_s: Seconds = Field(60, description="how often slots and orders are read")
    order_lag_s: Seconds = Field(120, description="how late an order may show in the channel's own list")
    import_max_s: Seconds = Field(1800, description="the longest an order takes into Extensiv")
    apply_max_s: Seconds = Field(40, description="the longest a write takes to show")
    percent: PercentNumber = Field(100.0, description="Extensiv's own default: all that is available")
    cap: Units | None = Field(None, description="never show more (eaches)")
    floor: Units = Field(0, description="the first units, before shares (eaches)")
    buffer: Units = Field(0, description="withheld for our own delay (eaches)")
    units_per_sale: int = Field(1, ge=1, le=100_000, description="eaches in one sale")


class PoolSection(Section):
    name: Name = Field(description="how rules call it")
    mode: Literal["shared", "split"] = Field(description="may a unit be shown on several channels at once")
    default: bool = Field(False, description="the pool of every SKU that no rule names")
    bundles: Literal["per_warehouse", "pooled"] = Field(
        "per_warehouse", description="a bundle ships from one place"
    )
    unread_peer: Literal["hold", "ignore"] = Field(
        "hold", description="a listing never read may show anything"
    )
    scarcity_switch: bool = Field(True, description="shared pools turn split while nearly sold out")
    dead_band_percent: PercentNumber = Field(5.0, description="smaller changes wait: halves the writes")


class LocationSection(Section):
    mirror: bool = Field(False, description="Extensiv holds a copy of somebody else's count")
    mirror_max_s: Seconds = Field(1800, description="how old that copy may be")


class LimitsSection(Section):
    mode: Literal["observe", "guarded", "auto"] = Field(
        "observe", description="a new tenant is only looked at"
    )
    window_s: Seconds = Field(1800, description="the sliding window of the four limits below")
    window_slots: int = Field(200, ge=1, description="listings changed beyond what orders explain")
    window_percent: PercentNumber = Field(30.0, description="the same, as a share of the channel's listings")
    window_units: Units = Field(5000, description="units changed beyond what orders explain")
    unexplained_zeros: int = Field(5, ge=0, description="listings set to zero without orders that explain it")
    unexplained_fall_units: Units = Field(1000, description="a larger unexplained fall of one listing waits")


class AgesSection(Section):
    stock_s: Seconds = Field(60, description="a raise needs a stock row this young")
    own_slot_s: Seconds = Field(10, description="and its own reading")
    peer_slot_s: Seconds = Field(90, description="and, in a split pool, its peers'")
    max_age_s: Seconds = Field(1800, description="older than this a source is dark")


class DaemonSection(Section):
    control_socket: str = Field("reconcilerd.sock", description="beside the config, or an absolute path")
    stop_file: str = Field("STOP", description="while it exists nothing is written")
    drain_s: Seconds = Field(20.0, description="how long a stop waits for writes under way")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is said")


class LedgerSection(Section):
    path: str = Field("reconcilerd.db", description="beside the config, or an absolute path")


class AlertsSection(Section):
    slack_webhook: str = Field("", description="name of the secret; empty: no Slack")
    pagerduty_routing_key: str = Field("", description="name of the secret; empty: no PagerDuty")
    pagerduty_url: str = Field("https://events.pagerduty.com", description="the EU has another")
    unresolved_drift_s: Seconds = Field(900, description="a drift this old is an alert")


class Settings(Section):
    """The whole file. ``environment`` says what is forbidden.

    simulator: only loopback hosts; the built-in credentials are valid. sandbox: https, own credentials, not the
    production hosts of Extensiv. live: https, own credentials.
    """

    environment: Literal["simulator", "sandbox", "live"] = Field(
        description="what this configuration may touch"
    )
    extensiv: ExtensivSection
    channels: list[ChannelSection] = Field(min_length=1, description="one table each")
    pools: list[PoolSection] = Field(min_length=1, description="one table each, one of them default")
    locations: dict[str, LocationSection] = Field({}, description="by warehouse id")
    limits: LimitsSection = LimitsSection()
    ages: AgesSection = AgesSection()
    daemon: DaemonSection = DaemonSection()
    ledger: LedgerSection = LedgerSection()
    alerts: AlertsSection = AlertsSection()
    rules_csv: str = Field("", description="rules for single SKUs, beside the config")

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        faults = [*_names(self), *_hosts(self), *_credentials(self)]
        if faults:
            raise ValueError("\n".join(faults))
        return self


def _names(settings: Settings) -> list[str]:
    faults = [
        *_twice("channels.name", [each.name for each in settings.channels]),
        *_twice("channels.sales_channel_id", [each.sales_channel_id for each in settings.channels]),
        *_twice("pools.name", [each.name for each in settings.pools]),
    ]
    defaults = [each.name for each in settings.pools if each.default]
    if len(defaults) != 1:
        faults.append(f"pools: exactly one has default = true, not {len(defaults)}")
    split = {each.name for each in settings.pools if each.mode == "split"}
    total = sum(each.percent for each in settings.channels)
    if total > 100 and split & set(defaults):
        faults.append(f"channels.percent: the default pool is split, and the percentages add up to {total:g}")
    return faults


def _twice(where: str, values: Sequence[object]) -> list[str]:
    return [
        f"{where}: {text!r} is there twice"
        for text in sorted({str(v) for v in values if values.count(v) > 1})
    ]


def _hosts(settings: Settings) -> list[str]:
    faults = []
    for where, url in urls(settings):
        parts = urlsplit(url)
        loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
        if parts.scheme not in {"https", "http"} or not parts.hostname:
            faults.append(f"{where}: {url!r} is not a URL")
        elif parts.scheme == "http" and not loopback:
            faults.append(f"{where}: http:// is refused off loopback; use https://{parts.netloc}")
        elif settings.environment == "simulator" and not loopback:
            faults.append(f"{where}: environment simulator speaks to loopback only, not to {parts.hostname}")
        elif settings.environment == "sandbox" and parts.hostname in {"api.skubana.com", "app.skubana.com"}:
            faults.append(f"{where}: {parts.hostname} is production; environment sandbox forbids it")
    return faults


def urls(settings: Settings) -> list[tuple[str, str]]:
    """Every URL of the settings, with its place."""
    found = [
        ("extensiv.base_url", settings.extensiv.base_url),
        ("extensiv.auth.token_url", settings.extensiv.auth.token_url),
    ]
    for number, channel in enumerate(settings.channels):
        found.append((f"channels[{number}].base_url", channel.base_url))
        found.append((f"channels[{number}].auth.token_url", channel.auth.token_url))
    return found


def _credentials(settings: Settings) -> list[str]:
    if settings.environment == "simulator":
        return []
    auths = [("extensiv", settings.extensiv.auth)]
    auths += [(f"channels[{number}]", channel.auth) for number, channel in enumerate(settings.channels)]
    return [
        f"{where}.auth.{name}: name a secret; the built-in credentials are for environment simulator"
        for where, auth in auths
        for name in ("client_id", "client_secret")
        if not getattr(auth, name)
    ]
