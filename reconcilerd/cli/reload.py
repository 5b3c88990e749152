"""SIGHUP and ``reconcilerd reload``: the changed configuration is put in force whole, or the one before is kept.

Credentials of systems are read at the start and never again, and systemd's do not change while a service runs.
Receivers of alerts, the dead man's switch and buttons are built anew; what was to be told is told all the same.
"""

from pathlib import Path
from typing import Any, Final

import anyio
import structlog
from anyio import to_thread

from reconcilerd.assemble import Assembled, Endpoint
from reconcilerd.cli.outward import Outward
from reconcilerd.cli.wall import monotonic_us, now
from reconcilerd.cli.wiring import Plan, wire
from reconcilerd.config.reload import changed, needs_restart
from reconcilerd.config.secret import redact
from reconcilerd.daemon.logs import configure
from reconcilerd.daemon.notify import notify, reloading
from reconcilerd.daemon.refusals import error
from reconcilerd.domain.facts import AlertTold
from reconcilerd.errors import ConfigFault
from reconcilerd.ledger.reader import Reader
from reconcilerd.web.configuration import InForce

log = structlog.get_logger("reconcilerd.reload")

ROTATION: Final = (
    "credentials of systems, and all that systemd hands over, are read at the start only; a new one takes a restart, "
    "which drains and loses nothing"
)
SHOWN: Final = 20


class Reload:
    """Takes over what a running daemon can, one reload at a time."""

    def __init__(self, config: Path, plan: Plan, built: Assembled, reader: Reader, outward: Outward) -> None:
        self._config = config
        self._plan = plan
        self._built = built
        self._reader = reader
        self._outward = outward
        self._turn = anyio.Lock()
        self._since = now()

    def in_force(self) -> InForce:
        """The configuration that was taken over last."""
        plan, refused = self._plan, self._built.daemon.health.reload_refused
        return InForce(
            str(self._config), plan.text, plan.settings, plan.wiring.policy, self._since, refused or ""
        )

    async def __call__(self) -> dict[str, Any]:
        """Read the configuration again. The answer says what is in force; exit code 2: the one before."""
        async with self._turn:
            notify(*reloading(monotonic_us()))
            try:
                return await self._reload()
            finally:
                notify("READY=1")

    async def _reload(self) -> dict[str, Any]:
        try:
            plan = await to_thread.run_sync(wire, self._config)
        except ConfigFault as fault:
            return self._refuse(fault.faults, "the configuration has faults")
        keys = changed(self._plan.settings, plan.settings)
        fixed = needs_restart(keys) + _other_secrets(self._plan, plan, keys)
        if fixed:
            return self._refuse(tuple(fixed), "these take a restart (systemctl restart), which loses nothing")
        return await self._take_over(plan, keys)

    async def _take_over(self, plan: Plan, keys: list[str]) -> dict[str, Any]:
        daemon, before = self._built.daemon, self._plan.wiring.policy
        policy = plan.wiring.policy
        # The ledger is read first: from here on nothing is awaited until all of it is in force.
        spent = await to_thread.run_sync(plan.recent, self._reader) if policy.limits != before.limits else []
        other = self._outward.is_other(plan)
        heard = await to_thread.run_sync(lambda: list(self._reader.state(AlertTold))) if other else []
        if policy.revision != before.revision or plan.settings.freeze != self._plan.settings.freeze:
            daemon.turn_to(policy, plan.wiring.closed, spent)
        if other:
            self._outward.turn_to(plan, heard)
        daemon.drain_s = plan.wiring.drain_s
        daemon.health.judge_by(policy.ages.max_age_ms, plan.wiring.drift_after_ms)
        daemon.health.reload_refused = None
        if keys:
            told = {"keys": ", ".join(keys[:SHOWN]), "before": before.revision, "policy": policy.revision}
            daemon.changed("a changed configuration is in force", told)
        if plan.settings.daemon.log_level != self._plan.settings.daemon.log_level:
            configure(plan.settings.daemon.log_level, now, redact)
        self._plan, self._since = plan, now()
        log.info(
            "config_reloaded",
            policy=policy.revision,
            before=before.revision,
            keys=keys[:SHOWN],
            note=ROTATION,
        )
        return {
            "policy": policy.revision,
            "before": before.revision,
            "changed": keys,
            "mode": str(policy.limits.mode),
            "note": ROTATION,
            "exit_code": 0,
        }

    def _refuse(self, faults: tuple[str, ...], what: str) -> dict[str, Any]:
        why = f"{what}: {'; '.join(faults[:SHOWN])}"
        self._built.daemon.health.reload_refused = why
        log.error(
            "reload_refused", why=what, faults=list(faults[:SHOWN]), kept=self._plan.wiring.policy.revision
        )
        text = "\n  ".join(
            (f"nothing is taken over, the configuration before stays in force; {what}:", *faults)
        )
        return error(text, 2)


def _other_secrets(before: Plan, after: Plan, keys: list[str]) -> list[str]:
    """Systems whose secret has another value under the same name."""
    ours, theirs = _endpoints(before), _endpoints(after)
    found = [f"credentials of {name}" for name in ours if name in theirs and ours[name] != theirs[name]]
    hooks = before.hooks
    found += [
        f"credential of the webhooks of {name}" for name in hooks if hooks[name] != after.hooks.get(name)
    ]
    return [] if needs_restart(keys) else found


def _endpoints(plan: Plan) -> dict[str, Endpoint]:
    return {"extensiv": plan.wiring.extensiv} | {str(k): each for k, each in plan.wiring.channels.items()}
