"""Every branch of the domain is taken by a test of the domain: ``python -m tests.branches``.

Exit code 0 with all of them, else 1, and the lines that no test reaches. Of what Hypothesis makes up only the first
few examples count, always the same: a branch that only luck takes has no test.
"""

import argparse
import os
import sys
from pathlib import Path

import coverage

ROOT = Path(__file__).parents[1]
ROOMS = ("tests/domain",)


def main() -> int:
    """Run the rooms' tests under measurement; nothing of the domain may be imported before it begins."""
    os.chdir(ROOT)
    os.environ["HYPOTHESIS_PROFILE"] = "few"
    measured = coverage.Coverage(data_file=None)
    measured.start()
    import pytest

    code = int(pytest.main([*ROOMS, "-n", "0", "-p", "no:cacheprovider"]))
    measured.stop()
    percent = measured.report()
    return code or int(percent < 100)


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m tests.branches", description=__doc__, allow_abbrev=False
    ).parse_args()
    sys.exit(main())
