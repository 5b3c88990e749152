"""Pages against alerts: whatever fails on the way, what is open at the receiver is what fires here."""

from collections.abc import Mapping

import anyio
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.alerting.receivers import PagerDuty, Slack
from reconcilerd.alerting.router import Router
from reconcilerd.domain.facts import AlertChanged
from reconcilerd.domain.names import Instant
from reconcilerd.simulator.virtual_time import run_virtual

steps = st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=15)


class FakePagerDuty:
    """Keeps the vendor's rules: a resolve closes the incident of its key, a second trigger opens none."""

    def __init__(self, failures: list[int]) -> None:
        self.open: set[str] = set()
        self.failures = failures

    async def post(self, url: str, body: object) -> tuple[int, str]:
        assert isinstance(body, Mapping)
        if self.failures:
            status = self.failures.pop()
            if status != 202:
                return status, ""
        (self.open.add if body["event_action"] == "trigger" else self.open.discard)(str(body["dedup_key"]))
        return 202, "{}"


@given(steps, st.lists(st.sampled_from([202, 429, 500]), max_size=10))
def test_open_pages_are_the_alerts_that_fire(changes: list[tuple[bool, str]], failures: list[int]) -> None:
    fake = FakePagerDuty(list(failures))
    written: list[AlertChanged] = []

    async def journal(alert: AlertChanged) -> None:
        written.append(alert)

    async def main() -> None:
        router = Router([PagerDuty("https://x", "k", "me", fake.post)], journal, lambda: Instant(0))
        async with anyio.create_task_group() as group:
            group.start_soon(router.run)
            for up, subject in changes:
                if up:
                    await router.raise_("exposure", subject, "critical", "text", {})
                else:
                    await router.resolve("exposure", subject)
            await anyio.sleep(10_000)
            group.cancel_scope.cancel()
        assert fake.open == router.firing

    run_virtual(main)
    firing = {alert.key for alert in written if alert.firing} - set()
    assert {alert.key for alert in written} >= firing


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
