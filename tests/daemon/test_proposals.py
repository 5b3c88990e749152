"""What an approval would release, as it is shown under an alert."""

import re

from reconcilerd.cli.reconcile_entry import parser
from reconcilerd.daemon.consents import Proposal
from reconcilerd.daemon.presses import SHOWN, proposal_text
from reconcilerd.domain.names import Sku
from reconcilerd.domain.verdicts import Verdict


def test_what_a_proposal_has_no_room_for_is_shown_by_the_command_that_it_names() -> None:
    rows = tuple((Sku(f"s{n}"), f"x/{n}", 5, 1, Verdict.HOLD_UNEXPLAINED) for n in range(SHOWN + 2))
    text = proposal_text(Proposal("shop-uk", rows, tuple(each[0] for each in rows), "lower", 4, ()))
    [command] = re.findall(r"and 2 more: `reconcilerd reconcile (.*)`", text)
    asked = parser().parse_args(command.split())
    assert (asked.all, asked.channel) == (True, "shop-uk")
