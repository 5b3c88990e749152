"""What is in force: every key with its value, which line of the file or which default says so; secrets by name only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconcilerd.config import places
from reconcilerd.config.credentials import resolve
from reconcilerd.config.defaults import describe
from reconcilerd.config.secret import MASK
from reconcilerd.config.settings import Settings
from reconcilerd.domain.policy import Policy

UNIT: Final = "name of a secret"


@dataclass(frozen=True, slots=True)
class Value:
    """One key; ``line`` of the file, or None: the default. ``named``: of a secret, whether there is one."""

    key: str
    value: Any
    line: int | None
    named: bool | None = None


def values_of(settings: Settings, text: str, environ: Mapping[str, str]) -> Iterator[Value]:
    """Every key in the order of the settings."""
    secrets = {row.key for row in describe() if row.unit == UNIT}
    stands = places.lines_of(text)
    names = [each.name for each in settings.channels], [each.name for each in settings.pools]
    for path, value in places.leaves(settings.model_dump()):
        line = stands.get(path)
        key = _key(path, names)
        if _pattern(path) in secrets and value:
            there = resolve(value, environ, "", []) is not None
            # What names nothing may be the secret itself, put where its name belongs.
            yield Value(key, f"{MASK} ({value})" if there else MASK, line, there)
        else:
            yield Value(key, value, line)


def _pattern(path: places.Path) -> str:
    """A key as the description of all keys has it."""
    return ".".join(str(each) for each in path if isinstance(each, str)).replace(
        "channels.", "channels[].", 1
    )


def _key(path: places.Path, names: tuple[list[str], list[str]]) -> str:
    lists = dict(zip(("channels", "pools"), names, strict=True))
    text = ""
    for number, each in enumerate(path):
        if isinstance(each, int):
            known = lists.get(str(path[number - 1]), [])
            text += f"[{known[each] if each < len(known) else each}]"
        else:
            text += f"{'.' if text else ''}{each}"
    return text


def policy_told(settings: Settings, policy: Policy) -> dict[str, Any]:
    """What the rules come to, by channel and pool."""
    return {
        "revision": policy.revision,
        "mode": str(policy.limits.mode),
        "channels": [
            {
                "channel": name,
                "publisher": str(rule.publisher),
                "decrease_only": rule.decrease_only,
                "listings_with_rules": sum(channel == name for _, channel in policy.offers),
            }
            for name, rule in policy.channels.items()
        ],
        "pools": [
            {
                "pool": each.name,
                "mode": each.mode,
                "default": each.default,
                "skus_by_rule": sum(rule.pool == each.name for rule in policy.skus.values()),
            }
            for each in settings.pools
        ],
        "reserves": sum(map(len, policy.reserves.values())),
        "inbound": sum(map(len, policy.inbound.values())),
    }
