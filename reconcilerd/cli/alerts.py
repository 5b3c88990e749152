"""``alerts`` and ``runbook``: what is open, who hears of it, what is silenced, and what to do."""

from pathlib import Path

import click

from reconcilerd.cli import alert_text
from reconcilerd.cli.options import Span, config_option, json_option, show
from reconcilerd.cli.socket_client import answer


@click.group(invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def alerts(context: click.Context, config: Path, as_json: bool) -> int:
    """Alerts that are open, and whether anybody hears of them."""
    return 0 if context.invoked_subcommand else _list(config, as_json)


def _list(config: Path, as_json: bool) -> int:
    return show(answer(config, {"op": "alerts"}), as_json, alert_text.listed)


@alerts.command("list")
@config_option
@json_option
def list_alerts(config: Path, as_json: bool) -> int:
    """The same: the worst first, with silences and receivers."""
    return _list(config, as_json)


@alerts.command("show")
@click.argument("key", metavar="KEY")
@config_option
@json_option
def show_alert(key: str, config: Path, as_json: bool) -> int:
    """One alert by its KEY as the list gives it, open or over, and how it changed."""
    return show(answer(config, {"op": "alert", "key": key}), as_json, alert_text.shown)


@alerts.command()
@click.argument("receiver", required=False)
@click.option(
    "--severity",
    type=click.Choice(["critical", "error", "warning", "info"]),
    default="warning",
    show_default=True,
)
@click.option("--no-resolve", is_flag=True, help="Leave it open; the next test closes it.")
@config_option
@json_option
def test(receiver: str | None, severity: str, no_resolve: bool, config: Path, as_json: bool) -> int:
    """Send a [TEST] alert and its end to a RECEIVER, or to all; what each answered.

    Exit code 0: all were accepted; 4: credentials refused; 5: not accepted.
    """
    request = {"op": "alert_test", "receiver": receiver, "severity": severity, "resolve": not no_resolve}
    return show(answer(config, request), as_json, alert_text.tried)


@alerts.command()
@click.option("--kinds", required=True, help="A kind of alert, or a pattern of kinds: unresolved_drift, '*'.")
@click.option(
    "--subjects", default="*", show_default=True, help="A pattern of what they are about: 'shop-uk*'."
)
@click.option("--for", "for_s", type=Span(), required=True, help="How long, at most 7d: 30m, 2h, 1d.")
@click.option("--reason", required=True, help="Why; kept in the ledger.")
@config_option
@json_option
def silence(kinds: str, subjects: str, for_s: float, reason: str, config: Path, as_json: bool) -> int:
    """Tell nobody anything new of some alerts for a while. The end of what was told is told."""
    request = {"op": "silence", "kinds": kinds, "subjects": subjects, "for_s": for_s, "reason": reason}
    return show(answer(config, request), as_json, alert_text.silenced)


@alerts.command()
@click.argument("id_", metavar="ID")
@click.option("--reason", default="", help="Why; kept in the ledger.")
@config_option
@json_option
def unsilence(id_: str, reason: str, config: Path, as_json: bool) -> int:
    """Lift a silence by its ID: what is open still is told then."""
    told = answer(config, {"op": "unsilence", "id": id_, "reason": reason})
    return show(told, as_json, lambda a, _: f"lifted: {a['lifted']['id']}")


@alerts.command()
@click.argument("key", metavar="KEY", required=False)
@config_option
@json_option
def resend(key: str | None, config: Path, as_json: bool) -> int:
    """Tell every receiver again of an open alert, or of all."""
    told = answer(config, {"op": "resend", "key": key})
    return show(told, as_json, lambda a, _: f"told again: {', '.join(a['keys']) or 'nothing is open'}")


@click.command()
@click.argument("kind", required=False)
def runbook(kind: str | None) -> int:
    """What a KIND of alert means, what the daemon does, how to look and how to end it; without, all kinds."""
    from reconcilerd.cli.runbooks import print_runbook

    return print_runbook(kind)
