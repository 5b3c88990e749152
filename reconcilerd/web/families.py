"""Which metrics there are: their names, what they mean, their labels, and where each is read.

No label is a SKU, a listing, an order or a text that somebody outside chooses: the number of series is bounded by the
configuration. Every series is there from the start, since a rate does not see the event that brings its series.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from reconcilerd import __version__
from reconcilerd.alerting.slack_socket import HEARD
from reconcilerd.connectors.hints import REFUSED, Became, Topic
from reconcilerd.daemon.breakers import tripped
from reconcilerd.daemon.presses import RESULTS
from reconcilerd.daemon.sums import DIRECTIONS, STATES
from reconcilerd.domain.facts import EXTENSIV, CorrectionEnd, Outcome
from reconcilerd.domain.guards import GOES, Verdict
from reconcilerd.domain.names import FeedName, Instant
from reconcilerd.domain.policy import Mode
from reconcilerd.domain.registry import RESETS
from reconcilerd.ledger.disk import log_of, size_of
from reconcilerd.tally import MINUTES, Histogram
from reconcilerd.transport.credentials import ClientCredentials
from reconcilerd.web.sources import Sources
from reconcilerd.web.survey import Survey

OUTCOMES = (
    *(
        (topic, heard)
        for topic in (Topic.LISTING, Topic.ORDERS)
        for heard in (Became.TAKEN, Became.DUPLICATE)
    ),
    *((Topic.LISTING, heard) for heard in (Became.CROWDED, Became.UNKNOWN)),
    *((Topic.OTHER, heard) for heard in (*sorted(REFUSED), Became.UNNEEDED, Became.UNREADABLE)),
)
"""All that a webhook can come to."""
PREFIX = "reconcilerd_"
SEVERITIES = ("critical", "error", "warning", "info")
Labels = Sequence[str]
Rows = Iterable[tuple[Labels, float]]


def families(sources: Sources, found: Survey) -> Iterator[Metric]:
    """Everything, family by family."""
    yield from _program(sources)
    yield from _passes(sources)
    yield from _feeds(sources)
    yield from _calls(sources)
    yield from _drift(sources, found)
    yield from _stock(sources, found)
    yield from _corrections(sources)
    yield from _rails(sources)
    yield from _records(sources, found)
    yield from _alerts(sources)
    yield from _ledger(sources)


def _program(sources: Sources) -> Iterator[Metric]:
    daemon = sources.daemon
    policy = daemon.desk.book.policy
    yield _gauge("build_info", "The program's version; always 1.", ("version",), [((__version__,), 1)])
    yield _gauge(
        "config_info",
        "The policy in force, by its hash; always 1.",
        ("config_hash",),
        [((policy.revision,), 1)],
    )
    mode = policy.limits.mode
    yield _gauge("mode", "1 for the mode in force.", ("mode",), [((each,), each is mode) for each in Mode])
    yield _plain("start_timestamp_seconds", "When the program started.", _seconds(daemon.health.began))
    yield _plain("ready", "1 once the catalogue is known and everything runs.", daemon.started.is_set())
    yield _plain(
        "config_last_reload_successful", "0 where a changed configuration was refused.", sources.reloaded()
    )
    yield _histogram(
        "event_loop_lag_seconds",
        "How late the event loop came to what was due.",
        (),
        [((), daemon.desk.counts.loop_lag)],
    )
    yield _counter(
        "auth_failures",
        "Requests of somebody who may not ask, by where they came in.",
        ("surface",),
        [((each,), daemon.desk.counts.turned_away[each]) for each in ("page", "slack", "socket", "webhooks")],
    )
    yield _counter(
        "slack_socket",
        "What happened to connections and envelopes of Slack's Socket Mode.",
        ("what",),
        [((each,), daemon.desk.counts.slack[each]) for each in HEARD],
    )
    yield _counter(
        "slack_presses",
        "Presses of buttons in Slack, by what came of them.",
        ("result",),
        [((each,), daemon.desk.counts.presses[each]) for each in RESULTS],
    )
    yield _counter(
        "webhooks_received",
        "Webhooks, by what they are about and what came of it; who may not send any is not looked into (other).",
        ("channel", "topic", "outcome"),
        [
            ((name, topic, heard), daemon.desk.counts.hints[name, topic, heard])
            for name in daemon.hints.channels
            for topic, heard in OUTCOMES
        ],
    )


def _passes(sources: Sources) -> Iterator[Metric]:
    desk = sources.daemon.desk
    counts = desk.counts
    yield _histogram(
        "pass_duration_seconds",
        "read: a sweep of one feed; plan: one slice; record: its ledger entry; write: one batch of a channel.",
        ("phase",),
        [((phase,), each) for phase, each in counts.phases.items()],
    )
    yield _counter(
        "passes",
        "Slices planned; partial: a pool group met a bug; held: something new is held.",
        ("result",),
        [((each,), counts.passes[each]) for each in ("ok", "held", "partial")],
    )
    yield _plain(
        "last_pass_timestamp_seconds", "When the last pass ended; 0: none yet.", _seconds(counts.last_pass)
    )
    yield _plain("groups_waiting", "Pool groups that wait to be looked at.", desk.waiting)
    yield _plain("groups_broken", "Pool groups whose last plan met a bug.", len(sources.daemon.passes.broken))


def _feeds(sources: Sources) -> Iterator[Metric]:
    daemon, book, counts = sources.daemon, sources.daemon.desk.book, sources.daemon.desk.counts
    names = ("source", "feed")
    feeds = {feed: _of(feed) for feed in daemon.feeds}
    yield _gauge(
        "feed_last_complete_timestamp_seconds",
        "When the last complete sweep of a feed began; 0: none was ever complete.",
        names,
        [
            (at, _seconds(book.sweeps[feed].began if feed in book.sweeps else None))
            for feed, at in feeds.items()
        ],
    )
    yield _gauge(
        "feed_max_age_seconds",
        "How old that may be before the feed counts as stale; only of feeds that decisions rest on.",
        names,
        [(_of(feed), limit / 1000) for feed, limit in daemon.health.limits.items()],
    )
    yield _gauge(
        "feed_records",
        "Rows of the last complete sweep.",
        names,
        [(at, book.sweeps[feed].rows if feed in book.sweeps else 0) for feed, at in feeds.items()],
    )
    yield _counter(
        "feed_pages", "Pages taken in.", names, [(at, counts.pages[feed]) for feed, at in feeds.items()]
    )
    yield _counter(
        "sweeps",
        "Sweeps that ended, by whether they proved to be complete.",
        (*names, "result"),
        [
            ((*at, result), counts.sweeps[feed, result == "complete"])
            for feed, at in feeds.items()
            for result in ("complete", "incomplete")
        ],
    )
    systems = [EXTENSIV, *book.policy.channels]
    yield _gauge(
        "credentials_refused",
        "1 while a system refuses our credentials.",
        ("source",),
        [((each,), daemon.health.refused(each) is not None) for each in systems],
    )


def _calls(sources: Sources) -> Iterator[Metric]:
    clients = sources.clients
    yield _counter(
        "api_requests",
        "Tries sent; code_class none: no answer came. An operation is a path or a document of ours.",
        ("source", "operation", "code_class", "error_type"),
        [
            ((name, *key), count)
            for name, each in clients.items()
            for key, count in each.traffic.answers.items()
        ],
    )
    yield _histogram(
        "api_request_duration_seconds",
        "From sending to the end of the answer, or to giving up.",
        ("source", "operation"),
        [((name, op), took) for name, each in clients.items() for op, took in each.traffic.took.items()],
    )
    yield _counter(
        "api_retries",
        "Tries after the first.",
        ("source", "reason"),
        [
            ((name, why), count)
            for name, each in clients.items()
            for why, count in each.traffic.retries.items()
        ],
    )
    lanes = [((name, lane), each) for name, client in clients.items() for lane, each in client.lanes.items()]
    names = ("source", "lane")
    yield _counter(
        "api_throttled",
        "Answers that said we ask too often.",
        names,
        [(at, lane.throttled) for at, lane in lanes],
    )
    yield _histogram(
        "limiter_wait_seconds",
        "Waiting for tokens before a try.",
        names,
        [(at, lane.waited) for at, lane in lanes],
    )
    yield _gauge("limiter_tokens", "Tokens left.", names, [(at, lane.tokens_left) for at, lane in lanes])
    yield _gauge(
        "limiter_size_tokens", "Tokens of a full bucket.", names, [(at, lane.size) for at, lane in lanes]
    )
    tokens = {name: each.auth for name, each in clients.items() if isinstance(each.auth, ClientCredentials)}
    yield _counter(
        "token_refresh",
        "Access tokens asked for.",
        ("source", "result"),
        [
            ((name, result), count)
            for name, auth in tokens.items()
            for result, count in auth.refreshes.items()
        ],
    )
    yield _gauge(
        "token_expiry_timestamp_seconds",
        "When the access token in hand expires; only where it does.",
        ("source",),
        [((name,), _seconds(auth.ends_at)) for name, auth in tokens.items() if auth.ends_at is not None],
    )


def _drift(sources: Sources, found: Survey) -> Iterator[Metric]:
    desk = sources.daemon.desk
    channels, now = list(desk.book.policy.channels), desk.clock()
    yield _gauge(
        "drift_listings",
        "Listings that show something else than they should; over: too much. settling: a reading on its way will tell.",
        ("channel", "state", "direction"),
        [
            ((name, state, way), found.drifts[name, state, way])
            for name in channels
            for state in STATES
            for way in DIRECTIONS
        ],
    )
    yield _gauge(
        "drift_units",
        "By how much, in the channel's own units.",
        ("channel", "direction"),
        [((name, way), found.drift_units[name, way]) for name in channels for way in DIRECTIONS],
    )
    yield _gauge(
        "overallocated_units",
        "Units that listings show above their own share, though the pool may have them.",
        ("channel",),
        [((name,), found.over_allocated[name]) for name in channels],
    )
    yield _gauge(
        "drift_age_max_seconds",
        "Age of the oldest present drift; 0: there is none.",
        ("channel",),
        [((name,), max(0, now - found.oldest.get(name, now)) / 1000) for name in channels],
    )
    none = Histogram(MINUTES)
    yield _histogram(
        "drift_time_to_fix_seconds",
        "From when a drift was first seen until its number was read back right.",
        ("channel",),
        [((name,), desk.counts.cured.get(name, none)) for name in channels],
    )


def _stock(sources: Sources, found: Survey) -> Iterator[Metric]:
    book = sources.daemon.desk.book
    pools = list(book.policy.pools)
    yield _gauge(
        "exposure_units",
        "Units shown beyond what could ship.",
        ("pool",),
        [((each,), found.exposed_units[each]) for each in pools],
    )
    yield _gauge(
        "exposure_skus",
        "Groups of SKUs of which more is shown than could ship.",
        ("pool",),
        [((each,), found.exposed_skus[each]) for each in pools],
    )
    yield _gauge(
        "hidden_units",
        "Units that could ship and no listing offers, though policy would.",
        ("pool",),
        [((each,), found.hidden_units[each]) for each in pools],
    )
    yield _plain("skus", "SKUs that have listings.", len(book.joins().slots_of))
    listings = sources.daemon.windows.listings
    yield _gauge(
        "listings",
        "Listings that sell a SKU, at places that are ours.",
        ("channel",),
        [((c,), listings.get(c, 0)) for c in book.policy.channels],
    )


def _corrections(sources: Sources) -> Iterator[Metric]:
    counts, channels = sources.daemon.desk.counts, list(sources.daemon.desk.book.policy.channels)
    yield _counter(
        "corrections_planned",
        "Writes decided and written down.",
        ("channel",),
        [((name,), counts.planned[name]) for name in channels],
    )
    yield _counter(
        "corrections",
        "Writes by what the channel answered.",
        ("channel", "result"),
        [((name, result), counts.answered[name, result]) for name in channels for result in Outcome],
    )
    yield _counter(
        "corrections_settled",
        "Writes by how they ended: confirmed by a reading, missed, superseded, refused.",
        ("channel", "end"),
        [((name, end), counts.settled[name, end]) for name in channels for end in CorrectionEnd],
    )
    executors = sources.daemon.executors
    yield _gauge(
        "corrections_queued",
        "Writes that wait for their turn.",
        ("channel",),
        [((name,), each.queued) for name, each in executors.items()],
    )


def _rails(sources: Sources) -> Iterator[Metric]:
    daemon = sources.daemon
    book, rails = daemon.desk.book, daemon.rails()
    yield _counter(
        "holds",
        "Corrections that began to be held, by why.",
        ("verdict",),
        [((each,), daemon.desk.counts.holds[each]) for each in Verdict if each not in GOES],
    )
    held = Counter(each.rail for each in tripped(book, daemon.circuits, daemon.desk.clock()))
    yield _gauge(
        "rails_tripped", "Rails that tripped and hold.", ("rail",), [((each,), held[each]) for each in RESETS]
    )
    everywhere = rails.stop or rails.breach
    paused = {
        name: everywhere
        or not rails.frozen.isdisjoint({"", name})
        or any(each.bars(name, lowers=False, cures=False) for each in rails.closed)
        for name in book.policy.channels
    }
    yield _gauge(
        "paused",
        "1 while a STOP file, a freeze or a broken invariant keeps a channel as it is.",
        ("channel",),
        [((name,), on) for name, on in paused.items()],
    )
    writes = rails.mode is not Mode.OBSERVE
    yield _gauge(
        "writes_enabled",
        "1 where corrections may go out.",
        ("channel",),
        [((name,), writes and not on and daemon.stopped(name) is None) for name, on in paused.items()],
    )


def _records(sources: Sources, found: Survey) -> Iterator[Metric]:
    channels = list(sources.daemon.desk.book.policy.channels)
    yield _gauge(
        "orders_discrepant",
        "Orders that Extensiv lacks after the longest import, or of which it has more units than were ever sold.",
        ("channel", "kind"),
        [((name, "missing"), found.missing[name]) for name in channels]
        + [((name, "differs"), found.differing[name]) for name in channels],
    )
    yield _gauge(
        "unmapped_listings",
        "Listings that are mapped to no SKU.",
        ("channel",),
        [((name,), found.unmapped[name]) for name in channels],
    )
    yield _gauge(
        "unknown_quantities",
        "Rows that cannot be read, so that nobody knows what they say.",
        ("source",),
        [((name,), found.unreadable[name]) for name in (EXTENSIV, *channels)],
    )


def _alerts(sources: Sources) -> Iterator[Metric]:
    alerts, now = sources.alerts, sources.daemon.desk.clock()
    oldest = alerts.oldest_unheard
    yield _gauge(
        "alerts_firing",
        "Alerts that fire.",
        ("severity",),
        [((each,), alerts.severities.get(each, 0)) for each in SEVERITIES],
    )
    yield _counter(
        "alert_deliveries", "Messages to receivers.", ("receiver", "result"), [*alerts.deliveries.items()]
    )
    yield _plain(
        "alert_outbox_oldest_seconds",
        "Age of the oldest message that a receiver has not taken; 0: there is none.",
        0 if oldest is None else max(0, now - oldest) / 1000,
    )


def _ledger(sources: Sources) -> Iterator[Metric]:
    yield _plain("db_size_bytes", "The ledger's file.", size_of(sources.ledger))
    yield _plain("wal_size_bytes", "Its write-ahead log.", size_of(log_of(sources.ledger)))
    yield _histogram("db_write_seconds", "Transactions that were made durable.", (), [((), sources.commits)])
    backup = sources.last_backup()
    if backup is not None:
        yield _plain("last_backup_timestamp_seconds", "When the last good backup was made.", _seconds(backup))


def _of(feed: FeedName) -> tuple[str, str]:
    source, _, name = feed.partition(".")
    return source, name


def _seconds(at: Instant | None) -> float:
    return 0.0 if at is None else at / 1000


def _gauge(name: str, what: str, labels: Labels, rows: Rows) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, what, labels=labels)
    for values, value in rows:
        family.add_metric([str(each) for each in values], float(value))
    return family


def _plain(name: str, what: str, value: float) -> Metric:
    return _gauge(name, what, (), [((), value)])


def _counter(name: str, what: str, labels: Labels, rows: Rows) -> Metric:
    family = CounterMetricFamily(PREFIX + name, what, labels=labels)
    for values, value in rows:
        family.add_metric([str(each) for each in values], float(value))
    return family


def _histogram(name: str, what: str, labels: Labels, rows: Iterable[tuple[Labels, Histogram]]) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, what, labels=labels)
    for values, each in rows:
        so_far, buckets = 0, list[tuple[str, float]]()
        for bound, count in zip((*each.bounds, float("inf")), each.counts, strict=True):
            so_far += count
            buckets.append(("+Inf" if bound == float("inf") else repr(bound), so_far))
        family.add_metric([str(value) for value in values], buckets, each.total)
    return family
