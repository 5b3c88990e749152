"""Checks of this machine: the configuration, files, the ledger, who is told, how the daemon is run."""

import re
import socket
import stat
from contextlib import closing
from pathlib import Path
from typing import Final

from reconcilerd.alerting.slack import Answer
from reconcilerd.cli.doctor.line import Line, Lines, Scene, fail, ok, warn
from reconcilerd.cli.install_systemd import UNITS, files
from reconcilerd.cli.receivers import receivers_of
from reconcilerd.cli.render import NAMED
from reconcilerd.cli.wall import now
from reconcilerd.cli.wrapping import several
from reconcilerd.config.fields import address_of
from reconcilerd.config.settings import Settings
from reconcilerd.domain.policy import Mode, Policy, PoolMode, Publisher
from reconcilerd.errors import ConfigFault, LedgerAbsent, LedgerFault
from reconcilerd.ledger.backups import last_backup, overdue
from reconcilerd.ledger.disk import LOW_PERCENT, files_of, room
from reconcilerd.ledger.reader import Reader, open_reader
from reconcilerd.ledger.standing import PUT_BACK
from reconcilerd.ledger.versions import ALL

FULL_BYTES: Final = 100 * 2**20
"""With less room than this the ledger will soon not take an entry."""
PATIENCE_S: Final = 2.0
LEND: Final = (
    "store it; under systemd lend this command the daemon's: "
    "CREDENTIALS_DIRECTORY=/etc/reconcilerd/credentials"
)
MINE: Final = stat.S_IRWXG | stat.S_IRWXO
PROGRAM: Final = re.compile(r"^ExecStart=(\S+)/reconcilerd ", re.MULTILINE)
WRITERS: Final = stat.S_IWGRP | stat.S_IWOTH


def config(scene: Scene) -> Lines:
    """Every fault of the configuration and of what it names, or what it is."""
    for each in scene.faults:
        yield fail(each, LEND if "no credential" in each else "correct it, then: reconcilerd check-config")
    if scene.plan is not None:
        settings, policy = scene.plan.settings, scene.plan.wiring.policy
        yield ok(
            f"{settings.environment}, mode {settings.limits.mode}, {several(len(settings.channels), 'channel')}, "
            f"policy {policy.revision}; every secret it names was found",
            scene.config.name,
        )
        yield from _split_beside_push(policy)


def _split_beside_push(policy: Policy) -> Lines:
    """A channel that Extensiv publishes shows all there is, so beside it a split pool has nothing to give."""
    pushed = sorted(name for name, rule in policy.channels.items() if rule.publisher is Publisher.EXTENSIV)
    used = {policy.default_sku.pool, *(rule.pool for rule in policy.skus.values())}
    split = sorted(name for name in used if policy.pools[name].mode is PoolMode.SPLIT)
    if policy.limits.mode is Mode.NET or not split or not 0 < len(pushed) < len(policy.channels):
        return
    yield warn(
        f"pool {split[0]} is split, and Extensiv publishes {pushed[0]}, which shows all of it: nothing is left to "
        "raise the others by",
        f"publish {pushed[0]} by reconcilerd, or make the pool shared or adaptive",
        pushed[0],
    )


def daemon(scene: Scene) -> Lines:
    """Whether the daemon answers, and whether something keeps it from writing."""
    if scene.settings is None:
        return
    if scene.hangs:
        yield fail(
            "listens, and does not answer: it hangs",
            "systemctl restart reconcilerd, which loses nothing; its log says what it did last",
        )
    elif scene.status is None:
        yield warn("no daemon answers", "start it: systemctl start reconcilerd, or reconcilerd run")
    else:
        yield ok(f"runs, mode {scene.status.get('mode', 'not told')}")
        if tripped := scene.status.get("tripped"):
            more = f", and {len(tripped) - NAMED} more" if len(tripped) > NAMED else ""
            yield warn(f"tripped: {', '.join(tripped[:NAMED])}{more}", "look: reconcilerd breaker list")
    if scene.path(scene.settings.daemon.stop_file).exists():
        stop = scene.path(scene.settings.daemon.stop_file)
        yield warn("nothing is written while this file is there", f"when it is time: rm {stop}", str(stop))


def modes(scene: Scene) -> Lines:
    """Who else can change what we read, or read what we keep."""
    if scene.settings is None:
        return
    said = scene.settings
    named = [name for name in (said.rules_csv, said.reserves_csv, said.inbound_csv) if name]
    read = [scene.config.resolve(), *map(scene.path, named)]
    ledger = scene.path(said.ledger.path)
    found = [_mode(path, WRITERS, "changed", "chmod go-w") for path in read]
    found += [_mode(path, MINE, "read", "chmod 600") for path in files_of(ledger)]
    found.append(_mode(scene.path(said.daemon.control_socket), stat.S_IRWXO, "used", "chmod o="))
    bad = [each for each in found if each is not None]
    yield from bad
    if not bad:
        yield ok(f"nobody else can change {', '.join(path.name for path in read)}, or read {ledger.name}")


def _mode(path: Path, forbidden: int, can: str, command: str) -> Line | None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        return fail(
            f"cannot be looked at: {error.strerror}", "run doctor as the daemon's user, or as root", str(path)
        )
    if not mode & forbidden:
        return None
    return fail(f"can be {can} by others (mode {mode:04o})", f"{command} {path}", str(path))


def ledger(scene: Scene) -> Lines:
    """Whether it opens, has our schema, and ends as it was written."""
    if scene.settings is None:
        return
    path = scene.path(scene.settings.ledger.path)
    try:
        with closing(open_reader(path)) as reader:
            yield from _opened(reader)
    except LedgerAbsent:
        if scene.status is None:
            yield _no_ledger(scene.settings)
            return
        yield fail("the daemon runs, and its file is gone", PUT_BACK, path.name)
    except LedgerFault as fault:
        yield fail(str(fault), "put the last backup back: reconcilerd restore --help", path.name)


def _no_ledger(settings: Settings) -> Line:
    if settings.environment != "simulator" and settings.limits.mode != "observe":
        mode = settings.limits.mode
        return warn(
            f"there is none yet, and mode {mode} writes to your stores from the first reading on",
            'begin with limits.mode = "observe"',
            settings.ledger.path,
        )
    return ok("there is none yet; the first start makes it", settings.ledger.path)


def _opened(reader: Reader) -> Lines:
    found, has, name = reader.verify_end(), reader.migrations, reader.path.name
    if not found.ok:
        yield fail(
            found.why, "see all of it: reconcilerd ledger verify; then: reconcilerd restore --help", name
        )
        return
    yield ok(f"{found.entries} entries; the newest hold together (all: reconcilerd ledger verify)", name)
    if has == ALL:
        yield ok(f"schema {has[-1]}", name)
    else:
        yield warn(
            f"schema {has[-1] if has else 'none'}, and this program writes {ALL[-1]}",
            "make a backup; the next start of the daemon upgrades it",
            name,
        )


def disk(scene: Scene) -> Lines:
    """Room for the ledger to grow."""
    if scene.settings is None:
        return
    path = scene.path(scene.settings.ledger.path)
    try:
        space = room(path)
    except LedgerFault as fault:
        yield fail(str(fault), "make the folder, or correct ledger.path", str(path.parent))
        return
    fix = "free space, or keep less: ledger.keep_days, then reconcilerd ledger compact"
    share = f"{space.free >> 20} MiB free ({space.free_percent:.1f} %)"
    if space.free < FULL_BYTES:
        yield fail(share, fix, str(path.parent))
    elif space.low:
        yield warn(f"{share}, below {LOW_PERCENT} %", fix, str(path.parent))
    else:
        yield ok(share, str(path.parent))


def backup(scene: Scene) -> Lines:
    """How old the last good backup is."""
    if scene.settings is None or not (path := scene.path(scene.settings.ledger.path)).exists():
        return
    last = last_backup(path)
    try:
        with closing(open_reader(path)) as reader:
            late = overdue(last, scene.now, reader.began)
    except LedgerFault:
        return  # told as a fault of the ledger
    if late:
        what, _, fix = late.partition("; run: ")
        yield warn(
            what,
            f"{fix}; and have it run: systemctl enable --now reconcilerd-backup.timer, or schedule.backup",
        )
    elif last is None:
        yield ok("none yet, and the ledger is young")
    else:
        yield ok(f"{(scene.now - last.at) // 3_600_000} h old: {last.file}")


async def _nowhere(*_: object) -> Answer:
    raise AssertionError("nothing is sent")


def alerts(scene: Scene) -> Lines:
    """Who is told. Nothing is sent."""
    if scene.plan is None:
        return
    told = sorted(
        each.name for each in receivers_of(scene.plan.settings.alerts, scene.plan.alerts, _nowhere, now)
    )
    if told:
        yield ok(", ".join(told))
    else:
        yield warn("nobody is told of anything", "name a receiver in [alerts]: slack_webhook, or pagerduty")


def systemd(scene: Scene) -> Lines:
    """Whether units are there, are ours, and tell systemd that they are ready."""
    if not (scene.root / "run/systemd/system").is_dir():
        yield ok("not on this machine; nothing starts the daemon again but you")
        return
    fix = "reconcilerd install-systemd && systemctl daemon-reload"
    folder = scene.root / UNITS
    there = [n for n in ("reconcilerd.service", "reconcilerd@.service") if (folder / n).is_file()]
    if not there:
        yield warn("no unit is installed: nothing starts the daemon again", fix, str(folder))
        return
    for name in there:
        yield _unit(scene, name, (folder / name).read_text("utf-8", "replace"), fix)
    if "INVOCATION_ID" in scene.env and "NOTIFY_SOCKET" not in scene.env and scene.status is None:
        yield warn("started by systemd without NOTIFY_SOCKET", "set Type=notify or NotifyAccess=main")


def _unit(scene: Scene, name: str, text: str, fix: str) -> Line:
    program = PROGRAM.search(text)
    if program is None or not (scene.root / program[1].lstrip("/") / "reconcilerd").exists():
        there = program[1] if program else "nowhere"
        return fail(f"starts a program that is not there ({there})", f"{fix}, with --bin", name)
    if "Type=notify" not in text:
        return fail("does not wait until the daemon is ready (no Type=notify)", fix, name)
    try:
        shipped = {each.path.name: each.text for each in files(scene.root, Path(program[1]))}
    except ConfigFault as fault:
        return fail(str(fault), "install reconcilerd again", name)
    if text != shipped.get(name):
        return warn("is not what this version ships; changes belong in a drop-in", fix, name)
    return ok("installed, and what this version ships", name)


def web(scene: Scene) -> Lines:
    """Where the page is, who may read it, and whether somebody else has its place."""
    if scene.plan is None:
        return
    listen = scene.plan.settings.web.listen
    if not listen:
        yield ok("not served (web.listen is empty)")
        return
    guard = "read with a token" if scene.plan.web_tokens else "on this machine only, without a token"
    if listen.endswith(":0"):
        yield ok(f"{guard}; at any port that is free, the log says which (web_listens)", listen)
        return
    yield _door(scene, "web", listen, guard)


def webhooks(scene: Scene) -> Lines:
    """Where webhooks are taken, and of whom."""
    if scene.plan is None or not (listen := scene.plan.settings.webhooks.listen):
        return
    yield _door(scene, "webhooks", listen, f"POST /shopify/ and one of {', '.join(scene.plan.hooks)}")


def _door(scene: Scene, section: str, listen: str, what: str) -> Line:
    taken = _answers(listen)
    if scene.status is None and taken:
        return fail(
            "another program listens there", f"stop it, or name another address in {section}.listen", listen
        )
    if scene.status is not None and not taken:
        return warn(
            "the daemon runs, and nobody listens",
            "see the daemon's log; a new address takes a restart",
            listen,
        )
    return ok(what, listen)


def _answers(listen: str) -> bool:
    host, port = address_of(listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - asked, not bound
    try:
        socket.create_connection((host, port), PATIENCE_S).close()
    except OSError:
        return False
    return True
