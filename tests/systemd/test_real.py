"""The shipped units under a real systemd: start, reload, hang, kill, stop, credentials, sandbox, tenants, timers' jobs.

RECONCILERD_RESTARTS says how often it is killed and hung beside a business that goes on (3 by default).
"""

import json
import os
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest

from reconcilerd.cli.demo.tenant import write_tenant
from reconcilerd.cli.last_word import incident_of
from reconcilerd.daemon.journal import MESSAGE_IDS
from reconcilerd.simulator.shoppers import busy_hour, read_invoices
from tests.cli.ears import Ears, listening
from tests.cli.programs import running, wait_until
from tests.crash.test_kills import Scene as Business
from tests.crash.test_kills import check_written
from tests.systemd.machine import BIN, Machine, machine

RESTARTS = int(os.environ.get("RECONCILERD_RESTARTS", "3"))
UNIT = "reconcilerd.service"
CONFIG = "/etc/reconcilerd/config.toml"
WATCHDOG_S = 6
LARGE = 500_000
CREDENTIALS = {"extensiv-client-id": "simulator", "extensiv-client-secret": "simulator-secret"}

pytestmark = pytest.mark.timeout(900 + 60 * RESTARTS)


@dataclass(frozen=True)
class Scene:
    """A machine with the units installed, and a business on the network that it is for."""

    machine: Machine
    business: Business
    ears: Ears

    def config(self, own: str = "") -> str:
        """A tenant's configuration with its things where the units make room. ``own``: what the folders end in."""
        text = self.business.config.read_text("utf-8")
        text = text.replace(
            '/extensiv/oauth/token" }', f'/extensiv/oauth/token", {_names(CREDENTIALS)} }}', 1
        )
        text += (
            f'\n[daemon]\ncontrol_socket = "/run/reconcilerd{own}/control.sock"\n'
            f'stop_file = "/var/lib/reconcilerd{own}/STOP"\n'
            f'[ledger]\npath = "/var/lib/reconcilerd{own}/reconcilerd.db"\n'
            f'[alerts]\nslack_webhook = "slack-webhook"\npagerduty_routing_key = "pagerduty-routing-key"\n'
            f'pagerduty_url = "http://127.0.0.1:{self.ears.port}"\n'
        )
        return text

    def install(self, config: str, place: str = "/etc/reconcilerd") -> None:
        owner = "root:reconcilerd"
        self.machine.do(f"install -d -m 0750 -g reconcilerd {place}")
        self.machine.do(f"install -d -m 0700 {place}/credentials {place}/alert-credentials")
        self.machine.write(f"{place}/config.toml", config, "0640", owner)
        self.machine.write(
            f"{place}/rules.csv",
            (self.business.config.parent / "rules.csv").read_text("utf-8"),
            "0640",
            owner,
        )
        for name, value in CREDENTIALS.items():
            self.machine.write(f"{place}/credentials/{name}", value, "0600")
        hook = f"http://127.0.0.1:{self.ears.port}/hook/x"
        self.machine.write(f"{place}/alert-credentials/slack-webhook", hook, "0600")
        self.machine.write(
            f"{place}/alert-credentials/pagerduty-routing-key", "a0routing0key0of032letters0here0", "0600"
        )

    def start(self) -> int:
        """A daemon of this configuration that runs, and its process."""
        self.machine.do(f"systemctl reset-failed {UNIT} 2>/dev/null; systemctl start {UNIT}")
        return self.machine.pid(UNIT)

    def events(self, action: str) -> list[str]:
        """Keys of PagerDuty events so far."""
        return [
            body["dedup_key"]
            for path, body in self.ears.heard
            if path.endswith("/v2/enqueue") and body["event_action"] == action
        ]

    def status(self, unit: str = UNIT) -> str:
        return self.machine.show(unit, "StatusText")["StatusText"]


def _names(credentials: dict[str, str]) -> str:
    return ", ".join(f'{name.partition("-")[2].replace("-", "_")} = "{name}"' for name in credentials)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("business")
    with (
        machine() as made,
        listening() as ears,
        running(folder, "simulator", "--demo", "--port", "0", log="simulator.log") as simulator,
    ):
        assert simulator.stdout is not None
        base = simulator.stdout.readline().strip()
        config = write_tenant(folder, int(base.rsplit(":", 1)[1]), busy_hour(read_invoices(None)))
        made.do(f"{BIN}/reconcilerd install-systemd && systemd-sysusers && systemd-tmpfiles --create")
        # So that a hang need not be waited for; and as many restarts as a test wants.
        quick = f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nWatchdogSec={WATCHDOG_S}s\nRestartSec=300ms\n"
        made.write(f"/etc/systemd/system/{UNIT}.d/20-test.conf", quick)
        made.do("systemctl daemon-reload")
        here = Scene(made, Business(config, base), ears)
        here.install(here.config())
        yield here


@pytest.fixture(autouse=True)
def _at_rest(scene: Scene) -> Iterator[None]:
    scene.install(scene.config())
    yield
    scene.machine.do(f"systemctl stop {UNIT}; systemctl reset-failed; true")


def test_it_starts_in_its_sandbox_and_stops_clean(scene: Scene) -> None:
    here = scene.machine
    pid = scene.start()
    assert here.show(UNIT, "ActiveState", "SubState") == {"ActiveState": "active", "SubState": "running"}
    wait_until("its standing", lambda: "oldest feed" in scene.status())
    assert re.search(r"\d+ SKUs, drift \d+, .*oldest feed \d+ s \(.+\), writes ON \(auto\)", scene.status())

    process = dict(line.split(":", 1) for line in here.do(f"cat /proc/{pid}/status").splitlines())
    assert process["CapEff"].strip("\t0") == ""
    assert process["NoNewPrivs"].strip() == "1"
    assert process["Seccomp"].strip() == "2"
    assert process["Uid"].split()[0] == here.do("id -u reconcilerd").strip()
    assert here.do("stat -c %a:%U /var/lib/reconcilerd").strip() == "700:reconcilerd"
    assert set(here.do("stat -c %a /var/lib/reconcilerd/*").split()) == {"600"}
    uid = process["Uid"].split()[0]
    inside = ("nsenter", "-t", str(pid), "-m", "setpriv", "--reuid", uid, "--regid", uid, "--clear-groups")
    assert here.run(*inside, "test", "-w", "/var/lib/reconcilerd").returncode == 0
    for command in ("touch /etc/x", "touch /opt/x", "ls /home/x", "cat /etc/reconcilerd/credentials/*"):
        assert here.run(*inside, "bash", "-c", command).returncode != 0
    mounted = here.do(f"cat /proc/{pid}/mountinfo")
    assert "/run/credentials/reconcilerd.service" in mounted

    here.do(f"systemctl stop {UNIT}")
    assert here.show(UNIT, "Result", "ExecMainStatus", "ActiveState") == {
        "Result": "success",
        "ExecMainStatus": "0",
        "ActiveState": "inactive",
    }
    assert here.do(f"RECONCILERD_CONFIG={CONFIG} {BIN}/reconcilerd ledger verify")
    assert scene.events("trigger") == []


def test_a_reload_is_taken_over_or_refused_and_systemctl_says_so(scene: Scene) -> None:
    here = scene.machine
    pid = scene.start()
    wait_until("its standing", lambda: "writes ON (auto)" in scene.status())
    observe = scene.config().replace('mode = "auto"', 'mode = "observe"')
    # By then much may wait that the first mode would write: nobody is to be asked about it here.
    auto = scene.config().replace('mode = "auto"', 'mode = "auto"\nconfig_change_slots = 5000')
    scene.install(observe)
    here.do(f"systemctl reload {UNIT}")
    wait_until("the other mode", lambda: "writes OFF (observe)" in scene.status())
    scene.install(observe.replace("reconcilerd.db", "elsewhere.db"))
    refused = here.run("systemctl", "reload", UNIT)
    assert refused.returncode != 0
    assert "ledger.path" in here.journal("-u", UNIT)
    assert here.show(UNIT, "ActiveState", "MainPID") == {"ActiveState": "active", "MainPID": str(pid)}
    assert "writes OFF (observe)" in scene.status()
    scene.install(auto)
    here.do(f"kill -HUP {pid}")
    wait_until("the first mode", lambda: "writes ON (auto)" in scene.status())
    here.until(UNIT, ActiveState="active", SubState="running", MainPID=str(pid))


def test_groups_are_let_in_to_look_or_to_operate_and_nobody_else_is(scene: Scene) -> None:
    here = scene.machine
    people = {"ann": "reconcilerd-readers", "bob": "reconcilerd-readers,reconcilerd-operators", "eve": ""}
    for name, groups in people.items():
        here.do(f"id {name} 2>/dev/null || useradd {f'-G {groups} ' if groups else ''}{name}")
    groups = 'readers = "reconcilerd-readers"\noperators = "reconcilerd-operators"'
    scene.install(scene.config().replace("[daemon]", f"[daemon]\n{groups}"))
    pid = scene.start()
    wait_until("its standing", lambda: "3 channels" in scene.status())
    assert here.do("stat -c %a:%G /run/reconcilerd/control.sock").strip() == "660:reconcilerd-readers"

    def ask(name: str, *words: str) -> tuple[int, str]:
        socket = "RECONCILERD_SOCKET=/run/reconcilerd/control.sock"
        done = here.run("runuser", "-u", name, "--", "env", socket, f"{BIN}/reconcilerd", *words)
        return done.returncode, done.stdout + done.stderr

    assert ask("ann", "status")[0] == ask("bob", "status")[0] == 0
    code, said = ask("ann", "freeze", "--reason", "may she")
    assert (
        code,
        "that is for its own user or the group reconcilerd-operators" in " ".join(said.split()),
    ) == (4, True)
    code, said = ask("eve", "status")
    assert (code, "usermod -aG reconcilerd-readers eve" in " ".join(said.split())) == (4, True)
    assert ask("bob", "freeze", "--reason", "he may")[0] == 0
    assert "frozen" in scene.status().casefold() or "FROZEN" in ask("ann", "status")[1]
    assert ask("bob", "unfreeze")[0] == 0
    assert "control_refused" in here.journal("-u", UNIT)
    assert here.pid(UNIT) == pid


def test_the_journal_has_a_field_for_each_key(scene: Scene) -> None:
    here = scene.machine
    scene.start()
    match = f"MESSAGE_ID={MESSAGE_IDS['correction_planned']}"
    wait_until("a correction", lambda: bool(here.journal("-u", UNIT, match)))
    entries = [json.loads(line) for line in here.do(f"journalctl -u {UNIT} {match} -o json").splitlines()]
    entry = entries[0]
    sku = entry["RECONCILER_SKU"]
    assert entry["RECONCILER_CHANNEL"] in {"shop-uk", "shop-eu", "shop-us"}
    assert entry["PRIORITY"] == "6"
    assert entry["MESSAGE"].startswith("correction_planned ")
    assert f"sku={sku}" in here.journal(f"RECONCILER_SKU={sku}")
    wait_until("its answer", lambda: "correction_answered" in here.journal(f"RECONCILER_SKU={sku}"))


def test_the_journal_takes_an_entry_that_no_datagram_could_hold(scene: Scene) -> None:
    here = scene.machine
    write = f"Journal().write([('MESSAGE', 'x' * {LARGE}), ('RECONCILER_SKU', 'LARGE')])"
    here.do(f"{BIN}/python -c {shlex.quote(f'from reconcilerd.daemon.journal import Journal; {write}')}")
    wait_until("the entry", lambda: here.journal("--all", "RECONCILER_SKU=LARGE").strip() == "x" * LARGE)


def test_without_a_credential_it_ends_at_once_and_people_are_told_until_it_runs_again(scene: Scene) -> None:
    here = scene.machine
    here.do("rm /etc/reconcilerd/credentials/extensiv-client-secret")
    before = len(scene.events("trigger")), len(scene.events("resolve"))
    assert here.run("systemctl", "start", UNIT).returncode != 0
    found = here.show(UNIT, "ActiveState", "ExecMainStatus", "NRestarts")
    assert found == {"ActiveState": "failed", "ExecMainStatus": "2", "NRestarts": "0"}
    assert "no credential 'extensiv-client-secret'" in here.journal("-u", UNIT)
    wait_until("the last word", lambda: len(scene.events("trigger")) > before[0])
    assert scene.events("trigger")[-1].endswith(f"/{UNIT}")
    assert any("exit-code" in body.get("text", "") for path, body in scene.ears.heard if "hook" in path)
    scene.install(scene.config())
    scene.start()
    wait_until("the all clear", lambda: len(scene.events("resolve")) > before[1])
    assert scene.events("resolve")[-1] == scene.events("trigger")[-1]
    assert incident_of(UNIT).endswith(f"/{UNIT}")


def test_a_rotated_and_an_encrypted_credential_take_a_restart(scene: Scene) -> None:
    here = scene.machine
    scene.start()
    name = "extensiv-client-secret"
    here.do(f"rm /etc/reconcilerd/credentials/{name}; mkdir -p /etc/credstore.encrypted")
    place = f"/etc/credstore.encrypted/{name}"
    here.do(
        f"rm -f {place}; systemd-creds encrypt --with-key=host --name={name} - {place}", CREDENTIALS[name]
    )
    drop_in = f"/etc/systemd/system/{UNIT}.d/10-local.conf"
    here.write(drop_in, f"[Service]\nLoadCredentialEncrypted={name}:{place}\n")
    try:
        here.do(f"systemctl daemon-reload; systemctl restart {UNIT}")
        wait_until("its standing", lambda: "3 channels" in scene.status())
        assert CREDENTIALS[name] not in here.journal("-u", UNIT)
    finally:
        here.do(f"rm {drop_in}; systemctl daemon-reload")


def test_a_hang_is_ended_by_the_watchdog_with_every_stack_and_started_again(scene: Scene) -> None:
    here = scene.machine
    pid = scene.start()
    for hangs in range(1, 5):
        wait_until("its standing", lambda: "3 channels" in scene.status())
        here.do(f"kill -STOP {pid}")
        here.until(UNIT, NRestarts=str(hangs), SubState="running")
        assert here.pid(UNIT) != pid
        pid = here.pid(UNIT)
        told = here.says(UNIT, "Extension modules", hangs)
        assert "Fatal Python error: Aborted" in told
        # Whichever thread wakes first after a stop writes the stacks, and may find the main one at a step.
        if "run_daemon" in told:
            return
    raise AssertionError(f"no hang told where the main thread stood\n{here.journal('-u', UNIT)[-6000:]}")


def test_kept_from_running_it_is_given_up_and_people_are_told(scene: Scene) -> None:
    """Killed more often than the unit allows: the limit is the shipped one."""
    here = scene.machine
    shipped = f"/etc/systemd/system/{UNIT}.d/20-test.conf"
    here.write(shipped, "[Service]\nRestartSec=100ms\n")
    before = len(scene.events("trigger"))
    try:
        here.do("systemctl daemon-reload")
        scene.start()
        for _ in range(5):
            here.until(UNIT, SubState="running")
            here.do(f"kill -9 {here.pid(UNIT)}")
            time.sleep(0.2)
        here.until(UNIT, ActiveState="failed")
        wait_until("the last word", lambda: len(scene.events("trigger")) > before)
    finally:
        quick = f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nWatchdogSec={WATCHDOG_S}s\nRestartSec=300ms\n"
        here.write(shipped, quick)
        here.do("systemctl daemon-reload")


def test_restarted_again_and_again_it_loses_nothing_and_writes_nothing_twice(scene: Scene) -> None:
    """By kill and by watchdog in turn, at moments of chance, beside a business that goes on."""
    here, chance = scene.machine, Random(RESTARTS)
    here.do("rm -rf /var/lib/reconcilerd/*")
    before = len(scene.business.ask("/door")["written"])
    scene.start()
    for number in range(RESTARTS):
        time.sleep(chance.uniform(0.2, 6.0))
        how = "STOP" if number % 2 else "KILL"
        here.do(f"kill -{how} {here.pid(UNIT)}")
        here.until(UNIT, NRestarts=str(number + 1), SubState="running")
    wait_until("it to write", lambda: len(scene.business.ask("/door")["written"]) > before)
    here.do(f"systemctl stop {UNIT}")
    assert here.show(UNIT, "Result") == {"Result": "success"}
    config = scene.business.config
    (config.parent / "reconcilerd.db").write_bytes(
        bytes.fromhex(here.do(f"{BIN}/python -c {shlex.quote(COPY)}"))
    )
    written = scene.business.ask("/door")["written"][before:]
    check_written(written, config)


COPY = """
import sqlite3, sys
sqlite3.connect("/var/lib/reconcilerd/reconcilerd.db").execute("pragma wal_checkpoint(truncate)")
sys.stdout.write(open("/var/lib/reconcilerd/reconcilerd.db", "rb").read().hex())
"""


def test_the_audit_reads_everything_by_the_daemons_hand(scene: Scene) -> None:
    here = scene.machine
    here.do("systemctl start reconcilerd-audit.service")
    assert here.show("reconcilerd-audit.service", "ConditionResult") == {"ConditionResult": "no"}
    scene.start()
    wait_until("its standing", lambda: "3 channels" in scene.status())
    here.do("systemctl start reconcilerd-audit.service", timeout_s=300)
    found = here.show("reconcilerd-audit.service", "Result", "ExecMainStatus")
    assert found["Result"] == "success"
    assert found["ExecMainStatus"] in {"0", "3"}
    assert re.search(r"\d+ SKUs looked at", here.journal("-u", "reconcilerd-audit.service"))


def test_a_job_of_a_timer_that_failed_is_told_and_its_next_success_closes_what_was_opened(
    scene: Scene,
) -> None:
    here, job = scene.machine, "reconcilerd-backup.service"
    where = '[ledger]\nbackups = "/var/lib/reconcilerd/backups"\n'
    scene.install(scene.config().replace("[ledger]\n", where, 1))
    scene.start()
    wait_until("its standing", lambda: "3 channels" in scene.status())
    here.do(f"systemctl stop {UNIT}")
    # Its folder is a file: no backup can be made there.
    here.do("rm -rf /var/lib/reconcilerd/backups && touch /var/lib/reconcilerd/backups")
    assert here.run("systemctl", "start", job).returncode != 0
    wait_until("the failure to be told", lambda: incident_of(job) in scene.events("trigger"))
    here.do("rm /var/lib/reconcilerd/backups")
    here.do(f"systemctl reset-failed {job}; systemctl start {job}")
    wait_until("the incident to be closed", lambda: incident_of(job) in scene.events("resolve"))
    assert here.show("reconcilerd-recovered@reconcilerd-backup.service.service", "Result") == {
        "Result": "success"
    }


def test_a_digest_goes_by_the_daemons_hand_to_those_who_take_it(scene: Scene) -> None:
    here, job = scene.machine, "reconcilerd-digest.service"
    scene.start()
    wait_until("its standing", lambda: "3 channels" in scene.status())
    before = len(scene.ears.heard)
    here.do(f"systemctl start {job}")
    [text] = [
        body["text"]
        for path, body in scene.ears.heard[before:]
        if "/hook/" in path and "Digest" in body["text"]
    ]
    assert "Drifts: " in text


def test_tenants_run_beside_one_another_and_see_nothing_of_each_other(scene: Scene) -> None:
    here, names = scene.machine, ("one", "two")
    try:
        for name in names:
            scene.install(scene.config(f"-{name}"), f"/etc/reconcilerd/{name}")
            here.do(f"systemctl start reconcilerd@{name}.service")
        pids = [here.pid(f"reconcilerd@{name}.service") for name in names]
        users = [here.do(f"stat -c %u /proc/{pid}").strip() for pid in pids]
        assert len(set(users)) == 2
        for pid, other in zip(pids, reversed(names), strict=True):
            inside = f"nsenter -t {pid} -m setpriv --reuid $(stat -c %u /proc/{pid}) --clear-groups"
            for place in (
                f"/var/lib/reconcilerd-{other}/reconcilerd.db",
                f"/run/reconcilerd-{other}/control.sock",
            ):
                look = f"{inside} test -r {place}"
                assert here.run("bash", "-c", look).returncode != 0
        wait_until("its standing", lambda: "3 channels" in scene.status("reconcilerd@one.service"))
        here.do("systemctl start reconcilerd-audit@one.service", timeout_s=300)
        assert here.show("reconcilerd-audit@one.service", "Result") == {"Result": "success"}
        told = len(scene.events("trigger"))
        here.do("systemctl stop reconcilerd@one.service; rm /etc/reconcilerd/one/credentials/*")
        assert here.run("systemctl", "start", "reconcilerd@one.service").returncode != 0
        wait_until("the last word", lambda: len(scene.events("trigger")) > told)
        assert scene.events("trigger")[-1].endswith("/reconcilerd@one.service")
    finally:
        for name in names:
            here.do(f"systemctl stop reconcilerd@{name}.service")


SPOIL = r"""
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as good, zipfile.ZipFile(sys.argv[2], "w") as bad:
    for each in good.namelist():
        text = good.read(each)
        if each == "reconcilerd/ledger/migrations.py":
            text += b'\n@migrations()\ndef m999_more(db):\n    db.execute("create table more (x integer) strict")\n'
        if each == "reconcilerd/ledger/versions.py":
            text = text.replace(b'"m004_records")', b'"m004_records", "m999_more")', 1)
        if each == "reconcilerd/cli/run.py":
            text = text.replace(b'        start_page(', b'        raise RuntimeError("spoilt")\n        start_page(', 1)
        bad.writestr(each, text)
"""
"""A version that upgrades the ledger, says that it is ready, and dies."""


def test_another_version_is_deployed_beside_the_one_that_runs_and_taken_back_if_it_dies(scene: Scene) -> None:
    here = scene.machine
    scene.start()
    wait_until("its standing", lambda: "3 channels" in scene.status())
    wheel = here.do("ls -t /var/tmp/reconcilerd-wheels-*/reconcilerd-*.whl | head -n 1").strip()
    wheels, name = wheel.rsplit("/", 1)

    def deploy(source: str) -> tuple[int, str]:
        words = [
            f"{BIN}/reconcilerd",
            "deploy",
            source,
            "--wheels",
            wheels,
            "--watch-for",
            "10s",
            "--config",
            CONFIG,
        ]
        done = here.run(*words, timeout_s=500)
        return done.returncode, done.stdout + done.stderr

    code, said = deploy(wheel)
    assert code == 0, said
    assert "backed up, and proven" in said
    first = here.do("readlink -f /opt/reconcilerd/venv").strip()
    assert first.startswith("/opt/reconcilerd/releases/")
    assert first in here.do(f"tr '\\0' ' ' < /proc/{here.pid(UNIT)}/cmdline")
    here.do(f"mkdir -p /root/bad && {BIN}/python -c {shlex.quote(SPOIL)} {wheel} /root/bad/{name}")
    code, said = deploy(f"/root/bad/{name}")
    assert code == 7, said
    assert "put the ledger back from" in said
    assert here.do("readlink -f /opt/reconcilerd/venv").strip() == first
    here.until(UNIT, ActiveState="active", SubState="running")
    assert first in here.do(f"tr '\\0' ' ' < /proc/{here.pid(UNIT)}/cmdline")
    here.do(f"RECONCILERD_CONFIG={CONFIG} {BIN}/reconcilerd ledger verify")
    config = scene.config().replace('mode = "auto"', 'mode = "autto"')
    scene.install(config)
    code, said = deploy(wheel)
    assert (code, "nothing was changed" in said or "autto" in said) == (2, True)
    assert here.show(UNIT, "ActiveState")["ActiveState"] == "active"
