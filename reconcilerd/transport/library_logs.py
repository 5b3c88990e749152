"""What the HTTP libraries log, without its secrets.

httpx writes whole URLs at INFO (a webhook's path is a secret), httpcore2 whole response headers at DEBUG. The
program's own logging keeps both quiet; this holds whatever level somebody sets.
"""

import logging
from typing import Final

import stamina
from typing_extensions import override

from reconcilerd.config.secret import redact

LOGGERS: Final = (
    "httpx",
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore2.proxy",
    "httpcore2.socks",
)


class _Redacted(logging.Filter):
    @override
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        return True


_FILTER: Final = _Redacted()


def redact_library_logs() -> None:
    """Put the filter on each logger that writes (filters are not inherited). Asking twice is asking once."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
    # stamina tells of a block without a name; whoever retries says more.
    stamina.instrumentation.set_on_retry_hooks(())
