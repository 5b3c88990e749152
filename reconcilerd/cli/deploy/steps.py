"""The order of a deployment: all that can be refused is refused before anything stops; what does not do goes back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from reconcilerd.cli.deploy.gates import Look, fault
from reconcilerd.cli.deploy.host import Done
from reconcilerd.errors import ConfigFault

LOOK_S: Final = 5.0
BACK_S: Final = 120.0
"""How long the version before may take to answer again."""


class Machine(Protocol):
    """What is done to the machine; see ``Host``."""

    @property
    def ledger(self) -> Path: ...
    def current(self) -> Path: ...
    def build(self, name: str, source: str, lock: Path | None, wheels: Path | None) -> Path: ...
    def ask(self, release: Path, *words: str, timeout_s: float = ...) -> Done: ...
    def switch(self, release: Path) -> None: ...
    def moved(self, release: Path) -> Path: ...
    def put_units(self, release: Path) -> Done: ...
    def start(self) -> Done: ...
    def stop(self) -> Done: ...
    def look(self, release: Path) -> Look: ...
    def forget_old(self, *keep: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to deploy, under which name, and how long to watch it."""

    name: str
    source: str
    watch_s: float
    lock: Path | None = None
    wheels: Path | None = None


class NotBack(Exception):
    """Neither the new version does nor could the one before be brought back: a person must, now."""


@dataclass(slots=True)
class Deployment:
    """``say``: tells people what is done; ``rest``: sleeps."""

    machine: Machine
    wanted: Wanted
    say: Callable[[str], None]
    rest: Callable[[float], None]

    def __call__(self) -> str:
        """Empty where the new version stays; else why it was taken back.

        Raises ConfigFault for what is refused before anything changed, NotBack.
        """
        machine = self.machine
        old = machine.current()
        new = machine.build(self.wanted.name, self.wanted.source, self.wanted.lock, self.wanted.wheels)
        self.say(f"installed {new}")
        self._must(
            machine.ask(new, "check-config", "--no-secrets"), "the new version refuses the configuration"
        )
        before = machine.look(old)
        backup = self._backup(old)
        # Also how a downgrade is refused: it cannot read what a newer version wrote.
        self._must(
            machine.ask(new, "restore", str(backup), "--check"), "the new version cannot read the ledger"
        )
        known = set(self._copies())
        self._must(machine.stop(), "the unit does not stop")
        why = self._put(new)
        old = machine.moved(old)
        why = why or self._watched(new, before)
        if not why:
            machine.forget_old(old, new)
            return ""
        self.say(f"GOING BACK: {why}")
        self._back(old, backup, known)
        return why

    def _must(self, done: Done, what: str) -> None:
        if done.code:
            raise ConfigFault((f"{what}; nothing was changed: {done.said}",))

    def _backup(self, old: Path) -> Path:
        done = self.machine.ask(old, "backup")
        self._must(done, "no backup can be made")
        self.say("backed up, and proven: " + done.out.splitlines()[0])
        return Path(done.out.splitlines()[0].strip())

    def _put(self, release: Path) -> str:
        """Start a release in place of what is stopped; why it does not start."""
        self.machine.switch(release)
        for done in (self.machine.put_units(release), self.machine.start()):
            if done.code:
                return f"it does not start: {done.said}"
        self.say(f"started {release}")
        return ""

    def _watched(self, new: Path, before: Look) -> str:
        """Look for as long as is wanted, and on until it is ready or may not be waited for; why it must go back.

        A hiccup in the last look is one like any other.
        """
        looks: list[Look] = [self.machine.look(new)]
        end_s = looks[0].at_s + self.wanted.watch_s
        while not (why := fault(looks, before)) and (looks[-1].at_s < end_s or looks[-1].why):
            self.rest(LOOK_S)
            looks.append(self.machine.look(new))
        return why

    def _copies(self) -> list[Path]:
        """Copies that a start makes of a ledger before it upgrades it."""
        ledger = self.machine.ledger
        return sorted(ledger.parent.glob(f"{ledger.name}.m*"))

    def _back(self, old: Path, backup: Path, known: set[Path]) -> None:
        machine = self.machine
        machine.stop()
        if machine.ask(old, "restore", str(machine.ledger), "--check").code:
            # The new version has upgraded it. Its last state before that is the copy made then, else our backup.
            made = [each for each in self._copies() if each not in known]
            file = made[0] if made else backup
            done = machine.ask(old, "restore", str(file), "--replace")
            if done.code:
                raise NotBack(f"the ledger cannot be put back from {file}: {done.said}")
            self.say(
                f"put the ledger back from {file}; what the new version did after it is found by reading"
            )
        why = self._put(old) or self._answers(old)
        if why:
            raise NotBack(f"the version before, {old}: {why}")

    def _answers(self, release: Path) -> str:
        """Wait until it answers; why it does not."""
        look = self.machine.look(release)
        end_s = look.at_s + BACK_S
        while look.why.startswith("it does not answer") and look.at_s < end_s:
            self.rest(LOOK_S)
            look = self.machine.look(release)
        return (
            "" if look.running and not look.why.startswith("it does not answer") else look.why or "it ended"
        )
