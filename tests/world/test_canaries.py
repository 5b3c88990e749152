"""No secret that the daemon holds comes out anywhere, whatever fails and however much a vendor quotes.

Each place for a secret holds a canary. Vendors and receivers fail in every way of the hostile menu, and whatever they
refuse they quote, headers, address and body; then everything that came out is searched for each canary and its half.
"""

import io
import json
import logging
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, quote, quote_plus, urlencode

import anyio
import httpx
import pytest
import structlog
from typing_extensions import override

from reconcilerd.alerting.alertmanager import Alertmanager
from reconcilerd.alerting.engine import Engine, Receiver
from reconcilerd.alerting.heartbeat import Heartbeat
from reconcilerd.alerting.pagerduty import PagerDuty
from reconcilerd.alerting.slack import Slack
from reconcilerd.alerting.slack_bot import SlackBot
from reconcilerd.alerting.slack_socket import SocketMode
from reconcilerd.alerting.webhook import Webhook
from reconcilerd.assemble import Endpoint, Wiring, assemble
from reconcilerd.cli.run import answers_of
from reconcilerd.config.secret import Secret, redact
from reconcilerd.daemon import control
from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.journal import entry_of, fields_of
from reconcilerd.daemon.logs import LOUD, configure
from reconcilerd.domain.facts import Fact
from reconcilerd.domain.names import ChannelName
from reconcilerd.ledger.reader import open_reader
from reconcilerd.ledger.store import Ledger
from reconcilerd.simulator.app import build, keep_world
from reconcilerd.simulator.faults import FaultPlan, faults_of
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.simulator.wire import CLIENT_ID, CLIENT_SECRET
from reconcilerd.tally import Histogram
from reconcilerd.transport.credentials import TokenRequest
from reconcilerd.transport.pool import in_process_transport
from reconcilerd.transport.post import Poster
from reconcilerd.transport.websocket import dialler
from reconcilerd.trial.stage import START, wire
from reconcilerd.web.exposition import text
from reconcilerd.web.meters import on_socket
from reconcilerd.web.sources import Sources
from tests.world.stage import policy, small_world

LIBRARIES = (*LOUD, "asyncio", "httpcore2.http11", "httpcore2.connection")
MINUTES = 40


@dataclass
class Cage:
    """The canaries, by where each sits."""

    chance: Random
    birds: dict[str, str] = field(default_factory=dict)

    def bird(self, where: str, *, plain: bool = False) -> str:
        """A new secret; one with signs that are written otherwise in a form, a text or an address, unless plain."""
        value = (
            f"{self.chance.getrandbits(80):020x}"
            + ("" if plain else '/+&"')
            + f"{self.chance.getrandbits(80):020x}"
        )
        self.birds[f"{where} {len(self.birds)}"] = value
        return value

    def seen_in(self, said: bytes) -> list[str]:
        """Where the canaries sit that are in there: whole or by half, in any usual writing."""
        return [where for where, value in self.birds.items() if any(form in said for form in forms(value))]


def forms(value: str) -> Iterator[bytes]:
    """A secret and its first half, as they are, in base 64 wherever they begin in it, and in addresses."""
    for piece in (value, value[: len(value) // 2]):
        yield from (each.encode() for each in {piece, quote(piece, safe=""), quote_plus(piece)})
        for before in range(3):
            # The signs at both ends depend on what stands beside it.
            yield b64encode(b"x" * before + piece.encode())[4:-4]


@dataclass
class Quoting(httpx.AsyncBaseTransport):
    """A vendor that takes canaries for credentials, hands out canaries for tokens, and quotes all it is sent."""

    inner: httpx.AsyncBaseTransport
    cage: Cage
    tokens: dict[str, str] = field(default_factory=dict)
    answered: int = 0
    quoted: int = 0
    arrived: set[str] = field(default_factory=set)
    """Canaries that came to it."""

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        known = [request.headers.get(name, "") for name in ("authorization", "x-shopify-access-token")]
        whole = f"{''.join(known)} {body.decode()} {request.url} {dict(request.headers)}"
        try:
            response = await self.inner.handle_async_request(self._known(request, body))
            said = await response.aread()
        except httpx.HTTPError as lost:
            raise type(lost)(f"{lost}: {whole}") from None
        if response.status_code == 200 and "access_token" in str(request.url) + said[:40].decode(
            "utf-8", "replace"
        ):
            return self._granted(response, said)
        chance = self.cage.chance.random()
        self.answered += 1
        if self.answered % 150 == 0:
            raise RuntimeError(f"a bug that quotes {whole}")
        if response.status_code < 400 and chance < 0.85:
            return httpx.Response(response.status_code, headers=response.headers, content=said)
        self.quoted += 1
        # Where a text is cut differs, and so does the piece of a secret that is left.
        padded = "e" * int(chance * 10_000 % 200) + whole
        answer = {"errors": [{"message": padded, "extensions": {"code": padded}}], "error": padded}
        return httpx.Response(response.status_code, headers=_plain(response.headers), json=answer)

    def _known(self, request: httpx.Request, body: bytes) -> httpx.Request:
        """The request with the credentials that the simulator knows."""
        headers = dict(request.headers)
        for name in ("authorization", "x-shopify-access-token"):
            scheme, _, value = headers.get(name, "").rpartition(" ")
            if scheme.lower() == "basic":
                self.arrived.update(b64decode(value).decode().split(":"))
                headers[name] = f"Basic {b64encode(f'{CLIENT_ID}:{CLIENT_SECRET}'.encode()).decode()}"
            elif value:
                self.arrived.add(value)
                headers[name] = f"{scheme} {self.tokens.get(value, value)}".strip()
        if b"client_secret=" in body:
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            self.arrived.update((form["client_id"], form["client_secret"]))
            body = urlencode({**form, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}).encode()
        headers.pop("content-length", None)
        return httpx.Request(
            request.method, request.url, headers=headers, content=body, extensions=request.extensions
        )

    def _granted(self, response: httpx.Response, said: bytes) -> httpx.Response:
        try:
            told = json.loads(said)
            canary = self.cage.bird("token")
            self.tokens[canary], told["access_token"] = told["access_token"], canary
        except (ValueError, KeyError, TypeError):
            return httpx.Response(response.status_code, headers=response.headers, content=said)
        return httpx.Response(response.status_code, headers=_plain(response.headers), json=told)


def _plain(headers: httpx.Headers) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name not in {"content-length", "content-encoding", "content-type"}
    }


@dataclass
class Receivers:
    """Where alerts go: each takes some, and refuses others with all that it was sent."""

    cage: Cage
    bodies: list[bytes] = field(default_factory=list)
    arrived: set[str] = field(default_factory=set)
    """Routing keys, tokens, and the addresses that were asked."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.arrived |= {str(request.url), request.headers.get("authorization", "")}
        said = request.content
        event = json.loads(said)
        if isinstance(event, dict):
            # The routing key is in the body by PagerDuty's own rules; nowhere else may it be.
            self.arrived.add(event.pop("routing_key", ""))
        self.bodies.append(json.dumps(event).encode())
        whole = (
            "e" * self.cage.chance.randrange(90) + f"{request.url} {dict(request.headers)} {said.decode()}"
        )
        match self.cage.chance.randrange(6):
            case 0:
                raise httpx.ConnectError(whole)
            case 1:
                return httpx.Response(500, text=whole)
            case 2:
                return httpx.Response(429, text=whole, headers={"retry-after": "3"})
            case 3:
                return httpx.Response(400, text=whole)
            case 4:
                return httpx.Response(404, text=f"{request.url} {whole}")
            case _:
                return httpx.Response(202 if "pager" in str(request.url) else 200, text="ok")


@dataclass
class Kept:
    """The daemon's journal, written in line: there is no other thread in virtual time."""

    ledger: Ledger

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        return self.ledger.append(facts, note=note)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the daemon and every library say at DEBUG."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in LIBRARIES}
    out = io.StringIO()
    configure("debug", lambda: START, redact, out)
    for name in ("", *LIBRARIES):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield out
    root.handlers[:], root.level = before[0], before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


def armed(wiring: Wiring, cage: Cage) -> Wiring:
    """The same daemon with a canary in each place for a vendor's credentials."""

    def endpoint(system: str, known: Endpoint) -> Endpoint:
        assert isinstance(known.auth, TokenRequest)
        pair = Secret(cage.bird(f"{system} client id")), Secret(cage.bird(f"{system} client secret"))
        return replace(known, auth=replace(known.auth, client_id=pair[0], client_secret=pair[1]))

    return replace(
        wiring,
        extensiv=endpoint("extensiv", wiring.extensiv),
        channels={ChannelName(name): endpoint(name, each) for name, each in wiring.channels.items()},
    )


def receivers_of(cage: Cage, post: Poster, clock: VirtualClock) -> tuple[list[Receiver], Heartbeat]:
    """One receiver of each kind, and a heartbeat, as their secrets are read from the configuration."""
    slack = Secret(f"https://hooks.slack.com/services/T00/B00/{cage.bird('slack', plain=True)}")
    beat = Secret(f"https://beat.example/{cage.bird('heartbeat', plain=True)}")
    user = Secret(cage.bird("alertmanager password", plain=True))
    key, old = Secret(cage.bird("pagerduty", plain=True)), Secret(cage.bird("pagerduty, old", plain=True))
    signing = Secret("whsec_" + b64encode(cage.bird("webhook").encode()).decode())
    made: list[Receiver] = [
        Slack(slack.reveal(), post.post),
        PagerDuty("https://pager.example", [key.reveal(), old.reveal()], "here", post.post),
        Webhook("https://hook.example", signing.reveal(), "here", post.post, clock),
        _bot(Secret(f"xoxb-{cage.bird('slack bot', plain=True)}"), post),
        Alertmanager(f"https://me:{user.reveal()}@alerts.example", "here", post.post),
    ]
    return made, Heartbeat(beat.reveal(), post.post, lambda: "")


def _bot(token: Secret, post: Poster) -> Receiver:
    """A second Slack beside the webhook, which no configuration may have."""
    bot = SlackBot("https://bot.example/api", token, "C0123ABCD", post.post, None, ("shop-uk",))
    bot.name = "slack bot"
    return bot


def buttons_of(cage: Cage, post: Poster) -> SocketMode:
    """What asks Slack again and again where to connect to."""

    async def take(payload: Mapping[str, object], app: str) -> None:
        raise AssertionError("nobody presses anything")

    token = Secret(f"xapp-{cage.bird('slack app', plain=True)}")
    return SocketMode("https://bot.example/api", token, post.post, dialler(()), take, Counter(), cage.chance)


REQUESTS: tuple[dict[str, object], ...] = (
    {"op": "status"},
    {"op": "metrics"},
    {"op": "breaker"},
    {"op": "reconcile", "all": True, "skus": []},
    {"op": "reconcile", "skus": ["a"], "fresh": True},
    {"op": "explain", "sku": "a"},
    {"op": "history", "sku": "a", "limit": 500},
    {"op": "plan"},
    {"op": "passes"},
    {"op": "audit"},
    {"op": "no such"},
)


def _everything_was_tried(cage: Cage, vendors: Sequence[Quoting], told: Receivers, log: str) -> None:
    """Every canary was used where it belongs, and quoted: else that none was seen proves nothing."""
    used = told.arrived.union(*(each.arrived for each in vendors))
    unused = [where for where, value in cage.birds.items() if not any(value in each for each in used)]
    tokens = [each for each in unused if each.startswith("token")]
    # The old routing key only closes, a signing secret and a password only sign; of tokens, some are never asked by.
    silent = {"pagerduty, old", "webhook", "alertmanager password"}
    assert {each.rpartition(" ")[0] for each in unused if each not in tokens} <= silent
    assert len(tokens) < len([each for each in cage.birds if each.startswith("token")]) / 2
    assert min(each.quoted for each in vendors) >= 5, [each.quoted for each in vendors]
    assert log.count("***") > 10
    assert "a bug that quotes" in log


@dataclass
class Life:
    """A daemon's life among vendors and receivers that quote; ``said``: all that came out, and of what."""

    seed: int
    folder: Path
    cage: Cage
    clock: VirtualClock
    told: Receivers
    vendors: list[Quoting] = field(default_factory=list)
    said: list[tuple[str, bytes]] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    """Requests that were answered with more than an error."""

    async def live(self) -> None:
        plan = FaultPlan(self.seed)
        world = small_world(WorldConfig(seed=self.seed), split=True)
        business = build(world, self.clock, plan)

        def transport() -> Quoting:
            self.vendors.append(Quoting(in_process_transport(business.app), self.cage))
            return self.vendors[-1]

        wiring = armed(wire(policy(split=True), self.clock, transport), self.cage)
        poster = Poster()
        poster._http = httpx.AsyncClient(transport=httpx.MockTransport(self.told))
        path = self.folder / "ledger.db"
        with Ledger.open(path, clock=self.clock, durable=False) as ledger:
            reader, journal = open_reader(path), Kept(ledger)
            receivers, beat = receivers_of(self.cage, poster, self.clock)
            engine = Engine(receivers, journal.append, self.clock)
            built = assemble(wiring, journal, engine)
            sources = Sources(built.daemon, built.clients, engine, path, Histogram())
            answers = answers_of(built, reader, None, {"metrics": on_socket(sources)})
            stop = anyio.Event()
            async with anyio.create_task_group() as group:
                buttons = buttons_of(self.cage, poster)
                for task in (partial(keep_world, world, self.clock, 1.0), engine.run, beat.run, buttons.stay):
                    group.start_soon(task)
                group.start_soon(built.daemon.run, stop)
                await anyio.sleep(300)
                plan.rates = faults_of("hostile").rates
                for number in range(MINUTES):
                    world.place_order("shop-uk", str(1000 + number), [("a", 1)], self.clock())
                    await engine.raise_("bug", f"s{number % 3}", "critical", "a test", {"why": "x"})
                    await anyio.sleep(60)
                    await self._ask(answers, REQUESTS if number % 10 == 9 else REQUESTS[:1])
                self.said += [("metrics", await text(sources)), ("alerts", repr(engine.seen()).encode())]
                self.said.append(("buttons", buttons.trouble.encode()))
                stop.set()
                await anyio.sleep(30)
                group.cancel_scope.cancel()
            self.said += [("ledger", repr(each).encode()) for each in ledger.entries()]
            reader.close()

    async def _ask(self, answers: Answers, requests: Sequence[dict[str, object]]) -> None:
        for request in requests:
            try:
                answer = await answers.answer(dict(request), "a test")
            except RuntimeError:
                # As the socket does with a request that met a bug.
                control.log.exception("control_request_broke")
                continue
            if "error" not in answer:
                self.answered.add(str(request["op"]))
            self.said.append((f"answer to {request['op']}", json.dumps(answer, default=str).encode()))


@pytest.mark.parametrize("seed", [1, 2])
def test_no_secret_comes_out_whatever_fails(tmp_path: Path, log: io.StringIO, seed: int) -> None:
    cage = Cage(Random(seed))
    life = Life(seed, tmp_path, cage, VirtualClock(START), Receivers(cage))
    run_virtual(life.live)
    lines = log.getvalue()
    said = [*life.said, ("log", lines.encode())]
    said += [("journal", entry_of(fields_of(json.loads(line)))) for line in lines.splitlines()]
    said += [(file.name, file.read_bytes()) for file in tmp_path.rglob("*") if file.is_file()]
    said += [("alert", body) for body in life.told.bodies]
    found = [(place, where) for place, each in said for where in cage.seen_in(each)]
    assert not found, found[:10]
    assert life.answered == {each["op"] for each in REQUESTS} - {"no such"}
    _everything_was_tried(cage, life.vendors, life.told, lines)
