"""Alerts as an operator has them: a daemon with a receiver on this machine, asked by commands; and without one."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from tests.cli.programs import COLUMNS, PATIENCE_S, run, running, trading, wait_until


class _Hook(BaseHTTPRequestHandler):
    """Slack's incoming webhook, and a dead man's switch, as far as a sender can tell."""

    heard: list[tuple[str, str]]
    answer = (200, "ok")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.heard.append((self.path, body))
        status, text = self.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def hook() -> Iterator[tuple[str, type[_Hook]]]:
    """Its address, and what it heard."""
    kind = type("Hook", (_Hook,), {"heard": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", kind
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def named(config: Path, **secrets: str) -> None:
    """Name secrets under [alerts], each in a file that only we can read."""
    lines = ""
    for key, value in secrets.items():
        file = config.parent / f"secret-{key}"
        file.write_text(value, "utf-8")
        file.chmod(0o600)
        lines += f'{key} = "file:{file}"\n'
    text = config.read_text("utf-8")
    text = (
        text.replace("[alerts]\n", f"[alerts]\n{lines}")
        if "[alerts]\n" in text
        else f"{text}\n[alerts]\n{lines}"
    )
    config.write_text(text, "utf-8")


def ask(config: Path, *args: str) -> tuple[int, Any]:
    done = run(config.parent, *args, "--json", "--config", str(config))
    return done.returncode, json.loads(done.stdout or done.stderr)


def test_an_operator_tests_silences_and_is_told_and_the_heart_beats_once_all_is_read(tmp_path: Path) -> None:
    with hook() as (address, heard), trading(tmp_path) as config:
        named(config, slack_webhook=f"{address}/slack", heartbeat_url=f"{address}/heart")
        with running(tmp_path, "run", "--config", str(config)) as daemon:
            wait_until("the daemon to answer", lambda: ask(config, "status")[1].get("daemon") is True)
            code, tested = ask(config, "alerts", "test", "slack", "--severity", "info")
            assert (code, [each["status"] for each in tested["receivers"][0]["steps"]]) == (0, [200, 200])
            assert sum("[TEST]" in body for path, body in heard.heard if path == "/slack") == 2
            code, silenced = ask(
                config, "alerts", "silence", "--kinds", "*", "--for", "2h", "--reason", "a drill"
            )
            assert code == 0
            id_ = silenced["silence"]["id"]
            status = run(tmp_path, "status", "--config", str(config))
            assert f"SILENCE * of * until {silenced['silence']['until']}"[:COLUMNS] in status.stdout
            assert [each["id"] for each in ask(config, "alerts", "list")[1]["silences"]] == [id_]
            assert ask(config, "alerts", "unsilence", id_)[0] == 0
            assert ask(config, "alerts", "unsilence", id_)[0] == 6
            assert ask(config, "alerts", "show", "bug/nothing")[0] == 6
            assert ask(config, "alerts", "resend")[0] == 0
            heard.answer = (404, "no_service")
            code, refused = ask(config, "alerts", "test")
            assert (code, refused["receivers"][0]["steps"][0]["reply"]) == (
                5,
                "Slack answered 404 no_service",
            )
            heard.answer = (200, "ok")
            wait_until("the heart to beat", lambda: "/heart" in {path for path, _ in heard.heard}, 120)
            daemon.terminate()
            assert daemon.wait(PATIENCE_S) == 0
        offline = ask(config, "alerts", "list")[1]
        assert (offline["daemon"], offline["receivers"], offline["silences"]) == (False, ["slack"], [])
        code, silenced = ask(
            config, "alerts", "silence", "--kinds", "bug", "--for", "1d", "--reason", "known"
        )
        assert (code, silenced["silence"]["by"]) == (0, f"uid {os.getuid()}")
        assert [each["kinds"] for each in ask(config, "alerts", "list")[1]["silences"]] == ["bug"]
        assert ask(config, "alerts", "resend")[0] == 8


def test_receivers_are_tried_before_the_first_start(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text((Path(__file__).parents[2] / "config.toml").read_text("utf-8"), "utf-8")
    assert ask(config, "alerts", "test")[0] == 2
    with hook() as (address, heard):
        named(config, slack_webhook=f"{address}/slack")
        done = run(tmp_path, "alerts", "test", "--no-resolve", "--config", str(config))
        assert done.returncode == 0, done.stderr
        assert "accepted" in done.stdout
        assert len(heard.heard) == 1
    assert not (tmp_path / "reconcilerd.db").exists()


@pytest.mark.parametrize("text", ["2", "h", "2w", "-2h", "2.5h", "12345678s", "1h30m", "0s", "00d"])
def test_a_time_that_is_none_is_refused_with_how_to_write_it(tmp_path: Path, text: str) -> None:
    done = run(tmp_path, "alerts", "silence", "--kinds", "bug", "--reason", "why", f"--for={text}")
    assert done.returncode == 2
    assert "write it like 30m, 2h or 1d" in " ".join(done.stderr.split())


def test_a_reload_tells_others_from_then_on_and_a_rotated_address_is_taken_over(tmp_path: Path) -> None:
    with hook() as (address, heard), trading(tmp_path, harmed=False) as config:
        nobody = config.read_text("utf-8")

        def reloaded() -> str:
            done = run(tmp_path, "reload", "--config", str(config))
            assert done.returncode == 0, done.stderr
            return done.stdout

        def tested() -> set[str]:
            before = len(heard.heard)
            assert ask(config, "alerts", "test")[0] == 0
            return {path for path, body in heard.heard[before:] if "[TEST]" in body}

        with running(tmp_path, "run", "--config", str(config)) as daemon:
            wait_until("the daemon to answer", lambda: ask(config, "status")[1].get("daemon") is True)
            assert ask(config, "alerts", "list")[1]["receivers"] == []
            named(config, slack_webhook=f"{address}/one", heartbeat_url=f"{address}/heart")
            assert "alerts.slack_webhook" in reloaded()
            assert tested() == {"/one"}
            wait_until("the heart to beat", lambda: "/heart" in {path for path, _ in heard.heard}, 120)
            (tmp_path / "secret-slack_webhook").write_text(f"{address}/two", "utf-8")
            reloaded()
            assert tested() == {"/two"}
            (tmp_path / "secret-slack_webhook").write_text("http://10.0.0.7/x", "utf-8")
            refused = run(tmp_path, "reload", "--config", str(config))
            assert (refused.returncode, "alerts.slack_webhook: " in refused.stderr) == (2, True)
            assert tested() == {"/two"}
            config.write_text(nobody, "utf-8")
            reloaded()
            assert ask(config, "alerts", "list")[1]["receivers"] == []
            daemon.terminate()
            assert daemon.wait(PATIENCE_S) == 0
    log = (tmp_path / "log").read_text("utf-8")
    assert "task_broke" not in log
