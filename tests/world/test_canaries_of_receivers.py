"""Secrets that libraries hold in threads of their own, and those of who may ask: none comes out, whatever is refused.

Like ``test_canaries``, over real sockets: what these receivers speak is not ours to carry.
"""

import io
import json
import logging
import socketserver
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from random import Random
from threading import Thread
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from typing_extensions import override

from reconcilerd.alerting.apprise_urls import Services
from reconcilerd.alerting.engine import Engine, Receiver
from reconcilerd.alerting.mail import Mail, Server
from reconcilerd.alerting.trying import try_all
from reconcilerd.cli.receivers import secrets_of
from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.transport.pool import tls_context
from reconcilerd.trial.stage import START
from reconcilerd.web.app import Wall, build
from reconcilerd.web.roles import Role
from tests.alerting.test_slack_bot import notice
from tests.cli.test_receivers import BUTTONS, alerts_of
from tests.world.test_canaries import Cage
from tests.world.test_canaries import log as log  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


@dataclass
class Parrot:
    """Servers that refuse by turns, and quote all that they were sent."""

    heard: list[str] = field(default_factory=list)
    turn: int = 0

    def answer(self, said: str) -> int:
        """How the next one is answered: whether it is taken, refused for good, or for now."""
        self.heard.append(said)
        self.turn += 1
        return self.turn % 4


@contextmanager
def mail_server(parrot: Parrot) -> Iterator[int]:
    """SMTP as far as a log-in and one message need it; its port."""

    class Handler(socketserver.StreamRequestHandler):
        @override
        def handle(self) -> None:
            self._say("220 here")
            while line := self.rfile.readline().decode().strip():
                verb, _, rest = line.partition(" ")
                parrot.heard.append(line)
                match verb.upper():
                    case "EHLO":
                        self._say("250-here\r\n250 AUTH PLAIN")
                    case "AUTH":
                        word = b64decode(rest.partition(" ")[2]).decode()
                        how = parrot.answer(word)
                        known = word.replace("\0", " ")
                        if how == 0:
                            return
                        self._say(
                            {1: "235 in", 2: f"535 no {rest} {known}", 3: f"454 later {rest} {known}"}[how]
                        )
                    case "MAIL":
                        self._say(f"550 {' '.join(parrot.heard[-3:])}".replace("\0", " "))
                    case "QUIT":
                        self._say("221 bye")
                        return
                    case _:
                        self._say("250 ok")

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with serving(socketserver.TCPServer(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextmanager
def web_server(parrot: Parrot) -> Iterator[int]:
    """Takes JSON from apprise, or does not; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = self.rfile.read(int(self.headers["Content-Length"])).decode()
            whole = f"{unquote(self.path)} {self.headers} {said}"
            word = b64decode(self.headers["Authorization"].split()[1]).decode()
            how = parrot.answer(f"{word} {whole}")
            self.send_response({0: 500, 1: 200, 2: 401, 3: 429}[how])
            self.end_headers()
            self.wfile.write(f"{word} {whole}".encode())

        @override
        def log_message(self, *_: Any) -> None: ...

    with serving(HTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    with server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield int(server.socket.getsockname()[1])
        server.shutdown()


async def no_post(*_: Any) -> Any:
    raise AssertionError("neither speaks by ours")


async def told_again_and_again(receivers: Sequence[Receiver], say: Callable[[object], None]) -> None:
    """As the engine does, and as a person who tries them does."""
    facts: list[object] = []

    async def journal(some: Sequence[object]) -> None:
        facts.extend(some)

    engine = Engine(receivers, journal, lambda: START)
    for receiver in receivers:
        for turn in range(9):
            await engine._try(receiver, [notice(f"s{turn}")])
            say(engine._trouble)
    for _ in range(5):
        names = [each.name for each in receivers]
        say(await try_all(lambda _: receivers, no_post, names, "critical", "me", START, resolve=True))
    say(facts)
    say(engine.deliveries)
    say(receivers)
    assert engine.deliveries["mail", "refused"]
    assert engine.deliveries["mail", "failed"]
    assert engine.deliveries["apprise", "ok"]
    assert engine.deliveries["apprise", "failed"]


async def test_neither_mail_nor_apprise_brings_a_secret_out(log: io.StringIO) -> None:
    cage, said = Cage(Random(3)), list[str]()
    password, token = cage.bird("smtp"), cage.bird("apprise", plain=True)
    for name in ("apprise", "urllib3", "requests", "smtplib"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    mail, web = Parrot(), Parrot()
    with mail_server(mail) as mail_port, web_server(web) as web_port:
        server = Server("127.0.0.1", mail_port, "me", Secret(password).reveal(), tls=False)
        urls = Secret(f"json://me:{token}@127.0.0.1:{web_port}/{token}").reveal().split()
        receivers: list[Receiver] = [Mail(server, "a@b.c", ["d@e.f"], tls_context()), Services(urls)]
        await told_again_and_again(receivers, lambda each: said.append(repr(each)))
    assert any(password in each for each in mail.heard), "it was used where it belongs"
    assert any(token in each for each in web.heard)
    everything = "\n".join([*said, log.getvalue()]).encode()
    assert not cage.seen_in(everything)
    assert b64encode(f"me:{token}".encode()) not in everything


WRONG = {
    "slack_webhook": "http://example.com/{}",
    "slack_bot_token": "xoxp-{}",
    "slack_app_token": "xoxb-{}",
    "pagerduty_routing_key": "{}",
    "pagerduty_old_routing_key": "{}",
    "webhook_url": "https://user@example.com/{}",
    "webhook_secret": "whsec_{}!",
    "apprise_urls": "json://example.com/{} nonsense://{}",
    "heartbeat_url": "https://169.254.169.254/{}",
}
"""By its key in the configuration, what has something about it that is refused."""


@pytest.mark.parametrize("bot", [True, False])
def test_a_secret_that_cannot_be_what_it_should_is_not_repeated(bot: bool) -> None:
    cage = Cage(Random(4))
    left_out = {"slack_webhook"} if bot else {"slack_bot_token", "slack_app_token"}
    wrong = {key: text for key, text in WRONG.items() if key not in left_out}
    env = {key.upper(): text.replace("{}", cage.bird(key, plain=True)) for key, text in wrong.items()}
    tokens = {"slack_bot_token": "slack_bot_token", "slack_app_token": "slack_app_token"}
    alerts = alerts_of(**(BUTTONS | tokens if bot else {}), apprise_urls="apprise_urls")
    faults: list[str] = []
    secrets_of(alerts, env, faults)
    assert {each.partition(":")[0] for each in faults} >= {f"alerts.{key}" for key in wrong}, faults
    assert not cage.seen_in("\n".join(faults).encode())


async def test_the_token_of_the_page_is_in_no_answer_and_no_line(log: io.StringIO) -> None:
    cage, turned = Cage(Random(5)), list[str]()
    token = cage.bird("page")
    tokens = {Role.READ: Secret(token), Role.ADMIN: Secret(cage.bird("page of an admin"))}
    wall = Wall(lambda: Instant(START), tokens=tokens, turned_away=turned.append)
    said = [repr(wall)]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(build([], wall)), base_url="http://127.0.0.1"
    ) as client:
        for value in (token[:-1], f"{token}x", token.upper(), "", token):
            for path in ("/", f"/?token={token[:4]}", "/no/such/page"):
                answer = await client.get(path, headers={"Authorization": f"Bearer {value}"})
                said.append(f"{answer.headers} {answer.text}")
    assert turned
    lines = [each for each in log.getvalue().splitlines() if '"httpx"' not in each]
    assert any(json.loads(each)["event"] == "web_token_refused" for each in lines if each.startswith("{"))
    assert not cage.seen_in("\n".join([*said, *turned, log.getvalue()]).encode())
