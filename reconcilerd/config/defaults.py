"""Every key of the configuration with its unit, default and reason, read off the models themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from reconcilerd.config.fields import Unit
from reconcilerd.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Row:
    key: str
    unit: str
    default: str
    reason: str


def describe(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[Row]:
    """One row a key, in the order of the file; ``[]`` stands for each table of a list, ``ID`` for any name."""
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        if inner is None:
            default = "required" if field.is_required() else _toml(field.default)
            yield Row(f"{prefix}{name}", _unit(field), default, field.description or "")
        else:
            yield from describe(inner, f"{prefix}{name}{_joint(field)}.")


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation holds, itself or as the content of a list or table."""
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def _joint(field: FieldInfo) -> str:
    text = str(field.annotation)
    return "[]" if text.startswith("list[") else ".ID" if text.startswith("dict[") else ""


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case str():
            return f'"{value}"'
        case list():
            return f"[{', '.join(_toml(each) for each in value)}]"
        case _:
            return f"{value:g}" if isinstance(value, float) else str(value)


def _unit(field: FieldInfo) -> str:
    named = [each.name for each in _marks(field.metadata, field.annotation) if isinstance(each, Unit)]
    if named:
        return named[-1]
    choices = [str(each) for each in get_args(field.annotation) if isinstance(each, str)]
    return " | ".join(choices) if choices else "true | false" if field.annotation is bool else ""


def _marks(metadata: list[Any], annotation: Any) -> Iterator[object]:
    """What is attached to a type, also inside a union; the outermost comes last."""
    for part in get_args(annotation):
        yield from getattr(part, "__metadata__", ())
    yield from metadata
