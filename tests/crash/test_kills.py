"""The daemon as a process, killed with SIGKILL at random moments beside a business that goes on.

RECONCILERD_KILLS says how often (3 by default). The business outlives every kill, and keeps what came through its
doors: each write there must have one intent of its own in the ledger, from before.
"""

import json
import os
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from reconcilerd.cli.demo.tenant import write_tenant
from reconcilerd.domain.facts import CorrectionPlanned
from reconcilerd.errors import LedgerAbsent
from reconcilerd.ledger.reader import open_reader
from reconcilerd.simulator.shoppers import COLUMNS, busy_hour, read_invoices
from tests.cli.programs import PATIENCE_S, run, running, wait_until

KILLS = int(os.environ.get("RECONCILERD_KILLS", "3"))
LONGEST_S = 6.0
"""Reading everything once takes about half of it."""
CODES = tuple(f"K{number}" for number in range(8))
INVOICES = 240


@dataclass(frozen=True, slots=True)
class Scene:
    """A configuration, and where the business that it is for answers."""

    config: Path
    base: str

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.base}{path}", timeout=20) as reply:
            return json.load(reply)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A handful of SKUs, so that a start is quick, and an order or a foreign write every few seconds."""
    folder = tmp_path_factory.mktemp("kills")
    orders = folder / "orders.csv"
    lines = [",".join(COLUMNS)]
    for number in range(INVOICES):
        moment = f"2010-12-09T10:{number * 60 // INVOICES:02d}:{number % 60:02d}Z"
        lines.append(f"{600_000 + number},{CODES[number % len(CODES)]},a thing,2,{moment},1.00,UK")
    orders.write_text("\n".join(lines) + "\n", "utf-8")
    serve = ("simulator", "--demo", "--port", "0", "--orders", str(orders), "--faults", "mild")
    with running(folder, *serve, log="simulator.log") as simulator:
        assert simulator.stdout is not None
        base = simulator.stdout.readline().strip()
        config = write_tenant(folder, int(base.rsplit(":", 1)[1]), busy_hour(read_invoices(orders)))
        yield Scene(config, base)


def intents(config: Path) -> dict[tuple[str, str, int], list[int]]:
    """When each (store, item, quantity) was meant to be written, by a ledger that must prove itself.

    None where the daemon was killed before it could begin one.
    """
    try:
        reader = open_reader(config.parent / "reconcilerd.db")
    except LedgerAbsent:
        return defaultdict(list)
    try:
        found = reader.verify()
        assert found.ok, found.why
        planned: dict[tuple[str, str, int], list[int]] = defaultdict(list)
        names: set[str] = set()
        for entry in reader.entries():
            for fact in entry.facts:
                if isinstance(fact, CorrectionPlanned):
                    assert fact.id not in names, "one id for two intents"
                    names.add(fact.id)
                    planned[fact.slot.channel, fact.slot.listing, fact.target].append(entry.at)
        return planned
    finally:
        reader.close()


def check_door(scene: Scene) -> int:
    """I18: each write at the door has an intent of its own, written down before. How many there were."""
    written = scene.ask("/door")["written"]
    check_written(written, scene.config)
    return len(written)


def check_written(written: list[dict[str, Any]], config: Path) -> None:
    """Each of these writes has an intent of its own in the ledger beside the configuration, from before."""
    planned = intents(config)
    for each in sorted(written, key=lambda one: one["at"]):
        mine = planned[each["store"], each["item"], each["quantity"]]
        assert mine, f"nobody meant to write {each}"
        assert mine.pop(0) <= each["at"], f"written before it was meant: {each}"


def up(config: Path) -> bool:
    done = run(config.parent, "status", "--json", "--config", str(config))
    return done.returncode != 8 and bool(json.loads(done.stdout or "{}"))


@pytest.mark.timeout(900 + 60 * KILLS)
def test_killed_at_random_moments_it_writes_nothing_unmeant_and_converges(scene: Scene) -> None:
    chance, took = Random(KILLS), 0.0
    for number in range(KILLS):
        began = time.monotonic()
        with running(scene.config.parent, "run", "--config", str(scene.config)) as daemon:
            time.sleep(chance.uniform(0.2, LONGEST_S))
            assert daemon.poll() is None, (scene.config.parent / "log").read_text("utf-8")[-2000:]
            daemon.kill()
            daemon.wait(PATIENCE_S)
        try:
            check_door(scene)
        except AssertionError as error:
            error.add_note(f"after kill {number + 1} of {KILLS}")
            raise
        took += time.monotonic() - began
    print(f"{KILLS} kills, {took / max(1, KILLS):.1f} s each")
    with running(scene.config.parent, "run", "--config", str(scene.config)) as daemon:
        wait_until("the daemon to answer", lambda: up(scene.config))
        # On a busy machine each of them may have been killed before its first write.
        wait_until("something to be written", lambda: check_door(scene) > 0)
        wait_until("everything to be in step", lambda: in_step(scene))
        daemon.terminate()
        assert daemon.wait(PATIENCE_S) == 0
    check_door(scene)
    lines = (scene.config.parent / "log").read_text("utf-8").splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    assert not [line for line in told if line["level"] in {"error", "critical"}]


def in_step(scene: Scene) -> bool:
    """Whether nothing differs just now; trade goes on, so that this comes and goes."""
    done = run(scene.config.parent, "reconcile", "--all", "--json", "--config", str(scene.config))
    return done.returncode == 0
