"""Buttons as a daemon has them: a process of its own, Slack on this machine over HTTP and a WebSocket."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconcilerd.alerting.buttons import Button, Do
from reconcilerd.cli.wall import now
from reconcilerd.simulator.serve import serve
from tests.alerting.presses import ANN, BOB, CHANNEL, EVE, TEAM, payload
from tests.alerting.socket_mode import TOKEN, FakeSocketMode
from tests.cli.programs import COLUMNS, PATIENCE_S, run, running, trading
from tests.cli.test_alerts import ask, named

BOT = "xoxb-swordfish-2"


@dataclass
class Workspace:
    """Slack over real connections. ``said``: what was posted, by method."""

    socket: FakeSocketMode = field(default_factory=FakeSocketMode)
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    port: int = 0

    async def _method(self, request: Request) -> Response:
        name, body = request.path_params["name"], json.loads(await request.body())
        authorization = request.headers["authorization"]
        if name == "apps.connections.open":
            url = f"http://x/api/{name}"
            status, text, _ = await self.socket.post(url, body, {"authorization": authorization})
            return Response(text, status, media_type="application/json")
        if authorization != f"Bearer {BOT}":
            return JSONResponse({"ok": False, "error": "invalid_auth"})
        if body["channel"] != CHANNEL:
            return JSONResponse({"ok": False, "error": "channel_not_found"})
        self.said.append((name, body))
        return JSONResponse({"ok": True, "channel": CHANNEL, "ts": f"{len(self.said)}.000100"})

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        app = Starlette(routes=[Route("/api/{name}", self._method, methods=["POST"])])
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.socket.serving())
            group = await stack.enter_async_context(anyio.create_task_group())
            self.port = await group.start(serve, app, 0)
            yield
            group.cancel_scope.cancel()

    async def press(self, button: Button, user: str = ANN) -> None:
        await self.socket.push(payload(button, now(), user))

    def texts(self, method: str) -> list[str]:
        return [body["text"] for name, body in self.said if name == method]

    def buttons(self) -> list[Button]:
        """Those of the last reply that has any."""
        for name, body in reversed(self.said):
            rows = [each for each in body.get("blocks", []) if each["type"] == "actions"]
            if name == "chat.postMessage" and "thread_ts" in body and rows:
                return [Button(*_fields(each["value"])) for each in rows[0]["elements"]]
        return []


def _fields(value: str) -> tuple[Any, ...]:
    do, *rest = json.loads(value)
    return Do(do), *rest


async def until(what: Any) -> None:
    with anyio.fail_after(120):
        while not what():
            await anyio.sleep(0.1)


def wired(config: Path, port: int) -> None:
    """A bot with buttons in a workspace on this machine."""
    named(config, slack_bot_token=BOT, slack_app_token=TOKEN)
    text = config.read_text("utf-8")
    people = f'approve = ["{ANN}"]\nfreeze = ["{ANN}"]\nunfreeze = ["{ANN}", "{BOB}"]'
    keys = (
        f'slack_channel = "{CHANNEL}"\nslack_team = "{TEAM}"\nslack_api_url = "http://127.0.0.1:{port}/api"'
    )
    text = text.replace("[alerts]\n", f"[alerts]\n{keys}\n", 1)
    config.write_text(f"{text}\n[alerts.people]\n{people}\n", "utf-8")


async def test_a_person_lifts_a_freeze_from_slack_and_a_stranger_is_refused(tmp_path: Path) -> None:
    slack = Workspace()

    async def asked(*args: str) -> Any:
        return (await to_thread.run_sync(lambda: ask(config, *args)))[1]

    async def ran(*args: str) -> str:
        done = await to_thread.run_sync(lambda: run(tmp_path, *args, "--config", str(config)))
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def until_heard() -> None:
        while (await asked("alerts"))["buttons"] != "":
            await anyio.sleep(0.2)

    with trading(tmp_path, harmed=False) as config:
        async with slack.open():
            wired(config, slack.port)
            with running(tmp_path, "run", "--config", str(config)) as daemon:
                await until(lambda: slack.socket.open)
                told = await asked("alerts")
                assert (told["buttons"], told["receivers"]) == ("", ["slack"])
                channel = (await asked("status"))["channels"][0]["channel"]
                await ran("freeze", "--channel", channel, "--reason", "count <!here>")
                look = Button(Do.LOOK_UNFREEZE, "reconcilerd/paused_too_long/x", 1, channel)
                await slack.press(look, EVE)
                await until(lambda: slack.texts("chat.postEphemeral"))
                assert "You may not unfreeze" in slack.texts("chat.postEphemeral")[0]
                await slack.press(look)
                await until(slack.buttons)
                [allow] = slack.buttons()
                assert "count &lt;!here&gt;" in slack.texts("chat.postMessage")[-1]
                await slack.socket.hang_up()
                await slack.press(allow, BOB)
                await until(lambda: f"<@{BOB}> allowed writes" in slack.texts("chat.postMessage")[-1])
                assert (await asked("status"))["freezes"] == []
                await until(lambda: not slack.socket.unacknowledged)
                slack.socket.token = "xapp-another"
                await slack.socket.hang_up()
                await until(lambda: "invalid_auth" in (tmp_path / "log").read_text("utf-8"))
                assert "invalid_auth" in (await asked("alerts"))["buttons"]
                text = await ran("alerts")
                assert "BUTTONS IN SLACK ARE NOT HEARD: Slack answered invalid_auth" in text
                assert max(map(len, text.splitlines())) <= COLUMNS
                (tmp_path / "secret-slack_app_token").write_text("xapp-another", "utf-8")
                await ran("reload")
                await until(lambda: slack.socket.open)
                await until_heard()
                await slack.press(allow, ANN)
                await until(lambda: "is not frozen any more" in slack.texts("chat.postEphemeral")[-1])
                daemon.terminate()
                assert await to_thread.run_sync(lambda: daemon.wait(PATIENCE_S)) == 0
    log = (tmp_path / "log").read_text("utf-8")
    assert "slack_buttons_heard" in log
    assert "swordfish" not in log
    assert "ticket-canary" not in log
