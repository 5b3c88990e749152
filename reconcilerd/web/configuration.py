"""The configuration in force, as ``config show --effective`` tells it: secrets by name, never by value."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anyio import to_thread

from reconcilerd.config.effective import policy_told, values_of
from reconcilerd.config.secret import redact
from reconcilerd.config.settings import Settings
from reconcilerd.domain.names import Instant, format_second
from reconcilerd.domain.policy import Policy


@dataclass(frozen=True, slots=True)
class InForce:
    """What was taken over last. ``text``: what the file said then; ``refused``: why a later change is not in force."""

    file: str
    text: str
    settings: Settings
    policy: Policy
    since: Instant
    refused: str = ""


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One key. ``line``: of the file; None: a default. ``secret_found``: of a secret's name, whether there is one."""

    key: str
    value: str
    line: int | None
    secret_found: bool | None


@dataclass(frozen=True, slots=True)
class ConfigPage:
    """``policy``: the revision of the rules that follow from it."""

    file: str
    since: str
    policy: str
    mode: str
    refused: str
    reserves: int
    inbound: int
    values: tuple[ValueRow, ...]


async def config_page(in_force: Callable[[], InForce]) -> ConfigPage:
    """All of it. Whether secrets are there is looked up on a thread: they are files."""
    return await to_thread.run_sync(_page, in_force())


def _page(force: InForce) -> ConfigPage:
    told = policy_told(force.settings, force.policy)
    rows = tuple(
        ValueRow(each.key, redact(_text(each.value)), each.line, each.named)
        for each in values_of(force.settings, force.text, os.environ)
    )
    since, refused = format_second(force.since), redact(force.refused)
    numbers = int(told["reserves"]), int(told["inbound"])
    return ConfigPage(force.file, since, told["revision"], told["mode"], refused, *numbers, rows)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
