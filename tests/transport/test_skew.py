"""Whose clock dates are of: no single machine, no cache and no hand at our own clock moves what is known of it."""

from dataclasses import dataclass, field
from email.utils import formatdate

import anyio
import httpx
import pytest

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call, Client
from reconcilerd.transport.lane import Lane, LaneSpec, Priority
from reconcilerd.transport.replies import GOES_ON_MS, Reply, Skew, retry_after_ms

START = 1_800_000_000_000
DAY_S = 86_400
EVERY_S = 5
LONG = GOES_ON_MS // (EVERY_S * 1000)
"""So many readings, one after another, go on for long."""


@dataclass
class Server:
    """Answers one reading after the other, each a while after the last; our clock, and its own, may be set."""

    ahead_s: float = 0.0
    """How far its clock is before the right time."""
    ours_s: float = 0.0
    """How far our own clock is before the right time."""
    took_ms: int = 200
    slept_s: float = 0.0
    """How long our machine did not run: a clock that nobody sets does not go on meanwhile."""
    skew: Skew = field(default_factory=Skew)
    now: int = START

    def read(self, off_s: float = 0.0, age_s: float = 0.0) -> float:
        """One answer, of a machine whose clock is so far off, or out of a cache that says nothing of its age. How old
        (s) it is told to be.
        """
        written = self.now / 1000 + self.ahead_s + off_s - age_s
        asked = Instant(round(self.now + self.ours_s * 1000))
        answered = Instant(asked + self.took_ms)
        set_ms = round((self.ours_s + self.slept_s) * 1000)
        reply = Reply(200, {"date": formatdate(written, usegmt=True)}, b"", asked, answered, set_ms=set_ms)
        told = self.skew.learn(reply)
        self.now += EVERY_S * 1000
        return (asked - told) / 1000

    def reads(self, count: int, off_s: float = 0.0) -> list[float]:
        return [self.read(off_s) for _ in range(count)]

    @property
    def held_s(self) -> float:
        """How far ours is said to be ahead of its clock."""
        return self.skew.ahead_ms / 1000


NEAR = 1.3
"""Dates of whole seconds, and how long an answer takes, prove no more."""


@pytest.mark.parametrize("off_s", [DAY_S, 60, 20, -20, -DAY_S])
@pytest.mark.parametrize("every", [0, 3, 20])
def test_a_machine_of_many_with_a_wrong_clock_moves_nothing(off_s: float, every: int) -> None:
    server = Server()
    assert server.reads(5) == [0] * 5
    server.read(off_s)
    for number in range(1, 5 * LONG):
        if every and number % every == 0:
            assert server.read(off_s) == pytest.approx(max(0, -off_s), abs=NEAR)
        else:
            assert server.read() == 0
        assert abs(server.held_s) <= NEAR


@pytest.mark.parametrize("off_s", [DAY_S, 20, -20, -DAY_S])
def test_where_it_answers_first_the_next_that_agrees_with_our_own_clock_is_believed(off_s: float) -> None:
    server = Server()
    server.read(off_s)
    for number in range(1, 5 * LONG):
        old_s = server.read(off_s if number % 20 == 0 else 0)
        assert old_s == pytest.approx(-off_s if number % 20 == 0 and off_s < 0 else 0, abs=NEAR)
        assert abs(server.held_s) <= NEAR


@pytest.mark.parametrize("ours_s", [90.0, -90.0])
def test_once_they_went_on_for_long_the_dates_are_right_and_not_our_clock(ours_s: float) -> None:
    """Or an answer out of a cache, as old as our clock is behind, would be taken for a new one."""
    server = Server(ours_s=ours_s)
    server.reads(LONG + 2)
    assert server.held_s == pytest.approx(ours_s, abs=NEAR)
    if ours_s < 0:
        assert server.read(age_s=90) == pytest.approx(90, abs=NEAR)
    assert server.held_s == pytest.approx(ours_s, abs=NEAR)


@pytest.mark.parametrize("by_s", [90, -90, DAY_S])
def test_a_clock_that_was_set_is_followed_once_its_dates_have_gone_on(by_s: float) -> None:
    server = Server()
    server.reads(2 * LONG)
    server.ahead_s = by_s
    for _ in range(LONG):
        assert server.read() == pytest.approx(max(0, -by_s), abs=NEAR)
        assert abs(server.held_s) <= NEAR
    assert server.read() == 0
    assert server.held_s == pytest.approx(-by_s, abs=NEAR)
    assert server.reads(3) == [0] * 3


def test_dates_that_stand_still_never_become_a_clock() -> None:
    server = Server()
    server.reads(2 * LONG)
    for number in range(1, 4 * LONG):
        assert server.read(age_s=600 + number * EVERY_S) >= 600
        assert abs(server.held_s) <= NEAR


def test_one_slow_answer_vouches_for_no_dates_that_stand_still() -> None:
    """It may have been written at any moment of a long time, and they are all near one of these."""
    server = Server()
    server.reads(2 * LONG)
    server.took_ms = 400_000
    server.read(age_s=600)
    server.now += 400_000
    server.took_ms = 200
    for number in range(2 * LONG):
        assert server.read(age_s=700 + number * EVERY_S) >= 690
        assert abs(server.held_s) <= NEAR


@pytest.mark.parametrize("by_s", [3_600, 40, -40, -3_600])
def test_that_our_own_clock_is_set_makes_no_reading_old(by_s: float) -> None:
    """By the network, an hour at once if need be: its answers are as new as before, and it is known at once."""
    server = Server()
    server.reads(2 * LONG)
    server.ours_s = by_s
    for _ in range(LONG):
        assert server.read() == 0
        assert server.held_s == pytest.approx(by_s, abs=NEAR)
    assert server.read(age_s=60) == pytest.approx(60, abs=NEAR)
    assert server.read(off_s=60) == 0
    assert server.held_s == pytest.approx(by_s, abs=NEAR)


def test_a_machine_that_slept_wakes_to_new_readings() -> None:
    server = Server()
    server.reads(2 * LONG)
    server.now += 7_200_000
    server.slept_s = 7_200
    assert server.reads(LONG) == [0] * LONG
    assert abs(server.held_s) <= NEAR
    assert server.read(age_s=60) == pytest.approx(60, abs=NEAR)


def test_slow_answers_are_followed_too() -> None:
    server = Server(took_ms=4_000)
    server.reads(2 * LONG)
    server.ahead_s = 300
    server.reads(2 * LONG)
    assert server.held_s == pytest.approx(-300, abs=5)


def test_a_client_tells_when_its_clock_was_set() -> None:
    """The clock that nobody sets is the loop's own."""

    async def main() -> None:
        clock = VirtualClock(Instant(START))
        client = Client(
            "s", "http://127.0.0.1", transport=httpx.MockTransport(lambda _: httpx.Response(200)), auth=None,
            lanes=[Lane(LaneSpec("x", 10, 5), clock)], clock=clock,
        )  # fmt: skip
        call, told = Call("GET", "/a", "x", Priority.STOCK), []
        for by_ms in (0, 0, 90_000, -3_600_000):
            clock.start = Instant(clock.start + by_ms)
            told.append((await client.send(call)).set_ms)
            await anyio.sleep(30)
        moved = [later - told[0] for later in told]
        assert moved == pytest.approx([0, 0, 90_000, -3_510_000], abs=2)

    run_virtual(main)


@pytest.mark.parametrize(
    "text",
    [
        "Wed, 21 Oct 2026 07:28:00 +99999999999999999999",
        "Wed, 21 Oct 99999999999 07:28:00 GMT",
        "Wed, 21 Oct 2026 99999999999:28:00 GMT",
        "Wed,",
        ",",
    ],
)
def test_a_date_with_an_absurd_year_or_zone_is_none(text: str) -> None:
    reply = Reply(200, {"date": text}, b"", Instant(START), Instant(START))
    skew = Skew()
    assert (skew.learn(reply), skew.ahead_ms) == (START, 0)
    assert retry_after_ms({"retry-after": text}, Instant(START)) is None
    assert retry_after_ms({"retry-after": "Thu, 01 Jan 1970 00:00:09 GMT", "date": text}, Instant(0)) == 9_000


def test_an_absurd_age_is_no_moment_before_all_time() -> None:
    reply = Reply(200, {"age": "1e300"}, b"", Instant(START), Instant(START))
    assert Skew().learn(reply) == 0
