"""``reconcilerd``: the commands, their options and exit codes. What a command does is imported when it runs."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import click
from typing_extensions import override

from reconcilerd import __version__
from reconcilerd.cli import render
from reconcilerd.cli.reconcile_entry import EXITS
from reconcilerd.cli.socket_client import answer

P = ParamSpec("P")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(os.environ.get("RECONCILERD_CONFIG", "config.toml")),
    show_default=True,
    help="The configuration file (also RECONCILERD_CONFIG).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")


@click.group(epilog=EXITS)
@click.version_option(__version__, prog_name="reconcilerd")
def cli() -> None:
    """Keeps the quantities that channels show in step with Extensiv Order Manager."""


def main(argv: list[str] | None = None) -> int:
    """Run a command; every error of ours becomes one sentence and its exit code."""
    from reconcilerd.errors import ConfigFault, Denied, LedgerFault, LedgerLocked, ReconcilerdError

    try:
        code = cli.main(argv, prog_name="reconcilerd", standalone_mode=False)
    except click.exceptions.Exit as leave:
        code = leave.exit_code
    except click.Abort:
        code = 130
    except click.ClickException as usage:
        usage.show()
        code = 2
    except KeyboardInterrupt:
        code = 130
    except SystemExit:
        # Nobody reads on: click has silenced what is left to say, and calls it an error.
        if "PacifyFlush" not in type(sys.stdout).__name__:
            raise
        code = 0
    except ConfigFault as faults:
        count = len(faults.faults)
        click.echo(f"reconcilerd: cannot begin, {count} fault{'s' if count > 1 else ''}:", err=True)
        for fault in faults.faults:
            click.echo(f"  {fault}", err=True)
        code = 2
    except LedgerLocked as locked:
        click.echo(f"reconcilerd: {locked}", err=True)
        code = 8
    except LedgerFault as broken:
        click.echo(f"reconcilerd: {broken}", err=True)
        code = 2
    except Denied as denied:
        click.echo(f"reconcilerd: {denied}", err=True)
        code = 4
    except ReconcilerdError as trouble:
        click.echo(f"reconcilerd: {trouble}", err=True)
        code = 5
    return sys.exit(code if isinstance(code, int) else 0)


@cli.command()
@click.option(
    "--seconds",
    type=click.IntRange(5, 3600),
    default=60,
    show_default=True,
    help="How long it trades; starting and draining take some 15 s more.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Which drifts, lags and visitors.")
@click.option("--orders", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="An orders CSV.")
@json_option
def demo(seconds: int, seed: int, orders: Path | None, as_json: bool) -> int:
    """Watch the daemon find and cure drift in a simulated business, over real HTTP."""
    click.echo("reconcilerd demo: starting a simulated business on this machine ...", err=as_json)
    from reconcilerd.cli.demo.run import run_demo

    return run_demo(seconds, seed, orders, as_json=as_json)


@cli.command()
@config_option
def run(config: Path) -> int:
    """Run the daemon until SIGTERM or SIGINT."""
    from reconcilerd.cli.run import run_daemon

    return run_daemon(config)


@cli.command("check-config")
@config_option
@click.option("--defaults", is_flag=True, help="Print every key with unit, default and reason.")
def check_config(config: Path, defaults: bool) -> int:
    """Check the configuration and everything it names; writes nothing."""
    from reconcilerd.cli.check_config import check, print_defaults

    return print_defaults() if defaults else check(config)


@cli.command()
@config_option
@json_option
def status(config: Path, as_json: bool) -> int:
    """How sources, channels and corrections stand now."""
    return _show(answer(config, {"op": "status"}), as_json, render.status)


@cli.command()
@click.option("--sku", required=True)
@click.option("--channel")
@config_option
@json_option
def explain(sku: str, channel: str | None, config: Path, as_json: bool) -> int:
    """Why each listing of a SKU should show the number it should."""
    request = {"op": "explain", "sku": sku, "channel": channel}
    return _show(answer(config, request), as_json, render.explanation)


@cli.command()
@click.option("--sku", required=True)
@click.option("--limit", type=click.IntRange(1, 10_000), default=40, show_default=True)
@config_option
@json_option
def history(sku: str, limit: int, config: Path, as_json: bool) -> int:
    """What was read, planned and answered for a SKU, newest first."""
    request = {"op": "history", "sku": sku, "limit": limit}
    return _show(answer(config, request), as_json, render.history)


@cli.command()
@click.argument("id_", metavar="ID")
@click.option("--reason", required=True)
@config_option
def approve(id_: str, reason: str, config: Path) -> int:
    """Release held corrections for two hours: those of a plan by its ID, of one SKU, or "held" for all."""
    told = answer(config, {"op": "approve", "id": id_, "reason": reason})
    return _show(
        told, False, lambda a, _: f"approved until {a['envelope']['until']}: {a['envelope']['skus']}"
    )


@cli.command()
@click.option("--channel", help="Only this channel (default: all).")
@click.option("--for", "for_s", type=float, help="Seconds, at most 7 days; without it until unfreeze.")
@click.option("--reason", required=True)
@config_option
def freeze(channel: str | None, for_s: float | None, reason: str, config: Path) -> int:
    """Stop writing to a channel, or to all."""
    request = {"op": "freeze", "channel": channel, "for_s": for_s, "reason": reason}
    return _show(answer(config, request), False, _frozen)


@cli.command()
@click.option("--channel", help="Only this channel (default: the freeze of all).")
@config_option
def unfreeze(channel: str | None, config: Path) -> int:
    """Allow writes again."""
    return _show(answer(config, {"op": "unfreeze", "channel": channel}), False, _frozen)


@cli.command()
@click.option("--id", "id_", help="Only this one (default: all); see reconcilerd status.")
@click.option("--reason", required=True, help="Why it is safe to write again; kept in the ledger.")
@config_option
def lift(id_: str | None, reason: str, config: Path) -> int:
    """Let writes go on that a broken invariant has stopped."""
    told = answer(config, {"op": "lift", "id": id_, "reason": reason})
    left = "; still stopped by: {}"
    return _show(
        told,
        False,
        lambda a, _: (
            f"lifted: {', '.join(a['lifted'])}" + (left.format(", ".join(a["left"])) if a["left"] else "")
        ),
    )


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
def rebuild(config: Path) -> int:
    """Fold the state again from the entries, and verify both. The daemon must not run."""
    from reconcilerd.cli.ledger_check import rebuild_ledger

    return rebuild_ledger(config)


@cli.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--orders", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="An orders CSV.")
@click.option(
    "--faults",
    type=click.Choice(["none", "mild", "hostile"]),
    default="none",
    show_default=True,
    help="How often the vendors' APIs fail: limits, errors, timeouts, cut and stale replies.",
)
@click.option(
    "--demo",
    "as_demo",
    is_flag=True,
    help="The demo's business: packs of 6 on shop-us, drift put in. Needs the demo's rules.",
)
def simulator(port: int, seed: int, orders: Path | None, faults: str, as_demo: bool) -> int:
    """Serve a simulated business that trades: Extensiv and three Shopify stores, on loopback.

    config.toml fits it as it stands. GET /scene/truth tells what is really so.
    """
    from reconcilerd.cli.simulator import serve_simulator

    return serve_simulator(port, seed, orders, faults, demo=as_demo)


class _Seeds(click.ParamType[range]):
    """``A..B``: both ends included."""

    name = "A..B"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        """Raises UsageError for what is no such span."""
        first, dots, last = str(value).partition("..")
        if not (dots and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
            self.fail(f"{value!r} is no span of seeds; write it like 1..20", param, ctx)
        return range(int(first), int(last) + 1)


@cli.command()
@click.option("--days", type=click.FloatRange(0.01, 366), default=1.0, show_default=True)
@click.option("--seed", type=click.IntRange(0), help="One seed (default: 1).")
@click.option("--seeds", type=_Seeds(), help="Several, on all processors.")
@click.option("--skus", type=click.IntRange(1, 2000), default=12, show_default=True)
@click.option(
    "--channels", type=click.IntRange(1, 12), default=3, show_default=True, help="Without --policy: how many."
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A configuration whose channels, pools, rules and limits are tried.",
)
@click.option("--faults", type=click.Choice(["none", "mild", "hostile"]), default="none", show_default=True)
@click.option(
    "--orders",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Replay the last days of an orders CSV; --skus of its best sellers.",
)
@json_option
def simulate(
    days: float,
    seed: int | None,
    seeds: range | None,
    skus: int,
    channels: int,
    policy: Path | None,
    faults: str,
    orders: Path | None,
    as_json: bool,
) -> int:
    """What would this policy have done? The whole daemon against a pretend business, in virtual time."""
    if seed is not None and seeds is not None:
        raise click.UsageError("--seed and --seeds exclude each other")
    from reconcilerd.cli.simulate import Ask, run_simulate

    ask = Ask(days, skus, channels, policy, faults, orders)
    return run_simulate(ask, list(seeds) if seeds is not None else [seed or 1], as_json=as_json)


@cli.command(
    "reconcile",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def reconcile(args: tuple[str, ...]) -> int:
    """The same as the ``reconcile`` command."""
    from reconcilerd.cli.reconcile_entry import main as reconcile_main

    return reconcile_main(list(args))


def _show(answer: dict[str, Any], as_json: bool, text: Callable[[dict[str, Any], int], str]) -> int:
    if "error" in answer:
        message = json.dumps(answer) if as_json else f"reconcilerd: {answer['error']['message']}"
        click.echo(message, err=True)
    elif as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        click.echo(text(answer, render.width()))
    return int(answer["exit_code"])


def _frozen(answer: dict[str, Any], _columns: int) -> str:
    return f"frozen: {', '.join(answer['frozen']) or 'nothing'}"


if __name__ == "__main__":
    main()
