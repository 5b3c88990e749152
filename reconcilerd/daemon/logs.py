"""Structured logs: one JSON line an event, or one entry of the journal; no secret in any of them at any level."""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor
from typing_extensions import override

from reconcilerd.daemon.journal import Journal, fields_of, is_ours
from reconcilerd.domain.names import Instant, format_instant

LOUD = ("httpx", "httpcore", "httpcore2", "stamina", "uvicorn")


def configure(
    level: str, clock: Callable[[], Instant], redact: Callable[[str], str], stream: TextIO | None = None
) -> None:
    """Set up structlog and route the standard library's logging through the same redaction.

    Where no ``stream`` is named and standard error is the journal's, events go there with a field a key.
    """
    number = logging.getLevelNamesMapping()[level.upper()]

    def stamp(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event["at"] = format_instant(clock())
        return event

    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        stamp,
        # Frame locals would print whatever secret a function holds.
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        lambda _logger, _method, event: _clean(event, redact),
    ]
    out = stream or sys.stderr
    journal = Journal() if stream is None and is_ours(out) else None
    if journal is None:
        processors.append(lambda _logger, _method, event: msgspec.json.encode(event, enc_hook=str).decode())
    else:
        processors.append(lambda _logger, _method, event: ((fields_of(event),), {}))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(out)
        if journal is None
        else lambda *_: _ToJournal(journal),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out) if journal is None else _JournalHandler(journal, redact)
    handler.setFormatter(_Plain(clock, redact) if journal is None else logging.Formatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)


def _clean(value: MutableMapping[str, Any], redact: Callable[[str], str]) -> dict[str, Any]:
    return {str(key): _cleaned(each, redact) for key, each in value.items()}


def _cleaned(value: Any, redact: Callable[[str], str]) -> Any:
    match value:
        case str():
            return _utf8(redact(value))
        case dict():
            return _clean(value, redact)
        case list() | tuple():
            return [_cleaned(each, redact) for each in value]
        case int() | float() | None:
            return value
        case _:
            return _utf8(redact(str(value)))


def _utf8(text: str) -> str:
    """The text without what UTF-8 cannot carry: no event may break the log."""
    return text.encode("utf-8", "replace").decode()


class _ToJournal:
    """A logger of structlog that writes what it is handed to the journal."""

    def __init__(self, journal: Journal) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = journal.write


class _JournalHandler(logging.Handler):
    """The standard library's logging into the journal, redacted, its traceback without locals."""

    def __init__(self, journal: Journal, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._journal = journal
        self._redact = redact

    @override
    def emit(self, record: logging.LogRecord) -> None:
        event = {
            "event": _utf8(self._redact(self.format(record))),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        self._journal.write(fields_of(event))


class _Plain(logging.Formatter):
    """A line of the standard library's logging as JSON, redacted, its traceback without locals."""

    def __init__(self, clock: Callable[[], Instant], redact: Callable[[str], str]) -> None:
        super().__init__()
        self._clock = clock
        self._redact = redact

    @override
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": format_instant(self._clock()),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _utf8(self._redact(super().format(record))),
        }
        return msgspec.json.encode(line).decode()
