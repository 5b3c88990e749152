"""Every branch of the domain is taken by a test of the domain: ``python -m tests.branches [--least PERCENT]``.

Exit code 0 with all of them, or as large a part as was asked for, else 1, and the lines that no test reaches. Chance
is fixed, so that nothing comes and goes with it.
"""

import os
import sys
from pathlib import Path

import coverage

ROOT = Path(__file__).parents[1]
ROOMS = ("tests/domain",)


def main() -> int:
    """Run the rooms' tests under measurement; nothing of the domain may be imported before it begins."""
    os.chdir(ROOT)
    os.environ["HYPOTHESIS_PROFILE"] = "dev"
    measured = coverage.Coverage(data_file=None)
    measured.start()
    import pytest

    code = int(pytest.main([*ROOMS, "-n", "0", "--hypothesis-seed=0", "-p", "no:cacheprovider"]))
    measured.stop()
    percent = measured.report()
    least = float(sys.argv[2]) if sys.argv[1:2] == ["--least"] else 100.0
    return code or int(percent < least)


if __name__ == "__main__":
    sys.exit(main())
