"""Pages against alerts: whatever fails on the way, what is open at the receiver is what fires here."""

from collections.abc import Mapping

import anyio
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.alerting.receivers import PagerDuty, Slack
from reconcilerd.alerting.router import Router
from reconcilerd.domain.facts import AlertChanged, AlertTold
from reconcilerd.domain.names import Instant
from reconcilerd.simulator.virtual_time import run_virtual

steps = st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=15)


async def play(router: Router, changes: list[tuple[bool, str]]) -> None:
    """Raise or resolve, one after another."""
    for up, subject in changes:
        if up:
            await router.raise_("exposure", subject, "critical", "text", {})
        else:
            await router.resolve("exposure", subject)


class FakePagerDuty:
    """Keeps the vendor's rules: a resolve closes the incident of its key, a second trigger opens none."""

    def __init__(self, failures: list[int]) -> None:
        self.open: set[str] = set()
        self.failures = failures
        self.took = self.failed = 0

    async def post(self, url: str, body: object) -> tuple[int, str]:
        assert isinstance(body, Mapping)
        if self.failures:
            status = self.failures.pop()
            if status != 202:
                self.failed += 1
                return status, ""
        self.took += 1
        (self.open.add if body["event_action"] == "trigger" else self.open.discard)(str(body["dedup_key"]))
        return 202, "{}"


@given(steps, st.lists(st.sampled_from([202, 429, 500]), max_size=10))
def test_open_pages_are_the_alerts_that_fire(changes: list[tuple[bool, str]], failures: list[int]) -> None:
    fake = FakePagerDuty(list(failures))

    async def journal(_: AlertChanged | AlertTold) -> None: ...

    async def main() -> None:
        router = Router([PagerDuty("https://x", "k", "me", fake.post)], journal, lambda: Instant(0))
        async with anyio.create_task_group() as group:
            group.start_soon(router.run)
            await play(router, changes)
            await anyio.sleep(10_000)
            group.cancel_scope.cancel()
        assert fake.open == router.firing
        assert router.severities["critical"] == len(router.firing)
        assert router.oldest_unheard is None
        told = {result: router.deliveries["pagerduty", result] for result in ("ok", "failed", "refused")}
        assert told == {"ok": fake.took, "failed": fake.failed, "refused": 0}

    run_virtual(main)


@given(
    st.lists(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=4), max_size=5), st.data()
)
def test_what_was_not_told_before_a_restart_is_told_after_it_and_nothing_twice(
    lives: list[list[tuple[bool, str]]], data: st.DataObject
) -> None:
    """Each life ends before or after its messages are delivered; the last one has time."""
    fake, standing, told = FakePagerDuty([]), dict[str, AlertChanged](), dict[str, AlertTold]()
    sent: list[tuple[str, str]] = []
    moment = [0]

    async def post(url: str, body: object) -> tuple[int, str]:
        assert isinstance(body, Mapping)
        sent.append((str(body["dedup_key"]), str(body["event_action"])))
        return await fake.post(url, body)

    async def journal(fact: AlertChanged | AlertTold) -> None:
        match fact:
            case AlertChanged():
                standing[fact.key] = fact
            case AlertTold():
                told[fact.key] = fact

    def clock() -> Instant:
        moment[0] += 1
        return Instant(moment[0])

    async def life(changes: list[tuple[bool, str]], delivers: bool) -> frozenset[str]:
        receivers = [PagerDuty("https://x", "k", "me", post)]
        router = Router(receivers, journal, clock, standing.values(), told.values())
        async with anyio.create_task_group() as group:
            if delivers:
                group.start_soon(router.run)
            await play(router, changes)
            await anyio.sleep(100)
            group.cancel_scope.cancel()
        return router.firing

    async def main() -> None:
        for changes in lives:
            await life(changes, data.draw(st.booleans()))
        firing = await life([], True)
        assert fake.open == firing
        before = len(sent)
        await life([], True)
        assert len(sent) == before

    run_virtual(main)


def test_what_nobody_speaks_for_any_more_is_resolved() -> None:
    async def journal(_: AlertChanged | AlertTold) -> None: ...

    async def main() -> None:
        old = [AlertChanged(f"reconcilerd/held_plan/{name}", True, "error", "x", Instant(1)) for name in "ab"]
        router = Router([], journal, lambda: Instant(2), old)
        await router.keep_only({("held_plan", "a")})
        assert router.firing == {"reconcilerd/held_plan/a"}

    run_virtual(main)


def test_slack_hears_only_ok_and_text_is_escaped() -> None:
    sent: list[str] = []

    async def post(url: str, body: object) -> tuple[int, str]:
        assert isinstance(body, dict)
        sent.append(body["text"])
        return 200, "ok"

    async def main() -> None:
        alert = AlertChanged("reconcilerd/x/y", True, "error", "a <b> & c", Instant(0))
        await Slack("https://hooks", post).tell(alert, {})

    run_virtual(main)
    assert "a &lt;b&gt; &amp; c" in sent[0]
