"""Reads the configuration whole: every fault at once, with its place and, where it helps, what was meant.

Never repeats a value that could be a secret: those stand under ``auth``, ``alerts``, ``web`` and ``webhooks``, and
what is meant for one key there is soon written at another; tables are not shown anywhere.
"""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reconcilerd.config.agreement import Loc, Parts, disagreements, meant, place_of
from reconcilerd.config.defaults import model_in
from reconcilerd.config.fields import warehouse_id
from reconcilerd.config.secret import redact
from reconcilerd.config.settings import (
    AgesSection,
    AlertsSection,
    ChannelSection,
    DemandSection,
    ExtensivSection,
    FreezeSection,
    LedgerSection,
    PoolSection,
    ScheduleSection,
    Section,
    SentinelSection,
    Settings,
    WebhooksSection,
    WebSection,
)
from reconcilerd.errors import ConfigFault

MAX_FAULTS: Final = 50
MAX_BYTES: Final = 1_000_000
_SHY: Final = frozenset({"auth", "alerts", "web", "webhooks"})

RENAMED: Final = {
    "scarcity_switch": 'did you mean mode = "adaptive"? It is shared and turns split while nearly sold out; '
    'mode = "shared" never does'
}
"""Keys of earlier versions, and what says the same now."""

SectionT = TypeVar("SectionT", bound=Section)


def load(path: Path) -> Settings:
    """The settings of a file. Raises ConfigFault with all that is wrong."""
    return parse(_toml(path), path.name)


def text_of(path: Path) -> str:
    """What a file that was loaded says. Raises ConfigFault."""
    return _bytes(path).decode("utf-8-sig")


def _toml(path: Path) -> dict[str, Any]:
    raw = _bytes(path)
    try:
        # Some editors open a file with a byte order mark, which TOML does not know.
        return tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigFault((f"{path}: not UTF-8 (at line {line}); save it as UTF-8",)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigFault((f"{path}: not TOML: {error}",)) from None
    except (RecursionError, ValueError):
        # tomllib lets two limits of Python through as they are: depth, and digits of an integer.
        raise ConfigFault(
            (f"{path}: not TOML: nested too deeply, or a number with too many digits",)
        ) from None


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigFault((f"{path}: there is no such file; name one with --config",)) from None
    except OSError as error:
        raise ConfigFault((f"{path}: cannot be read: {error.strerror or error}",)) from None
    if len(raw) > MAX_BYTES:
        raise ConfigFault(
            (f"{path}: larger than {MAX_BYTES} bytes; rules for single SKUs go into the rules_csv",)
        )
    return raw


def parse(content: Mapping[str, Any], name: str) -> Settings:
    """Settings from parsed TOML; ``name`` opens each fault. Raises ConfigFault with all that is wrong."""
    faults: list[str] = []
    settings: Settings | None = None
    bad = set[str]()
    try:
        settings = Settings.model_validate(dict(content))
    except ValidationError as error:
        faults.extend(_told(each) for each in error.errors(include_url=False))
        bad = {f"{place_of(each['loc'])}: is missing" for each in error.errors(include_url=False)}
    # What is there and wrong was left out, but is not missing.
    faults.extend(each for each in disagreements(_parts(content)) if each.partition(";")[0] not in bad)
    if faults or settings is None:
        more = [f"... and {len(faults) - MAX_FAULTS} more"] if len(faults) > MAX_FAULTS else []
        raise ConfigFault(tuple(f"{name}: {fault}" for fault in faults[:MAX_FAULTS] + more))
    return settings


def salvage(path: Path) -> Settings | None:
    """What a faulty file says where it is sound, to look for faults in what it names; None where that is too little.

    Never to run by: a value that is left out stands at its default.
    """
    with suppress(ConfigFault):
        content = _toml(path)
        try:
            return Settings.model_validate(content)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                _leave_out(content, each["loc"])
        with suppress(ValidationError):
            return Settings.model_validate(content)
    return None


def _leave_out(content: Any, loc: Loc) -> None:
    *way, last = loc
    for part in way:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(content, dict):
        content.pop(last, None)


def _told(error: ErrorDetails) -> str:
    loc, kind = error["loc"], error["type"]
    place = place_of(loc)
    if kind == "extra_forbidden":
        if loc[-1] in RENAMED:
            return f"{place}: no such key any more; {RENAMED[str(loc[-1])]}"
        model = _model_at(loc[:-1])
        return f"{place}: no such key{_close(str(loc[-1]), list(model.model_fields) if model else [])}"
    if kind == "missing":
        return f"{place}: is missing"
    if kind == "value_error":
        said = redact(str(error.get("ctx", {}).get("error", error["msg"])))
        return f"{place}: {said.partition(' (got ')[0] if _is_shy(loc) else said}"
    message = f"{place}: {error['msg'][:1].lower()}{error['msg'][1:]}{_got(loc, error['input'])}"
    if kind == "literal_error" and isinstance(error["input"], str):
        message += _close(error["input"], re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected"))))
    if kind == "datetime_type" and isinstance(error["input"], str):
        message += "; write a time without quotes"
    return message


def _close(text: str, known: list[str]) -> str:
    found = meant(text, known)
    return found if "did you mean" in found else ""


def _is_shy(loc: Loc) -> bool:
    return not _SHY.isdisjoint(loc)


def _got(loc: Loc, value: object) -> str:
    if _is_shy(loc):
        return ""
    match value:
        case dict():
            shown = "a table"
        case list():
            shown = "an array"
        case str():
            shown = _began(ascii(value))
        case int() if not isinstance(value, bool) and abs(value) >= 10**40:
            shown = "a huge number"
        case _:
            shown = _began(repr(value))
    return f" (got {shown})"


def _began(text: str) -> str:
    """The beginning of what was written, redacted before it is cut: half a secret looks like none."""
    return redact(text)[:80]


def _model_at(loc: Loc) -> type[BaseModel] | None:
    """The section that stands at a place; numbers and the names of tables in between are passed over."""
    model: type[BaseModel] | None = Settings
    table = False
    for part in loc:
        if isinstance(part, int) or table or model is None:
            table = False
            continue
        field = model.model_fields.get(part)
        model = None if field is None else model_in(field.annotation)
        table = field is not None and str(field.annotation).startswith("dict[")
    return model


def _parts(content: Mapping[str, Any]) -> Parts:
    """The sections that can be read in spite of the faults elsewhere."""
    channels, pools = _tables(content, "channels"), _tables(content, "pools")
    sound, sound_pools = _all_sound(ChannelSection, channels), _all_sound(PoolSection, pools)
    environment = content.get("environment")
    return Parts(
        environment=environment if environment in ("simulator", "sandbox", "live") else None,
        extensiv=_section(ExtensivSection, content.get("extensiv")),
        channels=sound,
        pools=sound_pools if pools and len(sound_pools) == len(pools) else None,
        locations=_sound_ids(content.get("locations")),
        ages=_section(AgesSection, content.get("ages", {})),
        ledger=_section(LedgerSection, content.get("ledger", {})),
        sentinels=_all_sound(SentinelSection, _tables(content, "sentinels")),
        freeze=_all_sound(FreezeSection, _tables(content, "freeze")),
        web=_section(WebSection, content.get("web", {})),
        webhooks=_section(WebhooksSection, content.get("webhooks", {})),
        alerts=_section(AlertsSection, content.get("alerts", {})),
        schedule=_section(ScheduleSection, content.get("schedule", {})),
        all_channels=bool(channels) and len(sound) == len(channels),
        demand=[
            (number, demand)
            for number, each in _tables(content, "demand")
            if (demand := _section(DemandSection, each)) is not None
        ],
    )


def _all_sound(model: type[SectionT], tables: list[tuple[int, Any]]) -> list[tuple[int, SectionT]]:
    """Those that could be read, each with its number."""
    read = [(number, _section(model, each)) for number, each in tables]
    return [(number, each) for number, each in read if each is not None]


def _sound_ids(table: object) -> list[str]:
    found = []
    for each in table if isinstance(table, dict) else ():
        with suppress(ValueError):
            found.append(warehouse_id(each))
    return found


def _tables(content: Mapping[str, Any], key: str) -> list[tuple[int, Any]]:
    found = content.get(key)
    return list(enumerate(found)) if isinstance(found, list) else []


def _section(model: type[SectionT], raw: object) -> SectionT | None:
    """One section without those of its values that are faulty; None if it cannot do without them."""
    if not isinstance(raw, dict):
        return None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        bad = {each["loc"][0] for each in error.errors(include_url=False) if each["loc"]}
    try:
        return model.model_validate({key: value for key, value in raw.items() if key not in bad})
    except ValidationError:
        return None
