"""OpenTelemetry: passes and calls as spans, sent to a collector. Only with ``pip install 'reconcilerd[otel]'``.

Imported only where the configuration names a collector.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode

from reconcilerd import __version__
from reconcilerd.spans import Kind, Span, Tracer, Value

KINDS: Final[Mapping[Kind, SpanKind]] = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}
FLUSH_S: Final = 2.0
"""What is still to be sent at the end may take so long; a collector that is away must not keep us from stopping."""


class _Told:
    """A span of ours, as OpenTelemetry has it."""

    def __init__(self, span: OtelSpan) -> None:
        self._span = span
        self.failed = False

    def set(self, key: str, value: Value) -> None:
        self._span.set_attribute(key, value)
        if key == "error.type":
            self.failed = True
            self._span.set_status(Status(StatusCode.ERROR))


def traced_by(processor: SpanProcessor) -> tuple[Tracer, Callable[[], None]]:
    """A tracer that hands its spans to a processor, and what ends it within ``FLUSH_S``."""
    resource = Resource.create({"service.name": "reconcilerd", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("reconcilerd", __version__)

    @contextmanager
    def spans(name: str, kind: Kind, attributes: Mapping[str, Value]) -> Iterator[Span]:
        with tracer.start_as_current_span(
            name,
            kind=KINDS[kind],
            attributes=attributes,
            # What an exception says may hold what a reply said: its kind is enough.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            told = _Told(span)
            try:
                yield told
            except BaseException as error:
                if not told.failed:
                    told.set("error.type", type(error).__name__)
                raise

    def end() -> None:
        last = Thread(target=provider.shutdown, daemon=True)
        last.start()
        last.join(FLUSH_S)

    return spans, end


def traced_to(url: str) -> tuple[Tracer, Callable[[], None]]:
    """A tracer that sends its spans to a collector by OTLP over HTTP, from a thread of its own."""
    return traced_by(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
