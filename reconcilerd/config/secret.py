"""A secret that does not show itself, and the redaction of every text that might hold one."""

import hmac
import json
import re
from base64 import b64encode
from typing import Final, NoReturn
from urllib.parse import quote, quote_plus

from typing_extensions import override

MASK: Final = "***"

_known: set[str] = set()
_PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<=authorization: )[^\r\n]+",
        r"(?<=bearer )[\w\-.~+/=]+",
        r"(?<=basic )[A-Za-z0-9+/=]{8,}",
        r"(?<![\w-])(?:access_token|refresh_token|client_secret)=[^&\s\"']+",
        r"(?<=[?&])(?:access_token|client_secret|api_key|code|token|secret)=[^&\s\"']+",
        r"(?<=\")(?:access_token|refresh_token|client_secret|api_key|routing_key)\"\s*:\s*\"[^\"]+",
        r"\b(?:xapp|xox[a-z])-[\w-]+",
        r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]+",
        r"(?<=hooks\.slack\.com/services/)[\w/]+",
        r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",
    )
)


class Secret:
    """A credential. Only ``reveal`` gives it away; text, repr, format and pickle do not.

    ``public``: an everyday word (the simulator's client id); texts that happen to hold it stay whole.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str, *, public: bool = False) -> None:
        self._value = value
        if len(value) >= 6 and not public:
            _known.update(_forms(value))

    def reveal(self) -> str:
        return self._value

    def forget(self) -> None:
        """No text holds it any more: an old token need not be looked for in every line for ever."""
        _known.difference_update(_forms(self._value))

    @override
    def __repr__(self) -> str:
        return f"Secret({MASK})"

    @override
    def __str__(self) -> str:
        return MASK

    @override
    def __format__(self, _spec: str) -> str:
        return MASK

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(other._value.encode(), self._value.encode())

    @override
    def __hash__(self) -> int:
        return hash(("Secret", self._value))


def _forms(value: str) -> set[str]:
    """A secret as it is, and as it stands in a form, an address, a JSON text or a header."""
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {value, quote(value, safe=""), quote_plus(value), b64encode(value.encode()).decode(), *escaped}


def redact(text: str) -> str:
    """The text without any secret this process holds, and without what looks like one."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, MASK)
    for pattern in _PATTERNS:
        text = pattern.sub(MASK, text)
    return text
