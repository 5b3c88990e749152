"""``reconcilerd``: where the program begins and ends."""

import sys
from functools import partial

from reconcilerd.cli.exits import wants_json
from reconcilerd.cli.program import cli


def main(argv: list[str] | None = None) -> int:
    """Run a command; every error of ours becomes one sentence (for --json one JSON object) and its exit code."""
    from reconcilerd.cli.failing import ended

    args = sys.argv[1:] if argv is None else argv
    run = partial(cli.main, args, prog_name="reconcilerd", standalone_mode=False)
    return sys.exit(ended(run, as_json=wants_json(args)))


if __name__ == "__main__":
    main()
