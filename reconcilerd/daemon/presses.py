"""What people do by pressing buttons under alerts: who may, what it still means, and what is said to it.

A press does what a command does, by the same answers. It is refused, and changes nothing, where somebody may not, where
it was dealt with before, and where what it is about is over or has changed since it was shown.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, Protocol, assert_never

import structlog

from reconcilerd.alerting.buttons import ALL, SILENCE_S, Button, Do
from reconcilerd.alerting.engine import Engine, NotTaken, Permanent
from reconcilerd.alerting.slack import escaped
from reconcilerd.alerting.slack_payload import Press, press_of
from reconcilerd.alerting.wording import clock_of
from reconcilerd.daemon.consents import Consents, Proposal, Said
from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.facts import ConsentGiven, FreezeSet
from reconcilerd.domain.names import after
from reconcilerd.domain.verdicts import MEANS
from reconcilerd.domain.visible import visible
from reconcilerd.errors import ReconcilerdError

log = structlog.get_logger("reconcilerd.slack")

OLDEST_MS = 300_000
"""An older press is not acted on: whoever pressed has long stopped waiting for it."""
AHEAD_MS = 120_000
"""How far Slack's clock may be ahead of ours."""
MOST_SEEN = 2_000
SHOWN = 10
Right = Literal["approve", "freeze", "unfreeze", "silence"]
RIGHTS: Mapping[Do, Right] = {
    Do.LOOK_APPROVE: "approve",
    Do.APPROVE: "approve",
    Do.FREEZE: "freeze",
    Do.LOOK_UNFREEZE: "unfreeze",
    Do.UNFREEZE: "unfreeze",
    Do.SILENCE: "silence",
}
Result = Literal["done", "shown", "refused", "stale", "repeated", "malformed", "failed"]
RESULTS: tuple[Result, ...] = ("done", "shown", "refused", "stale", "repeated", "malformed", "failed")
OVER = "This alert is over; nothing was changed. `reconcilerd status` says how things stand."


Seen = dict[tuple[str, ...], None]
"""Identities of presses, the oldest first."""


class Speaker(Protocol):
    """Speaks where the alerts are."""

    async def whisper(self, user: str, text: str, thread: str = "") -> None: ...

    async def reply(self, thread: str, text: str, buttons: Sequence[Button] = ()) -> None: ...


@dataclass(frozen=True, slots=True)
class House:
    """Where presses may come from, and who may do what there (ids of Slack)."""

    team: str
    channel: str
    people: Mapping[Right, Set[str]]


class Presses:
    """Deals with presses, one at a time."""

    def __init__(
        self,
        house: House,
        speaker: Speaker,
        engine: Engine,
        desk: Desk,
        consents: Consents,
        answer: Callable[[dict[str, Any], str], Awaitable[dict[str, Any]]],
        probed: Callable[[str], None],
        counts: Counter[str],
        seen: Seen,
    ) -> None:
        """``answer``: as any request is answered, and by whom. ``probed``: somebody who may not tried to.

        ``seen``: presses that were dealt with; one that is among them does nothing.
        """
        self._house = house
        self._speaker = speaker
        self._engine = engine
        self._desk = desk
        self._consents = consents
        self._answer = answer
        self._probed = probed
        self._counts = counts
        self._seen = seen

    async def take(self, payload: Mapping[str, Any], app: str) -> None:
        """Deal with what Slack says was pressed in an app. Raises LedgerFault."""
        try:
            press = press_of(payload)
        except ValueError as error:
            self._counts["malformed"] += 1
            log.warning("press_malformed", why=str(error))
            return
        result = await self._deal(press, app)
        self._counts[result] += 1
        log.info("pressed", what=str(press.button.do), by=press.user, result=result)

    async def _deal(self, press: Press, app: str) -> Result:
        house = self._house
        at_home = press.team == press.home == house.team and press.channel == house.channel
        if not at_home or (app and press.app != app):
            # Nothing is said to strangers.
            self._turn_away(f"{press.user} of workspace {press.home}")
            return "refused"
        if press.identity in self._seen:
            return "repeated"
        self._seen[press.identity] = None
        while len(self._seen) > MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        right = RIGHTS[press.button.do]
        if press.user not in house.people[right]:
            self._turn_away(f"{press.user}, to {right}")
            text = f"You may not {right} here: alerts.people.{right} lists who may. Nothing was done."
            return await self._whisper(press, text, "refused")
        now = self._desk.clock()
        if not after(now, -OLDEST_MS) <= press.at <= after(now, AHEAD_MS):
            text = "That press came too late (or a clock is wrong); nothing was done. Press again."
            return await self._whisper(press, text, "stale")
        return await self._act(press)

    def _turn_away(self, who: str) -> None:
        self._desk.counts.turned_away["slack"] += 1
        self._probed(who)

    async def _act(self, press: Press) -> Result:
        match press.button.do:
            case Do.LOOK_APPROVE:
                return await self._look_approve(press)
            case Do.APPROVE:
                return await self._approve(press)
            case Do.FREEZE:
                return await self._freeze(press)
            case Do.LOOK_UNFREEZE:
                return await self._look_unfreeze(press)
            case Do.UNFREEZE:
                return await self._unfreeze(press)
            case Do.SILENCE:
                return await self._silence(press)

    def _stands(self, button: Button) -> bool:
        """Whether the alert is still the one that the button is about."""
        seen = self._engine.look_up(button.key)
        return seen is not None and seen.episode.firing and seen.episode.number == button.episode

    async def _look_approve(self, press: Press) -> Result:
        button, channel = press.button, press.button.channel
        now = self._consents.proposal(channel)
        if not now.rows:
            return await self._whisper(press, "Nothing waits for an approval there any more.", "stale")
        approve = Button(Do.APPROVE, button.key, button.episode, channel, now.mark)
        return await self._reply(press, proposal_text(now), "shown", [approve])

    async def _approve(self, press: Press) -> Result:
        channel, by = press.button.channel, by_of(press.user)
        reason = f"in Slack, shown under {press.thread}"
        said = await self._consents.agree(channel, press.button.mark, by, reason)
        match said:
            case Said.APPROVED:
                done = "approved; it goes out as the rails let it, for two hours. `reconcilerd envelopes`"
                return await self._reply(press, f"{mention(press.user)} {done}", "done")
            case Said.WAITS:
                given = self._consents.waiting(channel)[-1]
                again = Button(Do.APPROVE, press.button.key, press.button.episode, channel, given.id)
                return await self._reply(press, self._waits_text(press, given), "done", [again])
            case Said.SAME_PERSON:
                text = "You agreed already; somebody else who may approve must agree too."
            case Said.MOVED:
                text = "What waits has changed since it was shown; nothing was approved. Press Approve ... again."
            case Said.ALREADY:
                text = "All of it is approved already; nothing was changed. `reconcilerd envelopes`"
            case Said.LATE:
                text = "Nobody else agreed in time; nothing was approved. Press Approve ... again."
            case Said.OVER:
                text = "Nothing waits for an approval there any more; nothing was changed."
            case _:
                assert_never(said)
        return await self._whisper(press, text, "stale")

    def _waits_text(self, press: Press, given: ConsentGiven) -> str:
        others = sorted(self._house.people["approve"] - {press.user})
        zeros = f"{len(given.zeros)} listing{'s' * (len(given.zeros) != 1)} could come to zero"
        who = (
            f"so one of {', '.join(map(mention, others))} must agree too, until {clock_of(given.until)}"
            if others
            else "which takes two people, and alerts.people.approve lists nobody else: "
            "`reconcilerd approve --zero` on the machine"
        )
        return f"{mention(press.user)} agrees. {zeros}, {who}. Nothing is sent yet."

    async def _freeze(self, press: Press) -> Result:
        button = press.button
        if not self._stands(button):
            return await self._whisper(press, OVER, "stale")
        standing = self._freeze_of(button.channel)
        if standing is not None and standing.until is None:
            text = f"Nothing was changed: {_where(button)} {_frozen(standing)}"
            return await self._whisper(press, text, "stale")
        told = await self._ask(
            press, {"op": "freeze", **_of(button), "reason": f"in Slack, about {button.key}"}
        )
        if told is not None:
            return await self._whisper(press, told, "failed")
        made = self._freeze_of(button.channel)
        back = [Button(Do.UNFREEZE, button.key, button.episode, button.channel, str(made.at))] if made else []
        text = f"{mention(press.user)} froze {_where(button)}: nothing is written there until somebody allows it again."
        return await self._reply(press, text, "done", back)

    async def _look_unfreeze(self, press: Press) -> Result:
        button = press.button
        standing = self._freeze_of(button.channel)
        if standing is None:
            return await self._whisper(
                press, f"{_where(button)} is not frozen; nothing was changed.", "stale"
            )
        allow = Button(Do.UNFREEZE, button.key, button.episode, button.channel, str(standing.at))
        return await self._reply(press, f"{_where(button)} {_frozen(standing)}.", "shown", [allow])

    async def _unfreeze(self, press: Press) -> Result:
        button = press.button
        standing = self._freeze_of(button.channel)
        if standing is None:
            return await self._whisper(
                press, f"{_where(button)} is not frozen any more; nothing was changed.", "stale"
            )
        if str(standing.at) != button.mark:
            text = f"Nothing was changed: it was frozen anew since. {_where(button)} {_frozen(standing)}"
            return await self._whisper(press, text, "stale")
        told = await self._ask(press, {"op": "unfreeze", **_of(button), "reason": "in Slack"})
        if told is not None:
            return await self._whisper(press, told, "failed")
        return await self._reply(
            press, f"{mention(press.user)} allowed writes to {_where(button)} again.", "done"
        )

    async def _silence(self, press: Press) -> Result:
        seen = self._engine.look_up(press.button.key)
        if seen is None or not self._stands(press.button):
            return await self._whisper(press, OVER, "stale")
        if seen.silence:
            return await self._whisper(press, "It is silenced already; nothing was changed.", "stale")
        request = {
            "op": "silence",
            "kinds": seen.episode.kind,
            "subjects": _exactly(seen.episode.subject),
            "for_s": SILENCE_S,
            "reason": "in Slack",
        }
        told = await self._ask(press, request)
        if told is not None:
            return await self._whisper(press, told, "failed")
        text = f"{mention(press.user)} silenced this alert for {SILENCE_S // 3600} hours. `reconcilerd alerts list`"
        return await self._reply(press, text, "done")

    def _freeze_of(self, channel: str) -> FreezeSet | None:
        """The freeze of a channel, or of all, that holds now."""
        return self._desk.book.words.freeze_of("" if channel == ALL else channel, self._desk.clock())

    async def _ask(self, press: Press, request: dict[str, Any]) -> str | None:
        """Have a request answered; why it was refused, if it was."""
        told = await self._answer(request, by_of(press.user))
        refused = told.get("error")
        return None if refused is None else f"That was refused: {escaped(visible(str(refused['message'])))}"

    async def _whisper(self, press: Press, text: str, result: Result) -> Result:
        under = press.thread if press.thread != press.message else ""
        await self._spoken(self._speaker.whisper(press.user, text, under))
        return result

    async def _reply(self, press: Press, text: str, result: Result, buttons: Sequence[Button] = ()) -> Result:
        await self._spoken(self._speaker.reply(press.thread, text, buttons))
        return result

    @staticmethod
    async def _spoken(saying: Awaitable[None]) -> None:
        """What was done is done, whether or not Slack takes the word of it."""
        try:
            await saying
        except (Permanent, NotTaken, ReconcilerdError) as error:
            log.warning("press_not_answered", why=str(error))


def by_of(user: str) -> str:
    """Who did it, as the ledger keeps it."""
    return f"slack {user}"


def mention(user: str) -> str:
    return f"<@{user}>"


def _where(button: Button) -> str:
    return "every channel" if button.channel == ALL else escaped(visible(button.channel))


def _of(button: Button) -> dict[str, str]:
    return {} if button.channel == ALL else {"channel": button.channel}


def _frozen(freeze: FreezeSet) -> str:
    why = escaped(visible(freeze.reason[:200])) or "no reason given"
    end = "until somebody lifts it" if freeze.until is None else f"until {clock_of(freeze.until)}"
    return f"is frozen since {clock_of(freeze.at)} {end} by {escaped(visible(freeze.by))}: {why}"


def _exactly(subject: str) -> str:
    """A pattern that only this subject fits."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in subject)


def proposal_text(now: Proposal) -> str:
    """What an approval would release, in Slack's markup."""
    rows = [
        f"- `{escaped(visible(sku))}` shows {shows}, should show {desired}: {MEANS[verdict].partition(';')[0]}"
        for sku, _, shows, desired, verdict in now.rows[:SHOWN]
    ]
    more = len(now.rows) - len(rows)
    two = "\nIt takes two people: listings could come to zero." if now.zeros else ""
    count = f"{len(now.rows)} correction{'s' * (len(now.rows) != 1)} of {escaped(now.channel)}"
    return (
        "\n".join(
            [
                f"*{count} would be released for two hours:*",
                *rows,
                *(
                    [f"and {more} more: `reconcilerd reconcile --all --channel {escaped(now.channel)}`"]
                    if more > 0
                    else []
                ),
            ]
        )
        + "\nOn any channel a listing of these SKUs may change by as much as its own SKU does here, "
        + f"at most {now.ceiling} units.{two}"
    )
