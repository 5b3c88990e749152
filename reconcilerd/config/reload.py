"""What a running daemon can take over from a changed configuration, and what takes a restart. Pure.

Policy, limits and guards are swapped, and who hears of alerts. What the daemon is connected to, where its files are and
which secrets of systems it names are what it was built from: those need a new start, which drains and loses nothing.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from reconcilerd.config.settings import Settings

SWAPPED: Final = re.compile(
    r"(pools|locations|sku_defaults|limits|sentinels|freeze|ages|velocity|demand)\b.*"
    r"|rules_csv|reserves_csv|inbound_csv|extensiv\.expected_skus"
    r"|alerts\.(unresolved_drift_s|allow_hosts|digest_to|agree_within_s|group_wait_s|group_interval_s|repeat_s|people\..+|mail(\..+)?"
    r"|(slack|pagerduty|alertmanager|webhook|mail|apprise|heartbeat)_[a-z_]+)|daemon\.(drain_s|log_level)"
    r"|channels\[[^\]]*\]\.(percent|cap|floor|buffer|units_per_sale|weight|tier|priority|minimum|publisher"
    r"|cost_oversold|cost_hidden_day|decrease_only|import_max_s|apply_max_s)"
)
"""All other keys are of the systems, paths and credentials; and ``alerts.instance`` names pages that are open."""


def changed(before: Settings, after: Settings) -> list[str]:
    """Keys that say something else, as they are written, sorted."""
    old, new = dict(_flat(before.model_dump())), dict(_flat(after.model_dump()))
    return sorted(key for key in old.keys() | new.keys() if old.get(key, _ABSENT) != new.get(key, _ABSENT))


def needs_restart(keys: list[str]) -> list[str]:
    """Those of changed keys that a running daemon cannot take over."""
    return [key for key in keys if not SWAPPED.fullmatch(key)]


_ABSENT: Final = object()


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its place; tables of a list go by their name where they have one."""
    match value:
        case dict() if value:
            for key, each in value.items():
                yield from _flat(each, f"{place}.{key}" if place else str(key))
        case list() if value and all(isinstance(each, dict) for each in value):
            for number, each in enumerate(value):
                yield from _flat(each, f"{place}[{each.get('name', number)}]")
        case _:
            yield place, value
