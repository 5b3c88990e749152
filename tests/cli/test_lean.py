"""What a daemon carries in memory: nothing that draws, writes pages, upgrades, or serves whom nobody named."""

import subprocess
import sys
from pathlib import Path

import pytest

from reconcilerd.cli.lean import without

UNWANTED = (
    "apprise",
    "argparse",
    "dateutil",
    "difflib",
    "graphql",
    "jinja2",
    "opentelemetry",
    "prometheus_client",
    "pygments",
    "reconcilerd.alerting.slack_bot",
    "reconcilerd.alerting.slack_socket",
    "reconcilerd.cli.commands",
    "reconcilerd.cli.last_word",
    "reconcilerd.cli.render",
    "reconcilerd.daemon.presses",
    "reconcilerd.domain.counterfactual",
    "reconcilerd.domain.explain",
    "reconcilerd.ledger.migrations",
    "rich",
    "smtplib",
    "sqlite_utils",
    "starlette",
    "uvicorn",
    "websockets",
)


def test_a_daemon_starts_without_what_only_others_need() -> None:
    code = (
        "import sys\n"
        "import reconcilerd.cli.main\n"
        "from reconcilerd.cli.lean import DRAWING, without\n"
        "with without(*DRAWING):\n"
        "    import reconcilerd.cli.run\n"
        f"print(*[name for name in {UNWANTED} if name in sys.modules])\n"
        "import rich.console\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == ([], "")


def test_only_a_ledger_that_is_not_up_to_date_takes_the_library_that_upgrades_it(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from reconcilerd.ledger.store import Ledger\n"
        "Ledger.open(Path(sys.argv[1]), clock=lambda: 0).close()\n"
        "print('sqlite_utils' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "ledger.db")]
    told = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert told == ["True\n", "False\n"]


def test_what_is_hidden_is_not_there_within_and_is_there_afterwards() -> None:
    sys.modules.pop("colorsys", None)
    with without("colorsys", "json"):
        assert sys.modules["json"] is not None, "what is loaded stays"
        with pytest.raises(ModuleNotFoundError):
            import colorsys
    import colorsys

    assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
