"""What the daemon costs while nothing happens: nine pollers over real HTTP, its memory and its share of one core.

The business that it reads is the simulator's while it is closed: feeds are read, and nothing changes.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.ratio import Ratio
from tests.cli.programs import running, wait_until

REPOSITORY = Path(__file__).parents[2]
MEMORY_MB = 65.0
CORE_PERCENT = 0.2
SETTLES_S = 60.0
MEASURED_S = 120.0
PAGE = 1024


def ratios() -> Sequence[Ratio]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder, "simulator", "--closed", "--port", "0", log="simulator") as simulator:
            port = _port_of(simulator.stdout.readline() if simulator.stdout else "")
            config = folder / "config.toml"
            config.write_text(
                _with_one_channel((REPOSITORY / "config.toml").read_text("utf-8"), port), "utf-8"
            )
            with running(folder, "run", "--config", str(config), env=_of_the_unit()) as daemon:
                wait_until("the control socket", (folder / "reconcilerd.sock").exists)
                time.sleep(SETTLES_S)
                before, began = _on_core_s(daemon.pid), time.monotonic()
                time.sleep(MEASURED_S)
                spent, lasted = _on_core_s(daemon.pid) - before, time.monotonic() - began
                memory, private = _memory_mb(daemon.pid)
    percent = 100 * spent / lasted
    return [
        Ratio(
            "idle memory",
            memory / MEMORY_MB,
            1.0,
            f"{memory:.1f} MB resident, {private:.1f} of its own, of {MEMORY_MB:g}",
        ),
        Ratio(
            "idle processor",
            percent / CORE_PERCENT,
            1.0,
            f"{percent:.3f} % of a core over {lasted:.0f} s, of {CORE_PERCENT} %",
        ),
    ]


def _of_the_unit() -> dict[str, str]:
    """What the unit sets for the program as such."""
    lines = (REPOSITORY / "systemd/reconcilerd.service").read_text("utf-8").splitlines()
    words = " ".join(line.partition("=")[2] for line in lines if line.startswith("Environment=")).split()
    return {
        name: value for name, _, value in (each.partition("=") for each in words) if "RECONCILERD" not in name
    }


def _port_of(line: str) -> str:
    return line.rpartition(":")[2].split("/")[0].strip()


def _with_one_channel(text: str, port: str) -> str:
    """The configuration that ships, at another port, without its other channels and its page: nine feeds."""
    head, _, rest = text.partition("[[channels]]")
    first, pools = rest.partition("[[channels]]")[0], rest[rest.index("[[pools]]") :]
    whole = f"{head}[[channels]]{first}{pools}"
    return whole.replace("127.0.0.1:8765", f"127.0.0.1:{port}").replace(
        'listen = "127.0.0.1:9641"', 'listen = ""'
    )


def _on_core_s(pid: int) -> float:
    """How long all its threads have run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in tasks) / 1e9


def _memory_mb(pid: int) -> tuple[float, float]:
    """What is resident, and the part of it that no other process shares."""
    found = {
        line.split(":")[0]: int(line.split()[1])
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    }
    return found["Rss"] / PAGE, (found["Private_Dirty"] + found["Private_Clean"]) / PAGE
