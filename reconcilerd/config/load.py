"""Reads the configuration whole: every fault at once, with its place and, where it helps, what was meant."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from reconcilerd.config.settings import Settings
from reconcilerd.errors import ConfigFault


def load(path: Path) -> Settings:
    """The settings of a file. Raises ConfigFault with all that is wrong."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigFault((f"{path}: there is no such file; name one with --config",)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFault((f"{path}: cannot be read: {error}",)) from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigFault((f"{path}: not TOML: {error}",)) from error
    return parse(content, path.name)


def parse(content: Mapping[str, Any], name: str) -> Settings:
    """Settings from parsed TOML; ``name`` opens each fault."""
    try:
        return Settings.model_validate(dict(content))
    except ValidationError as error:
        raise ConfigFault(tuple(_faults(error, name))) from error


def _faults(error: ValidationError, name: str) -> Iterator[str]:
    for each in error.errors():
        place = _place(each["loc"])
        if each["type"] == "extra_forbidden":
            yield f"{name}: {place}: no such key{_meant(each['loc'])}"
        elif each["type"] == "missing":
            yield f"{name}: {place}: is missing"
        elif each["type"] == "value_error":
            message = str(each["ctx"]["error"]) if "ctx" in each else each["msg"]
            yield from (f"{name}: {place + ': ' if place else ''}{line}" for line in message.splitlines())
        else:
            yield f"{name}: {place}: {each['msg'][:1].lower()}{each['msg'][1:]} (got {each['input']!r:.80})"


def _place(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _meant(loc: tuple[int | str, ...]) -> str:
    """The known key that is written most like this one."""
    model: Any = Settings
    for part in loc[:-1]:
        if isinstance(part, str) and isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(part)
            model = None if field is None else _model_in(field.annotation)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return ""
    close = difflib.get_close_matches(str(loc[-1]), list(model.model_fields), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _model_in(annotation: Any) -> Any:
    for each in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def defaults(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(key, default, reason) of every key, in the order of the file."""
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        key = f"{prefix}{name}"
        if inner is not None:
            dots = (
                "[]."
                if "list" in str(field.annotation)
                else ".ID."
                if "dict" in str(field.annotation)
                else "."
            )
            yield from defaults(inner, key + dots)
        else:
            default = "required" if field.is_required() else repr(field.default)
            yield key, default, field.description or ""
