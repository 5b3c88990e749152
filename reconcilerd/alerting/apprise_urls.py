"""Some hundred other services, through the apprise library: each by an address that holds its credentials.

Alone knows apprise, which comes with an extra of the package and takes its time to load: whoever needs none does not
import this. The library speaks by its own means, in a thread, one message after the other. What its addresses may be
is checked as they are written; where a name leads, the library alone sees.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence

import anyio
import apprise
from anyio import to_thread

from reconcilerd.alerting.engine import NotTaken
from reconcilerd.alerting.outbox import Notice, Pace
from reconcilerd.alerting.wording import cut, details_of, headline, runbook, since, within
from reconcilerd.config.fields import LOOPBACK
from reconcilerd.config.hosts import plain, why_unreachable
from reconcilerd.domain.alerts import SEVERITIES
from reconcilerd.domain.facts import Transition

PATIENCE_S = 60.0
BUDGET = 4_000
TITLE = 200
MORE = "and {count} more: reconcilerd alerts list"
LOGGERS = ("apprise", "urllib3.connectionpool", "urllib3.util.retry", "requests_oauthlib.oauth2_session")
"""What the library and what it speaks by write their addresses to."""
_TYPES = {
    "critical": apprise.NotifyType.FAILURE,
    "error": apprise.NotifyType.FAILURE,
    "warning": apprise.NotifyType.WARNING,
}
_HARMLESS = str.maketrans({"<": "‹", ">": "›", "@": "＠", "`": "'"})
"""Each service has marks of its own that mention people; none has these."""


class Services:
    """Told all of them or, the next time, those that did not take it."""

    name = "apprise"

    def __init__(self, urls: Sequence[str], pace: Pace | None = None, instance: str = "") -> None:
        """``urls``: of which ``faults_of`` finds nothing to say."""
        for name in LOGGERS:
            logging.getLogger(name).disabled = True
        self.pace = pace or Pace()
        self._instance = instance
        self._tell_each = [_teller(url) for url in urls]
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._taken: tuple[object, set[int]] = (None, set())

    async def tell(self, notices: Sequence[Notice]) -> Mapping[str, str]:
        about = tuple((each.episode.key, each.episode.number, each.transition) for each in notices)
        # Whoever has heard a message is not told it again because another has not.
        taken = self._taken[1] if self._taken[0] == about else set[int]()
        self._taken = about, taken
        title, body, kind = message_of(notices, self._instance)
        with anyio.move_on_after(PATIENCE_S):
            for number, tell in enumerate(self._tell_each):
                if number not in taken and await to_thread.run_sync(
                    tell, title, body, kind, limiter=self._one_at_a_time, abandon_on_cancel=True
                ):
                    taken.add(number)
        missing = [str(number) for number in range(1, len(self._tell_each) + 1) if number - 1 not in taken]
        if missing:
            raise NotTaken(f"apprise: not taken by address {', '.join(missing)} of alerts.apprise_urls")
        self._taken = None, set()
        return {}


def message_of(notices: Sequence[Notice], instance: str = "") -> tuple[str, str, apprise.NotifyType]:
    """Title, text and what kind of news it is, in plain text that mentions nobody."""
    worst = min(notices, key=_badness)
    more = f" (and {len(notices) - 1} more)" if len(notices) > 1 else ""
    over = worst.transition is Transition.RESOLVED
    kind = apprise.NotifyType.SUCCESS if over else _TYPES.get(worst.episode.severity, apprise.NotifyType.INFO)
    title = cut(headline(worst), TITLE) + more
    body = within(["\n".join(_lines(each, instance)) for each in notices], BUDGET, MORE)
    return title.translate(_HARMLESS), body.translate(_HARMLESS), kind


def _badness(notice: Notice) -> tuple[bool, int]:
    return notice.transition is Transition.RESOLVED, SEVERITIES.index(notice.episode.severity)


def _lines(notice: Notice, instance: str) -> list[str]:
    details = [f"{name}: {text}" for name, text in details_of(notice.episode)]
    return [headline(notice), since(notice, instance), *details, f"more: {runbook(notice.episode)}"]


def _teller(url: str) -> Callable[[str, str, apprise.NotifyType], bool]:
    hub = apprise.Apprise()
    hub.add(url)

    def tell(title: str, body: str, kind: apprise.NotifyType) -> bool:
        try:
            said = hub.notify(body=body, title=title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT)
        except Exception:
            # Any of a hundred plugins: its text may hold the address.
            return False
        return bool(said)

    return tell


def faults_of(urls: Sequence[str], allowed: Collection[str]) -> list[str]:
    """What is wrong with addresses, by their place; none is repeated."""
    return [
        f"address {number} {why}" for number, url in enumerate(urls, 1) if (why := _fault_of(url, allowed))
    ]


def _fault_of(url: str, allowed: Collection[str]) -> str:
    service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if service is None:
        return "is none that apprise knows; see its list of services"
    host = plain(str(service.host or ""))
    scheme = url.partition("://")[0].casefold()
    if scheme in _schemes(service.protocol) and host not in LOOPBACK:
        better = next(iter(_schemes(service.secure_protocol)), None)
        instead = f"write {better}://" if better else "take another service"
        return f"begins with {scheme}://, which is not encrypted; {instead}"
    if not service.verify_certificate:
        return "holds verify=no; a certificate that is not checked proves nothing"
    why = why_unreachable(host, allowed) if host else ""
    return f"has a host that {why}; if that is meant, name the host in alerts.allow_hosts" if why else ""


def _schemes(said: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if said is None else (said,) if isinstance(said, str) else tuple(said)
