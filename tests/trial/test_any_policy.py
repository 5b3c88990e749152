"""Whatever a policy says, nothing that the daemon does under it breaks a rule, and it comes to rest."""

import os
from pathlib import Path

import pytest

from reconcilerd.trial.run import run_trial
from tests.trial.policies import by_chance

POLICIES = int(os.environ.get("RECONCILERD_POLICIES", "12"))


@pytest.mark.parametrize("seed", range(POLICIES))
def test_no_policy_has_the_daemon_break_a_rule(tmp_path: Path, seed: int) -> None:
    """What it was is told where it fails; half of them meet every fault there is."""
    faults = ("hostile", "none", "hostile", "mild")[seed % 4]
    outcome = run_trial(by_chance(seed, tmp_path), seed, 0.5, faults)
    said = "\n".join((tmp_path / name).read_text("utf-8") for name in ("config.toml", "rules.csv"))
    assert outcome.violations == (), said
    assert outcome.rested, said
