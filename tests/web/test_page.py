"""The page as a configuration has it: its address, its token, its names, and who was turned away."""

from pathlib import Path

import anyio
import httpx
import pytest

from reconcilerd.assemble import assemble
from reconcilerd.cli.page import start_page
from reconcilerd.cli.wiring import SHORTEST_TOKEN, Plan, wire
from reconcilerd.daemon.health import Nobody
from reconcilerd.errors import ConfigFault
from reconcilerd.web.roles import Role
from tests.web.stage import answers_of, sources_of
from tests.web.test_serve import free_port
from tests.world.stage import Journal

SHIPPED = (Path(__file__).parents[2] / "config.toml").read_text("utf-8")
TOKEN = "a-token-that-nobody-guesses"


def plan_of(folder: Path, web: str) -> Plan:
    """The shipped configuration with another section about the page."""
    before, _, rest = SHIPPED.partition("[web]")
    _, _, after = rest.partition("\n[")
    config = folder / "config.toml"
    config.write_text(f"{before}[web]\n{web}\n\n[{after}", "utf-8")
    return wire(config)


async def test_the_token_and_the_names_of_the_configuration_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_TOKEN", TOKEN)
    port = free_port()
    web = f'listen = "127.0.0.1:{port}"\nread_token = "web-token"\nhosts = ["stock.example.com"]'
    plan = plan_of(tmp_path, web)
    built = assemble(plan.wiring, Journal(), Nobody())
    sources = sources_of(built)
    base = f"http://127.0.0.1:{port}"
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with anyio.create_task_group() as group, httpx.AsyncClient(base_url=base) as client:
        start_page(group, plan, sources, answers_of(built, Journal()))
        with anyio.fail_after(20):
            while True:
                try:
                    assert (await client.get("/healthz")).text == "ok\n"
                    break
                except httpx.ConnectError:
                    await anyio.sleep(0.02)
            assert (await client.get("/readyz")).status_code == 401
            assert (
                await client.get("/metrics", headers={"Host": "evil.example"} | bearer)
            ).status_code == 421
            told = await client.get("/metrics", headers={"Host": "stock.example.com"} | bearer)
            assert (told.status_code, told.headers["content-type"]) == (
                200,
                "text/plain; version=0.0.4; charset=utf-8",
            )
            assert 'reconcilerd_auth_failures_total{surface="page"} 2.0\n' in told.text
            assert (await client.get("/readyz", headers=bearer)).status_code == 503
            told = await client.post("/login", data={"token": TOKEN}, headers={"Origin": base})
            assert (told.status_code, told.headers["location"]) == (303, "/")
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.get("/api/v1/config")).status_code == 403
        group.cancel_scope.cancel()


async def test_who_wants_no_page_has_none(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 'listen = ""')
    built = assemble(plan.wiring, Journal(), Nobody())
    async with anyio.create_task_group() as group:
        start_page(group, plan, sources_of(built), answers_of(built, Journal()))


@pytest.mark.parametrize("token", ["x" * (SHORTEST_TOKEN - 1), "ü" * SHORTEST_TOKEN])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(
    token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_TOKEN", token)
    with pytest.raises(ConfigFault, match="openssl rand -hex 32") as caught:
        plan_of(tmp_path, 'listen = "0.0.0.0:0"\nread_token = "web-token"')
    assert token not in str(caught.value)


def test_each_role_has_a_token_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = 'listen = "0.0.0.0:0"\nread_token = "web-token"\nadmin_token = "web-admin"'
    monkeypatch.setenv("WEB_TOKEN", TOKEN)
    monkeypatch.setenv("WEB_ADMIN", TOKEN)
    with pytest.raises(
        ConfigFault, match=r"web\.admin_token: has the value of another role's token"
    ) as caught:
        plan_of(tmp_path, tokens)
    assert TOKEN not in str(caught.value)
    monkeypatch.setenv("WEB_ADMIN", TOKEN + "2")
    assert plan_of(tmp_path, tokens).web_tokens.keys() == {Role.READ, Role.ADMIN}
