"""Passes and calls become spans as OpenTelemetry names them; none holds a secret, and nobody pays who does not ask."""

import gzip
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import anyio
import httpx
import pytest
from typing_extensions import override

from reconcilerd.cli.wiring import wire
from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.errors import ConfigFault, ReconcilerdError
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call, Client, RetryRule
from reconcilerd.transport.lane import Lane, LaneSpec, Priority
from tests.world.stage import Stage, play, policy, small_world

pytest.importorskip(
    "opentelemetry.sdk", reason="the extra otel is not installed: pip install 'reconcilerd[otel]'"
)

import anyio.lowlevel
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from reconcilerd.web import tracing

ROOT = Path(__file__).parents[2]
CANARY = "canary-in-an-address"


def spans_of(answer: Callable[[httpx.Request], httpx.Response], *, tries: int = 3) -> list[ReadableSpan]:
    """The spans of one call to a system that answers so."""
    seen = InMemorySpanExporter()
    tracer, end = tracing.traced_by(SimpleSpanProcessor(seen))
    Secret(CANARY)

    async def main() -> None:
        clock = VirtualClock(Instant(1_000_000))
        client = Client(
            "shop",
            "https://shop.example:8443/base",
            transport=httpx.MockTransport(answer),
            auth=None,
            lanes=[Lane(LaneSpec("read", 10, 10), clock)],
            clock=clock,
            retry=RetryRule(tries=tries),
            tracer=tracer,
        )
        query = (("sku", "MUG"), ("token", CANARY), ("access_token", "unknown-to-us"))
        try:
            await client.send(
                Call("GET", "/v1/orders", "read", Priority.STOCK, query, operation="/v1/orders")
            )
        except ReconcilerdError:
            await anyio.lowlevel.checkpoint()

    run_virtual(main)
    end()
    return list(seen.get_finished_spans())


def told(span: ReadableSpan) -> Mapping[str, object]:
    assert span.attributes is not None
    return span.attributes


def test_a_call_is_told_as_the_conventions_for_clients_say() -> None:
    (span,) = spans_of(lambda _request: httpx.Response(200))
    assert (span.name, span.kind) == ("GET /v1/orders", SpanKind.CLIENT)
    assert {key: value for key, value in told(span).items() if key != "url.full"} == {
        "http.request.method": "GET",
        "server.address": "shop.example",
        "server.port": 8443,
        "http.response.status_code": 200,
        "url.template": "/v1/orders",
        "reconcilerd.system": "shop",
    }
    assert str(told(span)["url.full"]).startswith("https://shop.example:8443/base/v1/orders?sku=MUG")
    assert span.status.status_code is StatusCode.UNSET


def test_no_secret_is_in_any_span() -> None:
    def quoting(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError(f"cannot read {request.url}")

    for span in (*spans_of(lambda _: httpx.Response(200)), *spans_of(quoting)):
        text = span.to_json()
        assert CANARY not in text
        assert "unknown-to-us" not in text
        assert "***" in text
        assert not span.events


def test_a_try_again_is_a_span_of_its_own_that_says_so() -> None:
    answers = iter([503, 429, 200])
    first, second, third = spans_of(lambda _: httpx.Response(next(answers)))
    assert [told(each).get("http.request.resend_count") for each in (first, second, third)] == [None, 1, 2]
    assert [told(each).get("error.type") for each in (first, second, third)] == [
        "try_later",
        "throttled",
        None,
    ]
    assert [each.status.status_code for each in (first, second)] == [StatusCode.ERROR] * 2


def test_a_pass_says_what_it_came_to() -> None:
    seen = InMemorySpanExporter()
    tracer, end = tracing.traced_by(SimpleSpanProcessor(seen))

    def prepare(stage: Stage) -> None:
        stage.built.daemon.passes.tracer = tracer

    async def scene(_stage: Stage) -> None:
        await anyio.sleep(300)

    stage = play(small_world(WorldConfig(), split=True), policy(split=True), scene, prepare=prepare)
    end()
    passes = [each for each in seen.get_finished_spans() if each.name == "pass"]
    planned = sum(fact.kind == "correction" for fact in stage.journal.facts)
    assert sum(int(str(told(each)["pass.sent"])) for each in passes) == planned > 0


def test_what_breaks_under_a_span_leaves_its_kind_and_not_its_words() -> None:
    seen = InMemorySpanExporter()
    tracer, end = tracing.traced_by(SimpleSpanProcessor(seen))
    with pytest.raises(KeyError), tracer("pass", "internal", {}):
        raise KeyError(CANARY)
    end()
    (span,) = seen.get_finished_spans()
    assert told(span) == {"error.type": "KeyError"}
    assert CANARY not in span.to_json()


def test_a_collector_that_is_away_does_not_keep_us_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "FLUSH_S", 0.05)
    never, gone = threading.Event(), threading.Event()

    class Stuck(SimpleSpanProcessor):
        @override
        def shutdown(self) -> None:
            never.wait(5)
            gone.set()

    _, end = tracing.traced_by(Stuck(InMemorySpanExporter()))
    end()
    assert not gone.is_set()
    never.set()


def test_spans_arrive_at_a_collector() -> None:
    arrived: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.append((self.path, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body))
            self.send_response(200)
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        tracer, end = tracing.traced_to(f"http://127.0.0.1:{server.server_port}/v1/traces")
        with tracer("a pass of the test", "internal", {"pass.groups": 7}):
            pass
        end()
        server.shutdown()
        thread.join(10)
    ((path, body),) = arrived
    assert path == "/v1/traces"
    assert b"a pass of the test" in body
    assert b"pass.groups" in body


def test_who_does_not_trace_imports_nothing_of_it() -> None:
    code = "import sys, reconcilerd.cli.run; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_a_collector_without_the_extra_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    shipped = (ROOT / "config.toml").read_text("utf-8")
    config.write_text(shipped + '\n[tracing]\notlp_url = "http://127.0.0.1:4318/v1/traces"\n', "utf-8")
    assert wire(config).settings.tracing.otlp_url == "http://127.0.0.1:4318/v1/traces"
    monkeypatch.setattr("reconcilerd.cli.wiring.find_spec", lambda _name: None)
    with pytest.raises(ConfigFault, match=r"tracing\.otlp_url: .*pip install 'reconcilerd\[otel\]'"):
        wire(config)
