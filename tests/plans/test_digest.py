"""The digest of a day says what was found and cured, what waits and what people should look at, and is sent."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from reconcilerd.cli import shift_text
from reconcilerd.daemon.daily_text import lines_of, title_of
from reconcilerd.domain.alerts import alert_key
from reconcilerd.domain.facts import AlertChanged, AlertStage
from reconcilerd.domain.names import Instant
from reconcilerd.domain.policy import Mode
from tests.cli.test_schemas import faults
from tests.daemon.test_alarms import Desk
from tests.daemon.test_alarms import play as play_alarms
from tests.plans.stage import Shop, opened


def told(said: dict[str, Any]) -> dict[str, Any]:
    """An answer that is what its document says, and fits the terminal."""
    assert faults("digest", said) == []
    for columns in (80, 100):
        lines = shift_text.digest(said, columns).splitlines()
        assert not [line for line in lines if len(line) > columns and " " in line.strip()]
    return said


def test_what_was_found_and_cured_is_counted_by_channel_and_cause(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        await anyio.sleep(3600)
        said = told(await shop.ask("digest"))
        channels = {each["channel"]: each for each in said["channels"]}
        assert sum(each["found"] for each in channels.values()) > 0
        for each in channels.values():
            ends = sum(each[end] for end in ("cured", "missed", "refused", "replaced", "under_way"))
            assert ends == each["found"] == sum(each["causes"].values())
        assert sum(each["cured"] for each in channels.values()) > 0
        assert said["complete"] is True
        assert said["sent"] is None
        assert {each["feed"] for each in said["feeds"]} >= {"extensiv.stock", "shop-uk.slots"}
        later = told(await shop.ask("digest", since_s=1))
        assert sum(each["found"] for each in later["channels"]) < sum(
            each["found"] for each in said["channels"]
        )

    opened(tmp_path / "ledger.db", scene, mode=Mode.AUTO)


def test_what_waits_for_a_person_is_named_with_what_to_do(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        said = told(await shop.ask("digest"))
        assert said["waiting_for_approval"] == said["held"]["hold_approval"] > 0
        text = "\n".join(lines_of(said))
        assert f"For a person: {said['waiting_for_approval']} corrections wait" in text
        assert "waits for a person" in title_of(said, "me") or "beyond what can ship" in title_of(said, "me")
        await shop.ask("freeze", reason="a drill")
        assert "FROZEN on all" in "\n".join(lines_of(told(await shop.ask("digest"))))

    opened(tmp_path / "ledger.db", scene)


@pytest.mark.parametrize("subject", ["shop-uk.slots", "shop-uk"])
def test_a_feed_was_late_for_as_long_as_an_alert_of_it_or_of_its_system_was_open(
    tmp_path: Path, subject: str
) -> None:
    async def scene(shop: Shop) -> None:
        key, now = alert_key("stale_source", subject), shop.stage.clock()
        began, ended = Instant(now - 3_600_000), Instant(now - 1_800_000)
        shop.ledger.append(
            [AlertChanged(key, False, "error", "late", ended, AlertStage.RESOLVED, 1, began, began)]
        )
        late = {each["feed"]: each["late_minutes"] for each in told(await shop.ask("digest"))["feeds"]}
        assert late["shop-uk.slots"] == 30
        assert late["extensiv.stock"] == 0

    opened(tmp_path / "ledger.db", scene)


def a_day(**changes: Any) -> dict[str, Any]:
    """A digest of a day on which nothing happened."""
    lists = ["frozen", "unmapped_sold", "channels", "feeds", "rails"]
    lists += ["alerts_opened", "alerts_closed", "alerts_open"]
    empty: dict[str, Any] = {name: [] for name in lists}
    counts = (
        "skus",
        "exposed_units",
        "exposed_skus",
        "exposed_minutes",
        "hidden_units",
        "waiting_for_approval",
    )
    return {
        "schema": "reconcilerd.digest/1",
        "at": "2026-11-28T08:00:00Z",
        "since": "2026-11-27T08:00:00Z",
        "complete": True,
        "daemon": True,
        "mode": "auto",
        "stopped": False,
        "held": {},
        "unmapped_sold_count": 0,
        "sent": None,
        "exit_code": 0,
        **empty,
        **dict.fromkeys(counts, 0),
        **changes,
    }


EPISODE = {
    "key": "reconcilerd/stale_source/shop-uk.slots",
    "severity": "critical",
    "summary": "late",
    "began": "2026-11-28T07:00:00Z",
    "ended": None,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "nothing waits for a person"),
        ({"stopped": True}, "writes are stopped"),
        ({"exposed_units": 4, "exposed_skus": 2}, "4 units are shown beyond what can ship"),
        ({"exposed_minutes": 12}, "an alert of it was open for 12 min"),
        (
            {
                "unmapped_sold": [{"channel": "shop-uk", "code": f"C{n}"} for n in range(12)],
                "unmapped_sold_count": 12,
            },
            "mapped to no SKU: 12: shop-uk C0, ",
        ),
        (
            {"feeds": [{"feed": "a.slots", "age_s": 7, "limit_s": 900, "late_minutes": 0}]},
            "all 1 were read in time",
        ),
        (
            {"feeds": [{"feed": "a.slots", "age_s": 8000, "limit_s": 900, "late_minutes": 130}]},
            "a.slots: too old for 2 h; read 2 h ago, limit 15 min",
        ),
        ({"feeds": [{"feed": "a.slots", "age_s": None, "limit_s": 900, "late_minutes": 0}]}, "never read"),
        ({"alerts_open": [EPISODE]}, "CRITICAL stale_source/shop-uk.slots, since 2026-11-28 07:00 UTC: late"),
        ({"alerts_open": [EPISODE] * 12}, "and 2 more: reconcilerd alerts list"),
        ({"complete": False}, "not all of it is told"),
        ({"sent": [{"receiver": "slack", "accepted": False, "reply": "gone"}]}, "slack: NOT TAKEN: gone"),
        ({"daemon": False}, "NO DAEMON RUNS"),
    ],
)
def test_each_thing_that_people_should_look_at_is_said(changes: dict[str, Any], said: str) -> None:
    assert said in " ".join(shift_text.digest(told(a_day(**changes)), 80).split())


def test_it_is_sent_to_those_that_take_it_and_what_somebody_called_a_listing_acts_nowhere() -> None:
    hostile = [{"channel": "shop-uk", "code": "<!channel>\x1b[31m\n*x*"}]

    async def scene(desk: Desk) -> None:
        desk.alarms._digest = lambda: ("me", {"slack"})
        said = told(await desk.alarms.publish(a_day(unmapped_sold=hostile, unmapped_sold_count=1)))
        assert (said["exit_code"], [each["receiver"] for each in said["sent"]]) == (0, ["slack"])

    desk = play_alarms(scene)
    [(_, text)] = desk.slack.taken
    assert text.startswith("*Digest of me, ")
    assert "&lt;!channel&gt;\\x1b[31m\\n" in text
    assert desk.pagerduty.taken == []


def test_where_nobody_takes_it_that_is_said_and_one_that_fails_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(desk: Desk) -> None:
        nobody = await desk.alarms.publish(a_day())
        assert (nobody["exit_code"], "alerts.digest_to" in nobody["error"]["message"]) == (2, True)

        monkeypatch.setattr(desk.slack, "take", lambda _: (404, "no_service", {}))
        desk.alarms._digest = lambda: ("me", {"slack", "mail"})
        said = told(await desk.alarms.publish(a_day()))
        assert (said["exit_code"], said["sent"][0]["reply"]) == (5, "Slack answered 404 no_service")

    play_alarms(scene)
