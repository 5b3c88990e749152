"""``simulator``: serves the pretend business, trading all the time, until it is interrupted."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import anyio
import click
import httpx
from starlette.routing import Route

from reconcilerd.cli.children import end_with_parent
from reconcilerd.cli.faults import check_script
from reconcilerd.cli.wall import now
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.faults import faults_of
from reconcilerd.simulator.postman import Postman
from reconcilerd.simulator.scene import Scene, set_scene
from reconcilerd.simulator.serve import serve
from reconcilerd.transport.client import is_loopback


def serve_simulator(
    port: int,
    seed: int,
    orders: Path | None,
    faults: str,
    *,
    demo: bool,
    seconds: float = 3600.0,
    webhooks: str | None = None,
    closed: bool = False,
) -> int:
    """Serve on loopback. ``webhooks``: the door that the stores post to. ``closed``: nobody comes.

    Raises ConfigFault for a bad orders file, unknown faults, a record that would strike nothing, a door that is not on
    this machine or a taken port.
    """
    if webhooks is not None and not _is_a_door(webhooks):
        raise ConfigFault(
            (f"--webhooks {webhooks[:80]}: only to this machine, by http, like http://127.0.0.1:9642",)
        )
    script = faults_of(faults)
    scene = set_scene(seconds, seed, orders, now, plain=not demo)
    if "@" in faults:
        check_script(script, [seed], {"extensiv", *scene.business.stores})
    scene.business.faults.rates = script.rates
    scene.business.faults.script = script.of_seed(seed)
    try:
        anyio.run(_serve, scene, port, not closed, webhooks)
    except BaseExceptionGroup as group:
        # A task group wraps whatever ends it.
        taken, others = group.split(OSError)
        if taken is None or others is not None:
            raise
        raise ConfigFault((f"port {port}: {_first(taken)}; name another with --port",)) from None
    return 0


def _is_a_door(url: str) -> bool:
    """Whether what is posted there could reach a daemon, and nobody else."""
    try:
        said = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    fits = said.port is None or 0 < said.port < 65_536
    return fits and said.scheme in {"http", "https"} and is_loopback(said.host)


def _first(group: BaseExceptionGroup[OSError]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


async def _serve(scene: Scene, port: int, trade_at_once: bool, webhooks: str | None) -> None:
    app = scene.business.app
    app.router.routes[:0] = [route for route in scene.routes() if isinstance(route, Route)]
    async with anyio.create_task_group() as group:
        got = await group.start(serve, app, port)
        click.echo(f"http://127.0.0.1:{got}", err=False)
        click.echo(
            f"Extensiv at /extensiv, stores at /shopify/{{{','.join(scene.business.stores)}}}", err=True
        )
        if trade_at_once:
            scene.go.set()
        group.start_soon(scene.run)
        if webhooks is not None:
            group.start_soon(_post, scene, webhooks)
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                group.cancel_scope.cancel()
                return


async def _post(scene: Scene, door: str) -> None:
    """What changes at the stores, to a daemon's door; nobody minds if nobody is there."""
    async with httpx.AsyncClient(base_url=door, trust_env=False, timeout=5.0) as client:

        async def post(store: str, headers: dict[str, str], body: bytes) -> None:
            with suppress(httpx.HTTPError):
                await client.post(f"/shopify/{store}", headers=headers, content=body)

        await Postman(scene.business.world, now, post).run()


def child(port_pipe: int, seconds: float, seed: int, orders: Path | None) -> None:
    """The demo's child process: reports its port through a pipe and trades when it is told to."""
    end_with_parent()

    async def main() -> None:
        scene = set_scene(seconds, seed, orders, now)
        app = scene.business.app
        app.router.routes[:0] = [route for route in scene.routes() if isinstance(route, Route)]
        async with anyio.create_task_group() as group:
            port = await group.start(serve, app, 0)
            os.write(port_pipe, f"{port}\n".encode())
            os.close(port_pipe)
            await scene.run()

    anyio.run(main)
