"""Whatever a listing calls itself, on a terminal, in Markdown and in JSON it is a name: it acts nowhere, whole."""

import json
import unicodedata
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reconcilerd.cli import commands, plan, plan_text, reconcile_entry
from reconcilerd.domain.visible import visible
from reconcilerd.simulator.truth import WorldConfig
from tests.cli.commands import PROGRAM
from tests.plans.stage import Shop, opened
from tests.world.stage import put_on_sale, small_world

NAMES = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "<script>alert(1)</script>&lt;b&gt;",
    "=HYPERLINK(1)|x|",
    "<!channel> @here",
    "a\r\nb: **not** a `new` line",
    "\u202eevil\u2066 mug",
    "\x9b31m caf\u00e9 \u8336",
    "$(reboot); `id` 'q' \\n _x_ ~y~ [l](http://e.example) ![i](j)",
)
SKUS = {name if name.isprintable() else f"sku-{number}": name for number, name in enumerate(NAMES)}
"""What may be a SKU is one; the others are titles of SKUs, and listings that no SKU can have."""
OPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {}),
    ("reconcile", {"all": True}),
    ("plan", {}),
)
ACTS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a daemon answers about a business whose SKUs, titles and orders are called so."""
    told: dict[str, dict[str, Any]] = {}

    async def scene(shop: Shop) -> None:
        for sku, name in SKUS.items():
            shop.stage.world.place_order("shop-uk", f"{name} 7", [(sku, 1)], shop.stage.clock())
            shop.stage.world.set_quantity(shop.stage.item("shop-eu", sku), 90, shop.stage.clock())
        await shop.ask("freeze", channel="shop-us", reason=NAMES[0])
        await shop.plan(fresh=True)
        for op, more in OPS:
            told[op] = await shop.ask(op, **more)
        for name in (*SKUS, *NAMES):
            for op in ("explain", "history"):
                told[f"{op} {name}"] = await shop.ask(op, sku=name)
            told[f"reconcile {name}"] = await shop.ask("reconcile", skus=[name])
        told["history nobody"] = await shop.ask("history", sku=f"nobody {NAMES[0]}")

    world = small_world(WorldConfig(), split=True, skus=())
    for sku, name in SKUS.items():
        put_on_sale(world, sku, 40, split=True)
        world.products[sku].name = f"Title {name}"
    for name in set(NAMES) - set(SKUS):
        put_on_sale(world, name, 40, split=True)
    opened(tmp_path_factory.mktemp("ledger") / "ledger.db", scene, world=world)
    return told


def printed(monkeypatch: pytest.MonkeyPatch, command: list[str], answer: dict[str, Any]) -> str:
    """What a command prints of an answer."""
    for module in (commands, plan, reconcile_entry):
        monkeypatch.setattr(module, "answer", lambda *_args: answer)
    said = CliRunner().invoke(PROGRAM, command, standalone_mode=False)
    assert said.exception is None, said.exception
    return said.output


def arguments(key: str) -> list[str]:
    op, _, name = key.partition(" ")
    return [op, *(["--sku", name] if name else ["--all"] if op == "reconcile" else [])]


def acting(text: str) -> list[str]:
    return [each for each in text if unicodedata.category(each) in ACTS and each != "\n"]


def test_nothing_acts_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, dict[str, Any]]
) -> None:
    for key, answer in answers.items():
        text = printed(monkeypatch, arguments(key), answer)
        assert text
        assert not acting(text), key
    assert sum("error" not in each for each in answers.values()) >= 3 * len(SKUS) + len(OPS)


@pytest.mark.parametrize("sku", SKUS)
def test_a_name_stands_whole_in_a_sheet(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, dict[str, Any]], sku: str
) -> None:
    text = printed(monkeypatch, ["reconcile", "--sku", sku], answers[f"reconcile {sku}"])
    assert text.startswith(f"{sku}  Title {visible(SKUS[sku])}\n")


@pytest.mark.parametrize("sku", SKUS)
def test_json_holds_the_name_as_it_is(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, dict[str, Any]], sku: str
) -> None:
    text = printed(monkeypatch, ["reconcile", "--sku", sku, "--json"], answers[f"reconcile {sku}"])
    assert text.isascii()
    assert not acting(text)
    sheet = json.loads(text)["skus"][0]
    assert (sheet["sku"], sheet["title"]) == (sku, f"Title {SKUS[sku]}")


def shown_by_markdown(text: str) -> tuple[list[str], set[str]]:
    """The texts of all cells of tables, and the kinds of everything that is in them, as Markdown has it."""
    cells: list[str] = []
    kinds: set[str] = set()
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text):
        if token.type == "inline" and token.children is not None:
            kinds |= {each.type for each in token.children}
            cells.append("".join(each.content for each in token.children))
        elif token.type.startswith("html"):
            kinds.add(token.type)
    return cells, kinds


@given(st.text(st.characters(), max_size=20) | st.sampled_from(NAMES))
def test_a_cell_of_markdown_is_what_it_says(name: str) -> None:
    table = "\n".join(plan_text.grid(["SKU", "next"], [[name, "next"]], set()))
    cells, kinds = shown_by_markdown(table)
    told = " ".join(visible(name).split())
    shown = told if len(told) <= plan_text.CELL else f"{told[: plan_text.CELL - 1]}…"
    assert cells == ["SKU", "next", shown, "next"]
    assert kinds <= {"text", "text_special"}


def test_a_plan_in_markdown_names_every_listing_and_makes_nothing_of_it(
    answers: dict[str, dict[str, Any]],
) -> None:
    told = answers["plan"]
    assert {each["sku"] for each in told["plan"]["entries"]} >= {sku.casefold() for sku in SKUS}
    text = plan_text.markdown(told)
    assert not acting(text)
    cells, kinds = shown_by_markdown(text.removeprefix(plan_text.MARK))
    assert {" ".join(visible(each["sku"]).split())[:50] for each in told["plan"]["entries"]} <= {
        cell[:50] for cell in cells
    }
    assert kinds <= {"text", "text_special"}
