"""Commands that need no business: they bring a pretend one with them."""

import math
import re
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from typing_extensions import override

from reconcilerd.cli.options import json_option
from reconcilerd.domain.names import Instant, format_instant, parse_instant


@click.command()
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


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--orders", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="An orders CSV.")
@click.option(
    "--faults",
    default="none",
    show_default=True,
    help="How the vendors' APIs fail: none, mild, hostile; or as simulate takes it; list.",
)
@click.option(
    "--demo",
    "as_demo",
    is_flag=True,
    help="The demo's business: packs of 6 on shop-us, drift put in. Needs the demo's rules.",
)
@click.option(
    "--webhooks",
    metavar="URL",
    help="Have the stores tell a daemon's door of what changes, like http://127.0.0.1:9642.",
)
@click.option(
    "--closed", is_flag=True, help="Nobody comes and nothing happens: what a daemon costs by itself."
)
def simulator(
    port: int,
    seed: int,
    orders: Path | None,
    faults: str,
    as_demo: bool,
    webhooks: str | None,
    closed: bool,
) -> int:
    """Serve a simulated business that trades: Extensiv and three Shopify stores, on loopback.

    config.toml fits it as it stands. GET /scene/truth tells what is really so.
    """
    from reconcilerd.cli.faults import MENU, print_menu

    if faults == MENU:
        return print_menu(as_json=False)
    from reconcilerd.cli.simulator import serve_simulator

    return serve_simulator(port, seed, orders, faults, demo=as_demo, webhooks=webhooks, closed=closed)


class Moment(click.ParamType[Instant]):
    """A time with its zone, like 2026-11-27T08:00:00Z."""

    name = "TIME"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Instant:
        """Raises UsageError for what is no such time."""
        try:
            at = parse_instant(str(value))
        except (ValueError, OverflowError):
            self.fail(
                f"{str(value)[:60]!r} is no time with a zone; write it like 2026-11-27T08:00:00Z", param, ctx
            )
        if not "1971" <= format_instant(at)[:4] <= "2100":
            self.fail(f"{str(value)[:60]!r} is no time from 1971 to 2100", param, ctx)
        return at


MAX_SEEDS = 100_000


class _Seeds(click.ParamType[range]):
    """``A..B``: both ends included."""

    name = "A..B"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        """Raises UsageError for what is no such span."""
        first, dots, last = str(value).partition("..")
        if not dots or not all(re.fullmatch("[0-9]{1,18}", each) for each in (first, last)):
            self.fail(f"{str(value)[:60]!r} is no span of seeds; write it like 1..20", param, ctx)
        if not 0 <= int(last) - int(first) < MAX_SEEDS:
            self.fail(
                f"{value!r} is no span of seeds: from the smaller to the larger, at most {MAX_SEEDS}",
                param,
                ctx,
            )
        return range(int(first), int(last) + 1)


class _Days(click.FloatRange):
    """Days from the least to the most; what is no number is between nothing."""

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raises UsageError for what is outside."""
        days = float(super().convert(value, param, ctx))
        if math.isnan(days):
            self.fail(f"{value!r} is no number of days", param, ctx)
        return days


@click.command()
@click.option("--days", type=_Days(0.01, 366), default=1.0, show_default=True)
@click.option("--seed", type=click.IntRange(0), help="One seed (default: 1).")
@click.option("--seeds", type=_Seeds(), help="Several, on all processors.")
@click.option("--skus", type=click.IntRange(1, 2000), default=12, show_default=True)
@click.option(
    "--channels", type=click.IntRange(1, 12), default=3, show_default=True, help="Without --policy: how many."
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A configuration whose channels, pools, rules, limits and polls are tried.",
)
@click.option(
    "--faults",
    default="none",
    show_default=True,
    metavar="WHAT",
    help="none, mild, hostile (all of them), names or NAME:RATE a request, joined by +; last, @FILE: a record; list.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write down what struck which request; --faults @FILE strikes the same again.",
)
@click.option(
    "--orders",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Replay the last days of an orders CSV; --skus of its best sellers.",
)
@click.option(
    "--from",
    "begins",
    type=Moment(),
    help="When it begins. By default a policy with reserves, inbound or freeze windows begins now, others in 2010.",
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
    record: Path | None,
    orders: Path | None,
    begins: Instant | None,
    as_json: bool,
) -> int:
    """What would this policy have done? The whole daemon against a pretend business, in virtual time."""
    if seed is not None and seeds is not None:
        raise click.UsageError("--seed and --seeds exclude each other")
    source = click.get_current_context().get_parameter_source("channels")
    if policy is not None and source is ParameterSource.COMMANDLINE:
        raise click.UsageError("--channels goes without --policy, which names its own")
    from reconcilerd.cli.faults import MENU, print_menu

    if faults == MENU:
        return print_menu(as_json=as_json)
    from reconcilerd.cli.simulate import Ask, run_simulate

    ask = Ask(days, skus, channels, policy, faults, orders, record, begins)
    return run_simulate(
        ask, list(seeds) if seeds is not None else [1 if seed is None else seed], as_json=as_json
    )
