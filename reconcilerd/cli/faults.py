"""What may strike a pretend business: the menu of faults as it is printed, and whether a record strikes anything."""

import sys
from collections.abc import Sequence, Set

import click

from reconcilerd.cli.options import print_json
from reconcilerd.cli.render import columns_of
from reconcilerd.cli.wrapping import beside
from reconcilerd.domain.visible import visible
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.faults import LEVELS, Script, menu_rows

MENU = "list"
"""What is said instead of faults by who wants to know which there are."""
NAMES = 22
"""The column of their names."""
SHOWN = 5


def print_menu(*, as_json: bool) -> int:
    """Every fault with what it is and what it strikes, and the levels."""
    rows = menu_rows()
    if as_json:
        faults = [{"fault": name, "means": means, "strikes": list(on)} for name, means, on in rows]
        levels = [
            {"level": level, "rates": {str(fault): rate for fault, rate in rates.items()}}
            for level, rates in LEVELS.items()
        ]
        told = {"schema": "reconcilerd.simulate-faults/1", "faults": faults, "levels": levels}
        print_json({**told, "exit_code": 0})
        return 0
    columns = columns_of(sys.stdout)
    said = [(name, f"{means} ({', '.join(on)})") for name, means, on in rows]
    for level, rates in LEVELS.items():
        total = f"{sum(rates.values()):.3f} a request" if rates else "nothing"
        said.append((level, f"{len(rates)} of them, {total}"))
    for name, text in said:
        for line in beside(name, text, columns, NAMES):
            click.echo(line)
    return 0


def check_script(script: Script, seeds: Sequence[int], systems: Set[str]) -> None:
    """Raises ConfigFault for a record that strikes nothing here: none of these seeds, or systems that are not there.

    A record of many seeds may strike one of them.
    """
    told = sorted(script.exactly)
    if not told:
        raise ConfigFault(("faults: the record is empty; name one that simulate --record wrote",))
    played = set(seeds) & script.exactly.keys()
    if not played:
        some = ", ".join(map(str, told[:SHOWN])) + (f" and {len(told) - SHOWN} more" * (len(told) > SHOWN))
        raise ConfigFault((f"faults: the record is of seed {some}; play that: --seed {told[0]}",))
    struck = {system for seed in played for system, _ in script.exactly[seed]}
    if struck - systems:
        names = ", ".join(sorted(visible(each)[:40] for each in struck - systems)[:SHOWN])
        known = ", ".join(sorted(systems))
        raise ConfigFault(
            (f"faults: the record strikes {names}; this business has {known}: play what it was made with",)
        )
