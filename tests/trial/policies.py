"""Configurations by chance: the keys that decide, in whatever company ``check-config`` takes them."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

from reconcilerd.cli.simulate import Ask, market_of
from reconcilerd.config.rules import COLUMNS
from reconcilerd.errors import ConfigFault
from reconcilerd.trial.market import Market
from reconcilerd.trial.stage import START

Choices = Mapping[str, tuple[float, Sequence[object]]]
"""By key: how often it is written down, and what is then drawn from."""

AT: Final = "http://127.0.0.1:8765"
STORES: Final = ("shop-uk", "shop-eu", "shop-us", "shop-de", "shop-jp")
MODES: Final = ("shared", "split", "adaptive")
CHANNEL: Final[Choices] = {
    "poll_s": (1.0, (30, 60, 60, 120, 300, 900)),
    "publisher": (0.1, ("extensiv",)),
    "order_lag_s": (0.2, (1, 20, 60, 300)),
    "read_lag_s": (0.1, (5, 30, 60)),
    "import_max_s": (0.1, (300, 900, 3600)),
    "cap": (0.15, (0, 1, 3, 10, 50)),
    "floor": (0.15, (1, 2, 5)),
    "buffer": (0.2, (1, 2, 5)),
    "units_per_sale": (0.1, (2, 3, 6)),
    "priority": (0.2, (1, 2, 3)),
    "minimum": (0.15, (1, 2, 4)),
    "decrease_only": (0.08, (True,)),
}
POOL: Final[Choices] = {
    "bundles": (0.3, ("per_warehouse", "pooled")),
    "unread_peer": (0.15, ("ignore",)),
    "dead_band_percent": (0.4, (0, 1, 10, 20)),
    "overcommit": (0.3, (1, 3, 10)),
}
LIMITS: Final[Choices] = {
    "mode": (1.0, (*["auto"] * 8, "guarded", "net", "observe")),
    "window_s": (0.1, (600, 3600)),
    "window_slots": (0.1, (1, 3, 10)),
    "window_percent": (0.1, (5, 50, 100)),
    "window_units": (0.1, (5, 50, 500)),
    "unexplained_zeros": (0.1, (0, 1, 2)),
    "unexplained_fall_units": (0.1, (1, 5, 20)),
    "unexplained_fall_percent": (0.1, (1, 20, 50)),
    "zero_reads": (0.1, (1, 2, 5)),
    "confirm_reads": (0.1, (1, 3)),
    "confirm_gap_s": (0.1, (1, 60)),
    "raise_ratio": (0.1, (1, 2)),
    "raise_floor_units": (0.1, (0, 5)),
    "all_changed_percent": (0.1, (30, 60)),
    "shrink_percent": (0.1, (50,)),
    "suspect_min_rows": (0.1, (2, 5)),
    "tug_times": (0.1, (1, 2)),
    "breaker_percent": (0.1, (10, 80)),
    "breaker_open_s": (0.1, (10, 300)),
    "half_fails": (0.1, (1, 3)),
    "canary_over": (0.1, (1, 3, 10)),
    "canary_first": (0.1, (1, 2)),
    "refusals": (0.1, (1, 5)),
    "attempts_per_hour": (0.1, (1, 3, 10)),
    "after_dark": (0.1, ("haircut", "drop")),
    "match_percent": (0.1, (90, 100)),
    "announce_percent": (0.1, (1, 100)),
}
AGES: Final[Choices] = {
    "stock_s": (0.1, (30, 120, 600)),
    "own_slot_s": (0.1, (5, 30, 60)),
    "peer_slot_s": (0.1, (30, 300)),
    "max_age_s": (0.1, (600, 3600)),
    "lower_reread_s": (0.1, (1, 10)),
    "dark_grace_s": (0.1, (60, 600)),
}
DEFAULTS: Final[Choices] = {
    "safety_stock": (0.15, (1, 3)),
    "min_level": (0.15, (2, 5, 10)),
    "rate_per_day": (0.15, (1, 240, 2000)),
}
OF_A_SKU: Final[Choices] = {
    "pool": (0.6, MODES),
    "safety_stock": (0.3, (0, 1, 5)),
    "min_level": (0.3, (2, 10)),
    "protected": (0.1, ("yes",)),
    "kit": (0.1, ("yes",)),
    "exclude_locations": (0.1, (1, 2)),
}
OF_A_LISTING: Final[Choices] = {
    "percent": (0.12, (0, 20, 50, 100)),
    "max": (0.05, (3, 10)),
    "low_stock_percent": (0.12, (0, 50)),
    "low_stock_max": (0.05, (1, 3)),
    "cap": (0.12, (1, 5, 30)),
    "floor": (0.12, (1, 3)),
    "buffer": (0.12, (0, 2)),
    "units_per_sale": (0.12, (1, 2, 4)),
    "managed": (0.12, ("no",)),
    "weight": (0.12, (1, 4)),
    "tier": (0.05, (1, 2)),
    "priority": (0.12, (1, 2)),
    "pot": (0.12, (1, 5, 10)),
    "minimum": (0.12, (1, 3)),
    "preorder": (0.12, ("yes",)),
    "exclude_locations": (0.12, (1, 2)),
}
STATUSES: Final = ("AWAITING_SHIPMENT", "AWAITING_PAYMENT", "PENDING_FULFILLMENT", "ON_HOLD")
ATTEMPTS: Final = 200


def by_chance(seed: int, folder: Path) -> Market:
    """The business of a configuration that is written into a folder: the first one drawn that can be taken."""
    chance = Random(f"policy {seed}")
    for _ in range(ATTEMPTS):
        skus = chance.choice((3, 4, 6, 12))
        config = _write(chance, folder, skus)
        make = _taken(Ask(0.05, skus, 3, config, "none", None, begins=START), folder / "rules.csv")
        if make is not None:
            return make(seed)
    raise AssertionError(f"of {ATTEMPTS} configurations none can be taken")


def _taken(ask: Ask, rules: Path) -> Callable[[int], Market] | None:
    """None where a configuration is refused; rules that do not fit the rest of it are taken out."""
    while True:
        try:
            return market_of(ask)
        except ConfigFault as fault:
            bad = set(re.findall(r"rules\.csv:(\d+)", str(fault)))
            if not bad:
                return None
        lines = rules.read_text("utf-8").splitlines(keepends=True)
        rules.write_text("".join(each for n, each in enumerate(lines, 1) if str(n) not in bad), "utf-8")


def _write(chance: Random, folder: Path, skus: int) -> Path:
    stores = STORES[: chance.randint(1, len(STORES))]
    warehouses = [str(number) for number in range(1, chance.randint(1, 4) + 1)]
    pools = chance.sample(MODES, chance.randint(1, len(MODES)))
    (folder / "rules.csv").write_text(_rules(chance, stores, skus), "utf-8")
    lines = ['environment = "simulator"', 'rules_csv = "rules.csv"']
    lines += ["[extensiv]", f'base_url = "{AT}/extensiv"']
    lines += _drawn(chance, {"orders_poll_s": (1, (20, 30, 60, 120)), "stock_poll_s": (1, (60, 300, 900))})
    lines += ["[extensiv.auth]", f'token_url = "{AT}/extensiv/oauth/token"']
    weighed, alike = chance.random() < 0.5, chance.random() < 0.6
    for number, store in enumerate(stores, 101):
        lines += ["[[channels]]", *_channel(chance, number, store, warehouses)]
        lines += [f"percent = {100 // len(stores)}"] if alike else []
        lines += [f"weight = {chance.choice((1, 1, 2, 5))}"] if weighed else []
        lines += ["cost_oversold = 10", "cost_hidden_day = 5"] if chance.random() < 0.2 else []
    for number, mode in enumerate(pools):
        lines += ["[[pools]]", f'name = "{mode}"', f'mode = "{mode}"', *_drawn(chance, POOL)]
        lines += [] if number else ["default = true"]
    for name in warehouses:
        if chance.random() < 0.3:
            lines += [f"[locations.{name}]", "mirror = true", f"mirror_max_s = {chance.choice((600, 1800))}"]
    for table, choices in (("limits", LIMITS), ("ages", AGES), ("sku_defaults", DEFAULTS)):
        lines += [f"[{table}]", *_drawn(chance, choices)]
    lines += _now_and_then(chance, stores)
    config = folder / "config.toml"
    config.write_text("\n".join(lines) + "\n", "utf-8")
    return config


def _picked(chance: Random, choices: Choices) -> dict[str, object]:
    return {key: chance.choice(some) for key, (often, some) in choices.items() if chance.random() < often}


def _drawn(chance: Random, choices: Choices) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in _picked(chance, choices).items()]


def _channel(chance: Random, number: int, store: str, warehouses: Sequence[str]) -> list[str]:
    drawn = chance.sample(warehouses, chance.randint(1, len(warehouses)))
    count = chance.choice([each for each in (1, 1, 2, 3) if each <= len(drawn)])
    places = (
        f'"gid://shopify/Location/{number}{place}" = {json.dumps(drawn[place::count])}'
        for place in range(count)
    )
    token = f"{AT}/shopify/{store}/admin/oauth/access_token"
    return [
        f'name = "{store}"',
        'kind = "shopify"',
        f'base_url = "{AT}/shopify/{store}"',
        f"sales_channel_id = {number}",
        f"places = {{ {', '.join(places)} }}",
        f'auth = {{ token_url = "{token}", client_auth = "post" }}',
        *_drawn(chance, CHANNEL),
    ]


def _now_and_then(chance: Random, stores: Sequence[str]) -> list[str]:
    lines = []
    if chance.random() < 0.4:
        firmness = chance.choice(("firm", "soft", "ignored"))
        lines += ["[[demand]]", f'status = "{chance.choice(STATUSES)}"', f'firmness = "{firmness}"']
        lines += ["expires_s = 600", "max_share_percent = 50"] if firmness == "soft" else []
    if chance.random() < 0.2:
        allowed = chance.choice(([], ["lowers"], ["cures"]))
        lines += ["[[freeze]]", 'cron = "*/20 * * * *"', f"duration_s = {chance.choice((60, 300, 900))}"]
        lines += ['timezone = "Europe/Berlin"', f"allow = {json.dumps(allowed)}"]
    if chance.random() < 0.2:
        feed = chance.choice(("extensiv.stock", f"{stores[0]}.slots"))
        lines += ["[[sentinels]]", f'feed = "{feed}"', 'sku = "SKU-02"', "at_most = 500"]
    return lines


def _rules(chance: Random, stores: Sequence[str], skus: int) -> str:
    rows: list[dict[str, object]] = [{name: name for name in COLUMNS}]
    for name in (*(f"SKU-{number:02d}" for number in range(1, skus)), "SET-01"):
        if chance.random() < 0.3:
            rows.append({"sku": name, **_picked(chance, OF_A_SKU)})
        rows += [
            {"sku": name, "channel": store, **_picked(chance, OF_A_LISTING)}
            for store in stores
            if chance.random() < 0.15
        ]
    return "".join(",".join(str(each.get(name, "")) for name in COLUMNS) + "\n" for each in rows)
