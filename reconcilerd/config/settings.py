"""The shape of ``config.toml``. Every field says its unit, its default and the reason for it.

Knows one value at a time; what several of them must agree on is in ``agreement``.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconcilerd.config.fields import (
    Address,
    Cost,
    Count,
    Cron,
    Days,
    Eaches,
    FilePath,
    FinePercentage,
    GroupName,
    Host,
    HostName,
    Instance,
    Lag,
    MailAddress,
    Money,
    Name,
    OrderPattern,
    Percentage,
    Place,
    Ratio,
    Seconds,
    SecretName,
    Severity,
    SlackChannel,
    SlackTeam,
    SlackUser,
    Status,
    Unit,
    Url,
    Warehouse,
    Weight,
    Zone,
)


class Section(BaseModel):
    """Strict: no unknown keys, no number for a text, no text for a number, ``true`` is not 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Auth(Section):
    """OAuth2 client credentials (an API key and its secret), or one token that does not expire.

    The values name secrets; they are never the secrets themselves.
    """

    mode: Literal["client_credentials", "static_token"] = Field(
        "client_credentials", description="what the tenant's account accepts"
    )
    token: SecretName = Field("", description="name of the secret; for static_token only")
    token_url: Url | None = Field(None, description="where a token is asked for; client_credentials need it")
    client_id: SecretName = Field(
        "", description="name of the secret: client id or API key; built in for the simulator"
    )
    client_secret: SecretName = Field("", description="name of the secret; built in for the simulator")
    client_auth: Literal["basic", "post"] = Field(
        "basic", description="credentials in the header or the form"
    )


class ExtensivSection(Section):
    base_url: Url = Field(description="the API's root")
    auth: Auth
    catalogue_poll_s: Seconds = Field(900, description="products and listings change rarely")
    orders_poll_s: Seconds = Field(30, description="a new order moves every listing of its SKU")
    stock_poll_s: Seconds = Field(
        600, description="the slow, whole reading; scarce SKUs are read every minute"
    )
    totals_poll_s: Seconds = Field(3600, description="only a cross-check")
    expected_skus: Annotated[Count, Field(ge=1)] = Field(
        10_000, description="the catalogue for which the time of a stock reading is reckoned"
    )


class HooksSection(Section):
    """A store that tells us when something changed. What it says is a hint to read, and nothing else."""

    shop: HostName | None = Field(
        None,
        description="the store's name at Shopify, like brand.myshopify.com; by default the host of base_url",
    )
    secret: SecretName = Field(
        "", description="name of the secret that signs them; empty: auth.client_secret, as with most apps"
    )
    old_secret: SecretName = Field(
        "",
        description="name of the secret before: for an hour after a rotation the store may still sign by it",
    )


class ChannelSection(Section):
    name: Name = Field(description="how commands, logs and rules call it")
    kind: Literal["shopify"] = Field(description="which connector")
    base_url: Url = Field(description="the store's root")
    auth: Auth
    sales_channel_id: Annotated[Count, Field(ge=1)] = Field(description="its id in Extensiv")
    places: Annotated[
        dict[Warehouse, Annotated[list[Warehouse], Field(min_length=1)]], Field(min_length=1), Unit("ids")
    ] = Field(
        description="the channel's locations that are ours, and the warehouse ids each may draw on",
    )
    publisher: Literal["reconcilerd", "extensiv"] = Field(
        "reconcilerd", description="who writes its quantities"
    )
    poll_s: Seconds = Field(60, description="how often slots and orders are read")
    order_lag_s: Seconds = Field(120, description="how late an order may show in the channel's own list")
    read_lag_s: Lag = Field(0, description="how old what it answers may already be")
    import_max_s: Seconds = Field(1800, description="the longest an order takes into Extensiv")
    apply_max_s: Seconds = Field(40, description="the longest a write takes to show")
    order_key: OrderPattern = Field(
        "(.*)", description="its order number within Extensiv's: a regex with one group, e.g. SHOP-(.+)"
    )
    percent: Percentage = Field(100.0, description="Extensiv's own default: all that is available")
    cap: Eaches | None = Field(None, description="never show more at a place")
    floor: Eaches = Field(0, description="the first units at a place, before shares")
    buffer: Eaches = Field(0, description="withheld at a place for our own delay")
    units_per_sale: Annotated[Eaches, Field(ge=1, le=100_000)] = Field(1, description="what one sale takes")
    weight: Weight | None = Field(
        None, description="its part of a split pool beside the others'; percent is then only a ceiling"
    )
    tier: Place = Field(1, description="lower tiers of a split pool are filled to their ceilings first")
    priority: Place | None = Field(
        None, description="who keeps the last units of a split pool: its floor, or one sale, comes first"
    )
    minimum: Eaches = Field(
        0, description="shown at a place even where less is there, within the pool's overcommit"
    )
    cost_oversold: Cost | None = Field(
        None,
        description="what one oversold unit costs; with the next key it tells adaptive pools when to split",
    )
    cost_hidden_day: Cost | None = Field(None, description="what hiding one sellable unit for a day costs")
    decrease_only: bool = Field(False, description="true: lowered where it shows too much, never raised")
    webhooks: HooksSection | None = Field(
        None, description="a table, which may be empty: its webhooks are taken where [webhooks] listens"
    )


class DemandSection(Section):
    channel: Annotated[str, Unit("name")] = Field(
        "", description="whose orders; empty: all. extensiv-ID: a sales channel that only Extensiv knows"
    )
    status: Status = Field(description="of open orders, as Extensiv, else the channel, writes it")
    firmness: Literal["firm", "soft", "ignored"] = Field(
        description="takes units off the shelf: whole, for a time up to a share, or not at all"
    )
    expires_s: Seconds | None = Field(None, description="soft: so long after it was placed it counts")
    max_share_percent: Percentage | None = Field(
        None, description="soft: the part of what firm demand leaves that all soft orders together may hold"
    )


class VelocitySection(Section):
    """How sales speed is measured, per listing."""

    window_s: Annotated[Seconds, Field(ge=600, le=604_800)] = Field(
        21_600,
        description="sales of so long count: shorter follows a rush, longer is steadier; at most a week",
    )
    prior_s: Annotated[Seconds, Field(ge=60, le=604_800)] = Field(
        3_600,
        description="rate_per_day counts as if it had been seen for so long: a wrong guess fades by then",
    )


class PoolSection(Section):
    name: Name = Field(description="how rules call it")
    mode: Literal["shared", "split", "adaptive"] = Field(
        description="may a unit be shown on several channels at once: yes, no, or only while there is plenty"
    )
    default: bool = Field(False, description="the pool of every SKU that no rule names")
    bundles: Literal["per_warehouse", "pooled"] = Field(
        "per_warehouse", description="a bundle ships from one place"
    )
    unread_peer: Literal["hold", "ignore"] = Field(
        "hold", description="a listing never read may show anything"
    )
    dead_band_percent: Percentage = Field(5.0, description="smaller changes wait: halves the writes")
    overcommit: Eaches = Field(
        0, description="of each SKU all minimums together may show so many that are not there"
    )


class LocationSection(Section):
    mirror: bool = Field(False, description="Extensiv holds a copy of somebody else's count")
    mirror_max_s: Seconds = Field(1800, description="how old that copy may be")


class SkuDefaultsSection(Section):
    """What holds for every SKU whose row in the rules does not say otherwise."""

    safety_stock: Eaches = Field(0, description="never offered anywhere")
    min_level: Eaches = Field(0, description="at or below it the low-stock rules are in force")
    rate_per_day: Annotated[Count, Unit("eaches a day")] = Field(
        24, description="the guess of sales where none were seen yet"
    )
    unit_price: Money = Field(
        0.0, description="what an each is worth to limits.window_value; at 0 only its units count"
    )


class LimitsSection(Section):
    mode: Literal["observe", "net", "guarded", "auto"] = Field(
        "observe",
        description="a new tenant is only looked at; net: beside Extensiv's own push, as a stop-gap",
    )
    window_s: Seconds = Field(1800, description="the sliding window of the window_ limits below")
    window_slots: Annotated[Count, Field(ge=1)] = Field(
        200, description="listings changed beyond what orders explain"
    )
    window_percent: Percentage = Field(30.0, description="the same, as a share of the channel's listings")
    window_min_slots: Count = Field(10, description="of fewer changes the share is not judged")
    window_units: Eaches = Field(5000, description="units changed beyond what orders explain")
    window_value: Money = Field(
        100_000.0, description="what they are worth, by the prices of the rules; without a price: nothing"
    )
    zeros_window_s: Seconds = Field(3600, description="the window of the zeros: one at a time they add up")
    unexplained_zeros: Count = Field(5, description="listings set to zero without orders that explain it")
    unexplained_fall_units: Eaches = Field(1000, description="a larger unexplained fall of one listing waits")
    unexplained_fall_percent: Percentage = Field(
        90.0, description="if it is also this share of what was shown"
    )
    zero_reads: Annotated[Count, Field(ge=1, le=10)] = Field(
        3, description="separate readings that must say so before a zero without orders goes"
    )
    confirm_reads: Annotated[Count, Field(ge=1, le=10)] = Field(
        2, description="the same for a change beyond the limits, before a person is asked"
    )
    confirm_gap_s: Seconds = Field(10, description="readings closer together are one: they may share a fault")
    raise_ratio: Ratio = Field(5.0, description="a raise to more than so many times what it showed waits")
    raise_floor_units: Eaches = Field(100, description="but a raise by no more than this never does")
    all_changed_percent: Percentage = Field(
        90.0, description="a reading in which so many rows changed is doubted: another tenant, other units"
    )
    shrink_percent: Percentage = Field(
        90.0, description="so is one with fewer rows than this of the median of the last 20"
    )
    suspect_min_rows: Annotated[Count, Field(ge=1)] = Field(
        10, description="a reading of fewer rows is not doubted for that: a delivery changes all of them"
    )
    tug_times: Annotated[Count, Field(ge=2)] = Field(
        3, description="another hand changed ours away so often: it is left to it"
    )
    tug_window_s: Seconds = Field(3600, description="within so long")
    tug_hold_s: Seconds = Field(21600, description="and for so long, unless somebody resets it")
    breaker_percent: Percentage = Field(50.0, description="of a channel's calls fail: no more writes there")
    breaker_calls: Annotated[Count, Field(ge=2, le=256)] = Field(20, description="fewer calls prove nothing")
    breaker_window_s: Seconds = Field(120, description="calls longer ago do not count")
    breaker_open_s: Seconds = Field(60, description="the first rest; doubled each time it fails again")
    breaker_longest_s: Seconds = Field(900, description="the longest rest")
    breaker_probes: Annotated[Count, Field(ge=1)] = Field(3, description="reads that must succeed after it")
    half_fails: Annotated[Count, Field(ge=2)] = Field(
        2, description="so many channels and over half of all fail together: it is probably us, no raises"
    )
    canary_over: Count = Field(
        100,
        description="more unexplained changes, waiting or gone within window_s, go in small batches first",
    )
    canary_first: Annotated[Count, Field(ge=1)] = Field(5, description="the first batch, read back before")
    canary_second: Annotated[Count, Field(ge=1)] = Field(
        25, description="the second, read back before the rest"
    )
    refusals: Annotated[Count, Field(ge=2)] = Field(
        3, description="so often in a row a channel refuses a value of a listing before it is parked"
    )
    quarantine_s: Seconds = Field(21600, description="for so long")
    attempts_per_hour: Annotated[Count, Field(ge=1)] = Field(
        120, description="writes of one listing; what orders explain goes beyond"
    )
    config_change_slots: Count = Field(
        50, description="a changed policy that would change more listings than this waits for a person"
    )
    after_dark: Literal["keep", "haircut", "drop"] = Field(
        "keep", description="what then becomes of it: as it is, less a part, or nothing offered"
    )
    haircut_percent: Percentage = Field(50.0, description="the part that haircut takes away")
    plan_max_age_s: Seconds = Field(600, description="an older plan file is refused: the shop has moved on")
    match_percent: FinePercentage = Field(99.9, description="fewer orders found in Extensiv: no raises there")
    match_floor: Count = Field(5, description="but fewer strays than this prove nothing")
    match_orders: Annotated[Count, Field(ge=1)] = Field(
        2_000, description="how many last orders are compared"
    )
    match_window_s: Seconds = Field(604_800, description="and how far back: a week")
    announce_percent: Percentage = Field(
        30.0,
        description="an order above this part of what was available is told before its channels are lowered",
    )
    announce_units: Annotated[Eaches, Field(ge=1)] = Field(2, description="smaller orders never are")


class SentinelSection(Section):
    """A SKU that is always there: a reading that does not say so is void."""

    feed: Annotated[str, Field(max_length=80), Unit("feed")] = Field(
        description="extensiv.stock, or a channel's slots like shop-uk.slots"
    )
    sku: Annotated[str, Field(min_length=1, max_length=128), Unit("SKU")] = Field(
        description="its code there"
    )
    at_least: Eaches = Field(1, description="over all locations")
    at_most: Eaches = Field(1_000_000_000, description="over all locations")


class FreezeSection(Section):
    """When nothing, or only what lowers, is written: sales days, stock-takes."""

    channels: list[Name] = Field([], description="which; none named: all")
    cron: Cron | None = Field(None, description="when it begins, again and again; takes duration_s")
    duration_s: Seconds | None = Field(None, description="how long it lasts then, in hours that really pass")
    start: Annotated[datetime, Unit("local time")] | None = Field(
        None, description="when it begins, once: 2026-11-27T00:00:00, without a zone"
    )
    end: Annotated[datetime, Unit("local time")] | None = Field(None, description="when that ends")
    timezone: Zone = Field(description="whose clock cron, start and end are read off")
    allow: Annotated[list[Literal["lowers", "cures"]], Unit("lowers | cures")] = Field(
        ["cures"], description="let through: all lowers, or only of what shows more than could ship"
    )


class AgesSection(Section):
    stock_s: Seconds = Field(60, description="a raise needs a stock row this young")
    own_slot_s: Seconds = Field(10, description="and its own reading")
    peer_slot_s: Seconds = Field(90, description="and, in a split pool, its peers'")
    max_age_s: Seconds = Field(1800, description="older than this a source is dark")
    lower_reread_s: Seconds = Field(3, description="a blind lower needs a reading this young")
    dark_grace_s: Seconds = Field(3600, description="so long dark stock is only offered less what was sold")


class DaemonSection(Section):
    control_socket: Annotated[FilePath, Field(min_length=1)] = Field(
        "reconcilerd.sock", description="beside the config, or an absolute path"
    )
    stop_file: Annotated[FilePath, Field(min_length=1)] = Field(
        "STOP", description="while it exists nothing is written"
    )
    readers: GroupName = Field(
        "",
        description="a group of this machine that may look by the control socket; empty: its own user and root",
    )
    operators: GroupName = Field(
        "", description="one that may also change things by it; with readers, its members are in both"
    )
    drain_s: Seconds = Field(20.0, description="how long a stop waits for writes under way")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is said")


class LedgerSection(Section):
    path: Annotated[FilePath, Field(min_length=1)] = Field(
        "reconcilerd.db", description="beside the config, or an absolute path"
    )
    backups: Annotated[FilePath, Field(min_length=1)] = Field(
        "backups", description="the folder of its backups, beside the config, or an absolute path"
    )
    keep_days: Annotated[Days, Field(ge=7)] = Field(
        90, description="older entries go, day by day; what they say of each subject stays until it is over"
    )
    decisions_days: Days = Field(
        14, description="for so long decisions can be replayed: all they looked at is large"
    )


class MailSection(Section):
    """Where alerts are handed in as e-mail."""

    server: Host = Field(description="name of the mail server")
    port: Annotated[Count, Field(ge=1, le=65_535), Unit("port")] = Field(587, description="for submission")
    user: Annotated[str, Field(max_length=200), Unit("name")] = Field("", description="empty: no log-in")
    password: SecretName = Field("", description="name of the secret; goes with user")
    sender: MailAddress = Field(description="who writes")
    recipients: Annotated[list[MailAddress], Field(min_length=1, max_length=20), Unit("addresses")] = Field(
        description="who reads"
    )
    tls: bool = Field(True, description="false only for a server on this machine")


class PeopleSection(Section):
    """Who may do what by pressing a button in Slack, by Slack's own ids. Who is not listed may not."""

    approve: list[SlackUser] = Field(
        [], description="release what waits; two of them for what could go to zero"
    )
    freeze: list[SlackUser] = Field([], description="stop writes to a channel, or to all")
    unfreeze: list[SlackUser] = Field([], description="allow them again")
    silence: list[SlackUser] = Field([], description="silence an alert for two hours")


class AlertsSection(Section):
    """Who hears of alerts. Addresses that let whoever knows them speak for us are secrets, and named as such."""

    instance: Instance = Field(
        "", description="what this daemon is called there (empty: the host); before it changes, resolve pages"
    )
    slack_webhook: SecretName = Field("", description="name of the secret; empty: no Slack")
    slack_bot_token: SecretName = Field(
        "", description="name of the secret, instead of the webhook: messages are changed when they are over"
    )
    slack_channel: SlackChannel = Field(
        "", description="id of the channel that the bot is in, like C0123ABCD"
    )
    slack_app_token: SecretName = Field(
        "", description="name of the secret (xapp-); the bot's messages then have buttons (Socket Mode)"
    )
    slack_team: SlackTeam = Field(
        "", description="id of the workspace, like T0123ABCD; buttons work in no other"
    )
    people: PeopleSection = PeopleSection()
    agree_within_s: Annotated[Seconds, Field(ge=60, le=86_400)] = Field(
        1800, description="by then a second person must have agreed to what could go to zero"
    )
    slack_api_url: Url = Field("https://slack.com/api", description="for the bot; a proxy may have another")
    slack_least: Severity = Field("warning", description="the mildest that Slack hears of")
    pagerduty_routing_key: SecretName = Field("", description="name of the secret; empty: no PagerDuty")
    pagerduty_old_routing_key: SecretName = Field(
        "", description="the key before: an incident is closed by the key that opened it"
    )
    pagerduty_url: Url = Field("https://events.pagerduty.com", description="the EU has another")
    pagerduty_least: Severity = Field("critical", description="the mildest that somebody is woken for")
    alertmanager_url: Url | None = Field(None, description="root of a Prometheus Alertmanager")
    alertmanager_least: Severity = Field("info", description="it sorts them itself")
    webhook_url: SecretName = Field("", description="name of the secret; its URL gets signed posts")
    webhook_secret: SecretName = Field("", description="name of the secret that signs: whsec_ and base 64")
    webhook_least: Severity = Field("warning", description="the mildest that it hears of")
    mail: MailSection | None = Field(None, description="e-mail")
    mail_least: Severity = Field("error", description="the mildest that is mailed")
    apprise_urls: SecretName = Field(
        "", description="name of the secret: addresses of apprise, spaces between; needs reconcilerd[apprise]"
    )
    apprise_least: Severity = Field("warning", description="the mildest that they hear of")
    digest_to: Annotated[list[Literal["slack", "mail", "webhook"]], Unit("slack | mail | webhook")] = Field(
        ["slack", "mail"], description="who gets the digest, of those that are configured"
    )
    heartbeat_url: SecretName = Field(
        "", description="name of the secret; a dead man's switch, called while everything is read and planned"
    )
    allow_hosts: list[HostName] = Field(
        [], description="hosts on a private network that may be told; all others must have public addresses"
    )
    group_wait_s: Lag = Field(
        10, description="from the first news to a message: one cause seldom comes alone"
    )
    group_interval_s: Seconds = Field(300, description="from one message about a kind to the next")
    repeat_s: Annotated[Seconds, Field(ge=600)] = Field(14_400, description="what stays open is said again")
    unresolved_drift_s: Seconds = Field(900, description="a drift this old is an alert")
    paused_s: Seconds = Field(14_400, description="writes frozen or stopped for so long are an alert")


class ScheduleSection(Section):
    """What the daemon does by the clock itself, where systemd's timers do not: in a container. Each off by default."""

    audit: Cron | None = Field(None, description="when everything is read anew and compared, like 30 4 * * *")
    backup: Cron | None = Field(
        None, description="when the ledger is backed up and the copy proven: 0 * * * *"
    )
    digest: Cron | None = Field(None, description="when the digest goes to alerts.digest_to: 0 8 * * *")
    timezone: Zone = Field("UTC", description="whose clock these are read off")


class WebSection(Section):
    """Metrics, health and the status page, to be read only."""

    listen: Address = Field(
        "127.0.0.1:9641",
        description="where it is served; empty: nowhere. On this machine it is on from the start, since what is wrong "
        "is looked for when nobody has time to switch it on",
    )
    read_token: SecretName = Field(
        "",
        description="name of the secret with which somebody reads; one of the three is needed off this machine",
    )
    approve_token: SecretName = Field(
        "", description="name of the secret that shows what waits for a person, too, and who released what"
    )
    admin_token: SecretName = Field("", description="name of the secret that shows the configuration, too")
    hosts: list[HostName] = Field(
        [], description="other names by which it may be asked for, as behind a proxy; others are turned away"
    )


class WebhooksSection(Section):
    """A door of its own for webhooks: what is open to the internet serves nothing else."""

    listen: Address = Field(
        "", description="where they are taken, like 127.0.0.1:9642 behind a proxy with TLS; empty: nowhere"
    )


class TracingSection(Section):
    otlp_url: Url | None = Field(
        None,
        description="where OpenTelemetry spans go, like http://127.0.0.1:4318/v1/traces; needs reconcilerd[otel]",
    )


class Settings(Section):
    """The whole file. ``environment`` says what is forbidden.

    simulator: only loopback hosts; the built-in credentials are valid. sandbox: https, own credentials, not the
    production hosts of Extensiv. live: https, own credentials, a ledger that outlives a reboot.
    """

    environment: Literal["simulator", "sandbox", "live"] = Field(
        description="what this configuration may touch"
    )
    extensiv: ExtensivSection
    channels: list[ChannelSection] = Field(min_length=1, description="one table each")
    pools: list[PoolSection] = Field(min_length=1, description="one table each, one of them default")
    locations: dict[Warehouse, LocationSection] = Field({}, description="by warehouse id")
    sku_defaults: SkuDefaultsSection = SkuDefaultsSection()
    limits: LimitsSection = LimitsSection()
    sentinels: list[SentinelSection] = Field([], description="one table each")
    freeze: list[FreezeSection] = Field([], description="one table each; where several are open, each holds")
    ages: AgesSection = AgesSection()
    daemon: DaemonSection = DaemonSection()
    ledger: LedgerSection = LedgerSection()
    alerts: AlertsSection = AlertsSection()
    velocity: VelocitySection = VelocitySection()
    schedule: ScheduleSection = ScheduleSection()
    web: WebSection = WebSection()
    webhooks: WebhooksSection = WebhooksSection()
    tracing: TracingSection = TracingSection()
    demand: list[DemandSection] = Field([], description="one table for each status that is not firm")
    rules_csv: FilePath = Field("", description="rules for single SKUs, beside the config")
    reserves_csv: FilePath = Field("", description="units held for a purpose until a date, beside the config")
    inbound_csv: FilePath = Field("", description="units on their way, for listings that sell past zero")
