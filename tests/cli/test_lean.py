"""What a daemon carries in memory: nothing that draws, writes pages or speaks for receivers that nobody named."""

import subprocess
import sys

import pytest

from reconcilerd.cli.lean import without

UNWANTED = (
    "apprise",
    "graphql",
    "jinja2",
    "opentelemetry",
    "prometheus_client",
    "pygments",
    "rich",
    "smtplib",
    "uvicorn",
    "websockets",
)


def test_a_daemon_starts_without_what_only_others_need() -> None:
    code = (
        "import sys\n"
        "from reconcilerd.cli.lean import DRAWING, without\n"
        "with without(*DRAWING):\n"
        "    import reconcilerd.cli.run\n"
        f"print(*[name for name in {UNWANTED} if name in sys.modules])\n"
        "import rich.console\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == ([], "")


def test_what_is_hidden_is_not_there_within_and_is_there_afterwards() -> None:
    sys.modules.pop("colorsys", None)
    with without("colorsys", "json"):
        assert sys.modules["json"] is not None, "what is loaded stays"
        with pytest.raises(ModuleNotFoundError):
            import colorsys
    import colorsys

    assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
