"""The demo's tenant: a configuration and rules as a brand would write them, and how both are told to a person."""

import csv
from pathlib import Path

from reconcilerd.errors import ConfigFault
from reconcilerd.ledger.disk import files_of
from reconcilerd.simulator.catalogue import (
    PACK,
    PACK_STORE,
    STORES,
    Catalogue,
    is_split,
    pack_code,
    rich_catalogue,
)
from reconcilerd.simulator.scene import DRIFT_SHARE, Harm
from reconcilerd.simulator.shoppers import Invoice

SHARES = {"shop-uk": 40, "shop-eu": 40, "shop-us": 20}
COLUMNS = (
    "sku",
    "channel",
    "pool",
    "percent",
    "low_stock_percent",
    "min_level",
    "cap",
    "floor",
    "buffer",
    "safety_stock",
    "units_per_sale",
    "exclude_locations",
)
MARK = "# Written by reconcilerd demo; the next one writes it anew."
Cells = dict[str, str]


def write_tenant(folder: Path, port: int, invoices: list[Invoice]) -> Path:
    """``config.toml`` and ``rules.csv`` in a folder; an old ledger there is removed.

    Raises ConfigFault for a folder that holds somebody else's configuration.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    made = folder / "config.toml"
    if made.exists() and not made.read_text("utf-8", "replace").startswith(MARK):
        raise ConfigFault((f"{made} was not written by the demo; move it, or run the demo elsewhere",))
    for each in files_of(folder / "reconcilerd.db"):
        each.unlink(missing_ok=True)
    config = folder / "config.toml"
    config.write_text("\n".join([MARK, *_config(f"http://127.0.0.1:{port}")]) + "\n", "utf-8")
    with (folder / "rules.csv").open("w", encoding="utf-8", newline="") as file:
        rules = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        rules.writeheader()
        rules.writerows(_rules(rich_catalogue(invoices)))
    return config


def _config(base: str) -> list[str]:
    lines = [
        'environment = "simulator"',
        'rules_csv = "rules.csv"',
        "[extensiv]",
        f'base_url = "{base}/extensiv"',
        "orders_poll_s = 2\nstock_poll_s = 15",
        f'auth = {{ token_url = "{base}/extensiv/oauth/token" }}',
    ]
    for name, channel in STORES:
        shop = f"{base}/shopify/{name}"
        lines += [
            "[[channels]]",
            f'name = "{name}"\nkind = "shopify"\nbase_url = "{shop}"\nsales_channel_id = {channel}',
            f'places = {{ "gid://shopify/Location/{channel}" = ["1", "2"] }}',
            "poll_s = 4\norder_lag_s = 1.5\nimport_max_s = 10\napply_max_s = 5",
            f'auth = {{ token_url = "{shop}/admin/oauth/access_token", client_auth = "post" }}',
        ]
    return [
        *lines,
        '[[pools]]\nname = "shared"\nmode = "adaptive"\ndefault = true',
        '[[pools]]\nname = "split"\nmode = "split"',
        "[locations.2]\nmirror = true\nmirror_max_s = 20",
        '[limits]\nmode = "auto"\nwindow_slots = 5000\nwindow_min_slots = 5000\nwindow_units = 1000000',
        "unexplained_zeros = 200",
        "[ages]\nstock_s = 20\nown_slot_s = 10\npeer_slot_s = 15\nmax_age_s = 90",
        '[web]\nlisten = "127.0.0.1:0"  # any port that is free: the log says which',
    ]


def _rules(sells: Catalogue) -> list[Cells]:
    """Rows for SKUs and for their listings; a SKU that differs only by case from another has one."""
    codes = {code.casefold(): code for code in sorted(sells.sold)}
    split = [sku for sku in codes if is_split(sku)]
    rows = [_row(sku, pool="split", safety_stock="1" if n % 10 == 0 else "") for n, sku in enumerate(split)]
    for sku in (*split, *(each.sku.casefold() for each in sells.sets if any(map(is_split, each.codes)))):
        rows += [_row(sku, name, percent=str(share)) for name, share in SHARES.items()]
    listings = {(row["sku"], row["channel"]): row for row in rows if "channel" in row}
    for number, sku in enumerate(sku for sku in codes if not is_split(sku)):
        if number % 10 == 0:
            listings[sku, "shop-us"] = _row(sku, "shop-us", cap="12", buffer="1")
        if number % 10 == 3:
            rows.append(_row(sku, min_level="6"))
            listings[sku, "shop-eu"] = _row(sku, "shop-eu", percent="80", floor="1", low_stock_percent="50")
        if number % 10 == 6:
            listings[sku, "shop-us"] = _row(sku, "shop-us", exclude_locations="2")
    for code in sells.packs:
        pack = listings.setdefault((code.casefold(), PACK_STORE), _row(code.casefold(), PACK_STORE))
        pack["units_per_sale"] = str(PACK)
    return [row for row in rows if "channel" not in row] + list(listings.values())


def _row(sku: str, channel: str = "", **cells: str) -> Cells:
    return {"sku": sku, **({"channel": channel} if channel else {}), **cells}


def _sets(sells: Catalogue) -> str:
    nested = ", one of them in a larger one" if len(sells.sets) > 1 else ""
    return f"sets of them: {len(sells.sets)}{nested}; " if sells.sets else ""


def told(seconds: int, seed: int, invoices: list[Invoice], port: int) -> list[tuple[str, str]]:
    """What a person should know before it begins: (about, text)."""
    sells = rich_catalogue(invoices)
    lines = sum(len(each.lines) for each in invoices)
    back = sum(1 for each in invoices for line in each.lines if each.cancels or line.write_off)
    split = sum(map(is_split, sells.sold))
    pack = pack_code(min(sells.packs)) if sells.packs else ""
    return [
        (
            "Business",
            f"Extensiv and three Shopify stores (Plus plan) over HTTP on 127.0.0.1:{port}, seed {seed}",
        ),
        (
            "Orders",
            f"{len(invoices)} real invoices, {lines} lines ({back} cancelled or written off), in {seconds} s",
        ),
        (
            "Sold",
            f"{len(sells.sold)} SKUs, {_sets(sells)}{len(sells.packs)} by "
            f"the pack of {PACK} on {PACK_STORE}{f' ({pack})' if pack else ''}, {len(sells.parents)} virtual parents",
        ),
        (
            "Pools",
            f"split 40/40/20 % for {split} SKUs, a tenth of them with safety stock 1; shared for the others: all to "
            "each store, but some capped at 12 less a buffer of 1, some 80 % and 50 % when 6 or fewer are left, "
            "some not from the 3PL",
        ),
        (
            "Lags",
            "import 1-6 s, order lists 0-1 s, the 3PL's copy 10 s, shipping 15-60 s, native push 3-16 s",
        ),
        (
            "Daemon",
            "mode auto, polls 4 s (orders in Extensiv 2 s, stock 15 s), rails: 5000 listings, 200 unexplained zeros",
        ),
        (
            "Drift",
            f"{', '.join(Harm)}; until {DRIFT_SHARE:.0%} of the time",
        ),
    ]
