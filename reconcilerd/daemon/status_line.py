"""How the daemon stands in one line: the first thing that anyone reads in ``systemctl status``."""

from reconcilerd.daemon.daemon import Daemon
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.policy import Mode


def status_line(daemon: Daemon) -> str:
    """Channels, SKUs, drift, exposure, the oldest feed's age, and whether anything is written; paused looks paused."""
    writes = writes_of(daemon.rails())
    if not daemon.started.is_set():
        return f"reading the catalogue, writes {writes}"
    desk, standing = daemon.desk, daemon.passes.standing
    book, now = desk.book, desk.clock()
    begun = [(book.read_at(feed), feed) for feed in book.sweeps if daemon.health.watches(feed)]
    feeds = [(now - at, feed) for at, feed in begun if at is not None]
    age, feed = max(feeds, default=(0, None))
    oldest = f"oldest feed {age // 1000} s ({feed})" if feed is not None else "no feed read yet"
    return (
        f"{_many(len(book.policy.channels), 'channel')}, {_many(len(book.joins().slots_of), 'SKU')}, "
        f"drift {standing.index.listings.total()}, {standing.exposed.total} exposed, {standing.hidden.total} hidden, "
        f"{oldest}, writes {writes}"
    )


def writes_of(rails: Rails) -> str:
    """Whether corrections leave, and what stops them if not; what stops most is said first."""
    if rails.breach:
        return "STOPPED by a broken invariant"
    if rails.stop:
        return "STOPPED by the STOP file"
    if rails.mode is Mode.OBSERVE:
        return "OFF (observe)"
    if "" in rails.frozen:
        return "FROZEN"
    if any(not each.channel for each in rails.closed):
        return "FROZEN by a freeze window"
    if rails.observing:
        return f"HELD ({rails.mode}): the policy changed and is looked at first"
    some = sorted({*rails.frozen, *(each.channel for each in rails.closed)})
    return f"ON ({rails.mode})" + (f" but FROZEN: {', '.join(some)}" if some else "")


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
