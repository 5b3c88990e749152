"""No parser without its near misses: whoever adds one is asked for them here."""

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
LOOKS_LIKE_ONE: Final = re.compile(
    r"parse|parsed|parse_instant|decode|decode_body|load|salvage|resolve|read_rules|read_invoices|json_of|nodes_of|connection_of|units"
    r"|retry_after_ms|learn|convert|sku_of|instant_of|number_on_channel|key_of"
)
TRIED: Final = {
    "rows": {
        "extensiv/rows.py": "product listing warehouse sales_channel stock_bin stock_total order",
        "shopify/rows.py": "slots order",
        "connectors/rejected.py": "parsed",
    },
    "texts": {
        "domain/names.py": "parse_instant sku_of",
        "domain/quantities.py": "units",
        "config/load.py": "load salvage",
        "config/rules.py": "read_rules",
        "config/credentials.py": "resolve",
        "shopify/lists.py": "connection_of nodes_of",
        "transport/replies.py": "json_of retry_after_ms learn",
        "ledger/codec.py": "decode decode_body",
        "simulator/shoppers.py": "read_invoices",
        "cli/pretend.py": "convert",
        "cli/options.py": "convert",
    },
    "requests": {"daemon/requests.py": "parse"},
}
"""Which test module tries which functions of which file."""
ELSEWHERE: Final = {
    "extensiv/rows.py": {
        "rejected": "makes a finding of anything; tried in test_rows",
        "unavailable": "a sum",
    },
    "config/load.py": {"parse": "what load makes of TOML"},
    "domain/names.py": {"instant_of": "takes a datetime; parse_instant is its edge"},
    "domain/orders.py": {"number_on_channel": "total: what does not fit stays as it is"},
    "domain/book.py": {"load": "takes facts, not bytes"},
    "shopify/rows.py": {"still": "takes a fact, not a row"},
    "extensiv/walk.py": {"key_of": "total: a row without its key has none"},
}
"""What is called like a parser and is none, or is tried by another's name, and why."""


def test_every_parser_has_its_near_misses() -> None:
    known = {
        (file, name) for files in TRIED.values() for file, names in files.items() for name in names.split()
    } | {(file, name) for file, names in ELSEWHERE.items() for name in names}
    found = set()
    for path in sorted((ROOT / "reconcilerd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            if path.stem == "rows" or LOOKS_LIKE_ONE.fullmatch(node.name):
                found.add(("/".join(path.parts[-2:]), node.name))
    assert found - known == set(), "a parser without near misses: add it to a test here and to TRIED"
    assert known - found == set(), "no such parser any more"


def test_what_is_said_to_be_tried_is_tried() -> None:
    for module, files in TRIED.items():
        text = (Path(__file__).parent / f"test_{module}.py").read_text("utf-8")
        for names in files.values():
            for name in names.split():
                assert re.search(rf"\b{name}\b", text), (module, name)
