"""All commands but ``run``, their options and exit codes. What a command does is imported when it runs."""

import shlex
from pathlib import Path
from typing import Any, ParamSpec

import click

from reconcilerd.cli import alerts, render
from reconcilerd.cli.deploying import deploy
from reconcilerd.cli.examining import completion, config_group, doctor, man, schema
from reconcilerd.cli.options import Span, Units, channel_option, config_option, json_option, sku_option
from reconcilerd.cli.options import show as _show
from reconcilerd.cli.pretend import demo, simulate, simulator
from reconcilerd.cli.program import cli
from reconcilerd.cli.shift import digest, handover
from reconcilerd.cli.socket_client import answer
from reconcilerd.cli.thin import reconcile
from reconcilerd.cli.wrapping import wrap
from reconcilerd.domain.visible import visible

P = ParamSpec("P")


for each in (
    demo,
    simulator,
    simulate,
    doctor,
    config_group,
    completion,
    man,
    schema,
    handover,
    digest,
    deploy,
):
    cli.add_command(each)


@cli.command()
@config_option
@json_option
def reload(config: Path, as_json: bool) -> int:
    """Have the running daemon take over the changed configuration, as SIGHUP does, and say what came of it.

    Policy, limits and guards are swapped, all or nothing; systems, paths and credentials take a restart (exit code 2).
    """
    from reconcilerd.cli.socket_client import ask_daemon

    return _show(ask_daemon(config, {"op": "reload"}), as_json, render.reloaded)


@cli.command()
@config_option
@json_option
def audit(config: Path, as_json: bool) -> int:
    """Have the running daemon read everything anew, whole, and compare every SKU. It shares the daemon's rate limits.

    It proves the whole ledger too. Exit code 0: all in step; 2: the ledger is broken; 3: differences; 5: something
    could not be read; 8: no daemon runs.
    """
    from reconcilerd.cli.socket_client import AUDIT_S, ask_daemon

    return _show(ask_daemon(config, {"op": "audit"}, AUDIT_S), as_json, render.audited)


@cli.command("install-systemd")
@click.option("--dry-run", is_flag=True, help="Print every file and where it belongs; write nothing.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/"),
    show_default=True,
    help="Install under another root: an image, a package.",
)
@click.option(
    "--bin",
    "programs",
    type=click.Path(path_type=Path),
    help="The folder of the program reconcilerd (default: this one's).",
)
def install_systemd(dry_run: bool, root: Path, programs: Path | None) -> int:
    """Install the systemd units of this program: daemon, tenants, failure notice, audit, backup, digest."""
    from reconcilerd.cli.install_systemd import install

    return install(root, programs, dry_run=dry_run)


@cli.command("notify-failure")
@click.option(
    "--over", is_flag=True, help="It runs again, or its job succeeded: close its incident, if there is one."
)
@config_option
@click.argument("unit")
def notify_failure(unit: str, over: bool, config: Path) -> int:
    """Tell people that a UNIT failed; systemd runs it when the daemon cannot be kept running, or a timer's job fails.

    Exit code 0: told, or nobody is to be; 2: a receiver will never take it; 5: one could not be reached.
    """
    from reconcilerd.cli.last_word import notify_failure as tell
    from reconcilerd.cli.last_word import recovered

    # Whatever it is called, people must hear of it.
    name = visible(unit)
    return recovered(config, name) if over else tell(config, name)


@cli.command("check-config")
@config_option
@click.option("--defaults", is_flag=True, help="Print every key with unit, default and reason.")
@click.option(
    "--no-secrets", is_flag=True, help="Do not look for credentials: where a change is reviewed are none."
)
@json_option
def check_config(config: Path, defaults: bool, no_secrets: bool, as_json: bool) -> int:
    """Check the configuration and everything it names; writes nothing."""
    from reconcilerd.cli.check_config import check, check_without_secrets, print_defaults

    if defaults and as_json:
        raise click.UsageError("--defaults is for people; config show --effective --json has every key")
    if no_secrets and (defaults or as_json):
        raise click.UsageError("--no-secrets goes with neither --defaults nor --json")
    if no_secrets:
        return check_without_secrets(config)
    return print_defaults() if defaults else check(config, as_json=as_json)


@cli.command()
@click.option(
    "--watch", is_flag=True, help="Look again and again, until Ctrl-C; with --json one object a line."
)
@click.option("--every", "every_s", type=Span(), help="With --watch: how often (default: 2s).")
@config_option
@json_option
def status(watch: bool, every_s: float | None, config: Path, as_json: bool) -> int:
    """How sources, channels and corrections stand now."""
    if every_s is not None and (not watch or every_s < 1):
        raise click.UsageError("--every goes with --watch, and is 1s or more")
    if watch:
        from reconcilerd.cli.watch import watch as look_again

        return look_again(config, every_s or 2.0, as_json=as_json)
    return _show(answer(config, {"op": "status"}), as_json, render.status)


@cli.command()
@click.option(
    "--textfile",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it there for a node_exporter, at once or not at all.",
)
@config_option
def metrics(textfile: Path | None, config: Path) -> int:
    """What the running daemon measures, in Prometheus' text format."""
    from reconcilerd.cli.metrics import print_metrics

    return print_metrics(config, textfile)


@cli.group()
def export() -> None:
    """Write out what ships with the program."""


@export.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Write over files that are there already.")
def monitoring(folder: Path, force: bool) -> int:
    """Rules for Prometheus with their tests, a dashboard for Grafana, and the goals behind them."""
    from reconcilerd.cli.export import export_monitoring

    return export_monitoring(folder, force=force)


@cli.command()
@sku_option(required=True, help="A SKU, a listing SKU or a listing id.")
@channel_option(help="Only this channel.")
@click.option(
    "--want",
    type=Units(),
    metavar="N|+N",
    help="What would have to change for it to show N units, or N more.",
)
@config_option
@json_option
def explain(sku: str, channel: str | None, want: str | None, config: Path, as_json: bool) -> int:
    """Why each listing of a SKU should show the number it should; with --want, what would make it another."""
    request = {"op": "explain", "sku": sku, "channel": channel, "want": want}
    return _show(answer(config, request), as_json, render.explanation)


@cli.command()
@sku_option(required=True, help="A SKU, a listing SKU or a listing id.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=40, show_default=True)
@config_option
@json_option
def history(sku: str, limit: int, config: Path, as_json: bool) -> int:
    """What was read, planned and answered for a SKU, newest first."""
    request = {"op": "history", "sku": sku, "limit": limit}
    return _show(answer(config, request), as_json, render.history)


@cli.command()
@click.argument("id_", metavar="ID")
@click.option("--reason", required=True, help="Why; kept in the ledger.")
@click.option("--zero", is_flag=True, help="Also those to zero, and those that come to it meanwhile.")
@config_option
@json_option
def approve(id_: str, reason: str, zero: bool, config: Path, as_json: bool) -> int:
    """Release held corrections for two hours: those of a pass by its ID, of one SKU, or "held" for all.

    What goes to zero waits on unless --zero is given.
    """
    from reconcilerd.cli.plan_text import approved

    return _show(
        answer(config, {"op": "approve", "id": id_, "reason": reason, "zero": zero}), as_json, approved
    )


@cli.command()
@channel_option(help="Only this channel (default: all).")
@click.option(
    "--for", "for_s", type=Span(), help="How long, at most 7d: 30m, 2h, 1d; without it until unfreeze."
)
@click.option("--reason", required=True, help="Why; kept in the ledger.")
@config_option
@json_option
def freeze(channel: str | None, for_s: float | None, reason: str, config: Path, as_json: bool) -> int:
    """Stop writing to a channel, or to all. One that holds longer already stays as it is."""
    request = {"op": "freeze", "channel": channel, "for_s": for_s, "reason": reason}
    return _show(answer(config, request), as_json, _frozen)


@cli.command()
@channel_option(help="Only this channel (default: the freeze of all).")
@config_option
@json_option
def unfreeze(channel: str | None, config: Path, as_json: bool) -> int:
    """Allow writes again."""
    return _show(answer(config, {"op": "unfreeze", "channel": channel}), as_json, _frozen)


@cli.command()
@click.option("-o", "--output", metavar="F", help="Write it to a file ('-': standard output).")
@click.option("--markdown", is_flag=True, help="As a table for a merge request instead of JSON.")
@click.option("--from", "old", metavar="F", help="Show a plan that was made before; nothing is asked.")
@sku_option(help="Only what shares stock with this SKU.")
@channel_option(help="Only corrections of this channel.")
@click.option("--fresh", is_flag=True, help="Read everything it looks at first.")
@click.option(
    "--against",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="LEDGER",
    help="With --markdown: what this policy makes of what a copy of a ledger holds. Needs no network and no secrets.",
)
@click.option(
    "--base",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CONFIG",
    help="With --against: only what this policy would do otherwise than that one.",
)
@config_option
@json_option
def plan(
    output: str | None,
    markdown: bool,
    old: str | None,
    sku: str | None,
    channel: str | None,
    fresh: bool,
    against: Path | None,
    base: Path | None,
    config: Path,
    as_json: bool,
) -> int:
    """What would be written now, to review and to apply within ten minutes.

    Exit code 0: nothing to do; 3: differences; 5: incomplete. With --from a plan that was edited, damaged, or made by a
    newer version is not shown (exit code 2).
    """
    from reconcilerd.cli.plan import BadFile, make

    if against is not None or base is not None:
        if against is None or not markdown or sku or channel or fresh or old or as_json:
            raise click.UsageError(
                "--against LEDGER goes with --markdown, --base and --output, and nothing else"
            )
        from reconcilerd.cli.against import plan_against

        try:
            return plan_against(config, against, base, output)
        except BadFile as bad:
            raise click.UsageError(str(bad)) from None
    if old is not None and (sku or channel or fresh):
        raise click.UsageError(
            "--from shows a plan as it was made; --sku, --channel and --fresh make a new one"
        )
    request = {"sku": sku, "channel": channel, "fresh": fresh}
    return make(config, output, request, markdown=markdown, as_json=as_json, old=old)


@cli.command()
@click.argument("file", metavar="F")
@click.option("--reason", required=True, help="Why; kept in the ledger.")
@config_option
@json_option
def apply(file: str, reason: str, config: Path, as_json: bool) -> int:
    """Carry out a plan file ('-': standard input) as it was reviewed.

    It approves what waits in the plan for a person, and is the word that lets those of its corrections go that a
    changed policy holds; no other hold is released. Refused, and nothing of it begun (exit code 7): a plan that is too
    old, edited, applied already, of another ledger or policy, or whose inputs have moved. What a store refuses of it
    after that, as where somebody else wrote meanwhile, is told by listing (exit code 3).
    """
    from reconcilerd.cli.plan import carry_out

    return carry_out(config, file, reason, as_json=as_json)


@cli.command()
@click.option("--pass", "pass_", metavar="ID", required=True, help="See: reconcilerd passes.")
@click.option("--apply", "do", is_flag=True, help="Do it; without, it is only shown.")
@click.option("--reason", default="", help="Why; kept in the ledger. --apply needs it.")
@click.option("--for", "for_s", type=Span(), help="How long it is left so, at most 7d (default: 4h).")
@config_option
@json_option
def revert(pass_: str, do: bool, reason: str, for_s: float | None, config: Path, as_json: bool) -> int:
    """Put back what a pass found before it wrote, where it still shows what was written.

    What is put back is pinned for a while: else the daemon would correct it at once.
    """
    from reconcilerd.cli.plan_text import reverted

    request = {"op": "revert", "pass": pass_, "apply": do, "reason": reason, "for_s": for_s}
    return _show(answer(config, request), as_json, reverted)


@cli.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@config_option
@json_option
def passes(limit: int, config: Path, as_json: bool) -> int:
    """The newest passes that sent or held something new, with their ids."""
    from reconcilerd.cli.plan_text import passes as text

    return _show(answer(config, {"op": "passes", "limit": limit}), as_json, text)


@cli.command()
@click.argument("id_", metavar="ID")
@config_option
@json_option
def replay(id_: str, config: Path, as_json: bool) -> int:
    """Compute a decision again from the ledger alone: by the id of a pass, or of a correction.

    Exit code 0: identical; 1: not; 6: no such decision.
    """
    from reconcilerd.cli.replay import replay_decision

    return replay_decision(config, id_, as_json=as_json)


@cli.group(invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def envelopes(context: click.Context, config: Path, as_json: bool) -> int:
    """Approvals that are in force: which SKUs, how much, by whom, until when, how often used."""
    return 0 if context.invoked_subcommand else _envelopes(config, as_json)


def _envelopes(config: Path, as_json: bool) -> int:
    from reconcilerd.cli.plan_text import envelopes as text

    return _show(answer(config, {"op": "envelopes"}), as_json, text)


@envelopes.command("list")
@config_option
@json_option
def list_envelopes(config: Path, as_json: bool) -> int:
    """The same."""
    return _envelopes(config, as_json)


@envelopes.command()
@click.argument("id_", metavar="ID")
@click.option("--reason", required=True, help="Why; kept in the ledger.")
@config_option
@json_option
def revoke(id_: str, reason: str, config: Path, as_json: bool) -> int:
    """Take an approval back, at once."""
    from reconcilerd.cli.plan_text import revoked

    return _show(answer(config, {"op": "revoke", "id": id_, "reason": reason}), as_json, revoked)


@cli.group(invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def pins(context: click.Context, config: Path, as_json: bool) -> int:
    """Listings that a revert left at their number, until when, and why."""
    return 0 if context.invoked_subcommand else _pins(config, as_json)


def _pins(config: Path, as_json: bool) -> int:
    from reconcilerd.cli.plan_text import pins as text

    return _show(answer(config, {"op": "pins"}), as_json, text)


@pins.command("list")
@config_option
@json_option
def list_pins(config: Path, as_json: bool) -> int:
    """The same."""
    return _pins(config, as_json)


@pins.command()
@click.argument("sku", metavar="SKU|all")
@channel_option(help="Only this channel.")
@click.option("--reason", required=True, help="Why; kept in the ledger.")
@config_option
@json_option
def lift(sku: str, channel: str | None, reason: str, config: Path, as_json: bool) -> int:
    """Let the daemon correct them again."""
    from reconcilerd.cli.plan_text import lifted

    request = {"op": "unpin", "sku": sku, "channel": channel, "reason": reason}
    return _show(answer(config, request), as_json, lifted)


@cli.group()
def breaker() -> None:
    """Rails that tripped and hold until a person, or their time, releases them."""


@breaker.command("list")
@config_option
@json_option
def breaker_list(config: Path, as_json: bool) -> int:
    """What is tripped, since when, why, and what a reset means. Exit code 7 if anything is."""
    return _show(answer(config, {"op": "breaker"}), as_json, render.tripped)


@breaker.command("reset")
@click.argument("name")
@click.option("--reason", required=True, help="Why; kept in the ledger.")
@config_option
@json_option
def breaker_reset(name: str, reason: str, config: Path, as_json: bool) -> int:
    """Release a tripped rail by its NAME; of single listings also all of a channel: tug-of-war:shop-uk."""
    told = answer(config, {"op": "breaker", "reset": name, "reason": reason})
    return _show(told, as_json, lambda a, _: f"reset: {', '.join(a['reset'])}")


@cli.command()
@click.option(
    "--to", type=click.Path(path_type=Path), help="The folder (default: ledger.backups of the configuration)."
)
@click.option("--keep-hourly", type=click.IntRange(1, 10_000), default=24, show_default=True)
@click.option("--keep-daily", type=click.IntRange(0, 10_000), default=14, show_default=True)
@config_option
@json_option
def backup(to: Path | None, keep_hourly: int, keep_daily: int, config: Path, as_json: bool) -> int:
    """Copy the ledger beside the running daemon, prove the copy, and let older backups go.

    Kept are the newest backup of each of the last hours and days that have one.
    """
    from reconcilerd.cli.backup import make_backup

    return make_backup(config, to, keep_hourly, keep_daily, as_json=as_json)


@cli.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Only prove it, and say what it is.")
@click.option("--to", type=click.Path(path_type=Path), help="The ledger file (default: the configuration's).")
@click.option("--replace", is_flag=True, help="Put a ledger that is there aside, beside it.")
@config_option
@json_option
def restore(file: Path, check: bool, to: Path | None, replace: bool, config: Path, as_json: bool) -> int:
    """Put a proven backup in the ledger's place. The daemon must not run."""
    from reconcilerd.cli.backup import restore_backup

    return restore_backup(config, file, to, check=check, replace=replace, as_json=as_json)


cli.add_command(alerts.alerts)
cli.add_command(alerts.runbook)


@cli.group()
def ledger() -> None:
    """The ledger: what was seen, decided and done."""


@ledger.command()
@config_option
@json_option
def verify(config: Path, as_json: bool) -> int:
    """Check the hash chain, and that the state is the fold of the entries."""
    from reconcilerd.cli.ledger_check import verify_ledger

    return verify_ledger(config, as_json=as_json)


@ledger.command()
@config_option
@json_option
def rebuild(config: Path, as_json: bool) -> int:
    """Fold the state again from the entries, and verify both. The daemon must not run."""
    from reconcilerd.cli.ledger_check import rebuild_ledger

    return rebuild_ledger(config, as_json=as_json)


@ledger.command()
@click.option("--before", metavar="DATE", help="Entries before it go (default: as ledger.keep_days says).")
@config_option
@json_option
def compact(before: str | None, config: Path, as_json: bool) -> int:
    """Let go of old entries, give the room back, and verify what is left. A running daemon does it every day itself."""
    from reconcilerd.cli.ledger_check import compact_ledger

    return compact_ledger(config, before, as_json=as_json)


cli.add_command(reconcile)


def _frozen(answer: dict[str, Any], columns: int) -> str:
    lines = wrap(f"frozen: {', '.join(answer['frozen']) or 'nothing'}", columns, subsequent_indent="  ")
    if held := answer.get("freeze"):
        end = f"until {held['until'] or 'somebody lifts it'}, by {held['by']}: {held['reason']}"
        since = f"Nothing was changed: {held['channel']} is frozen since {held['at']} already"
        said = f"{held['channel'] if answer['changed'] else since}: {end}"
        lines += wrap(said, columns, subsequent_indent="  ")
        if not answer["changed"]:
            of = "" if held["channel"] == "all" else f" --channel {shlex.quote(held['channel'])}"
            lines += wrap(f"To end it sooner: reconcilerd unfreeze{of}", columns, subsequent_indent="  ")
    return "\n".join(lines)
