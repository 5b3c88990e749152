"""A request is made without detours, is the one that the library would have made, and ends with its answer closed."""

from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.virtual_time import run_virtual
from reconcilerd.transport.client import CLOSE_S, Call, Client
from reconcilerd.transport.lane import Lane, LaneSpec, Priority

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


class Slow(httpx.AsyncByteStream):
    """An answer that does not come to its end, and takes its time to be closed."""

    def __init__(self, close_s: float) -> None:
        self.closed = False
        self._close_s = close_s

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        await anyio.sleep_forever()
        yield b""

    @override
    async def aclose(self) -> None:
        await anyio.sleep(self._close_s)
        self.closed = True


def client(body: httpx.AsyncByteStream | None = None) -> Client:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=body)

    lanes = [Lane(LaneSpec("read", 10, 10), lambda: Instant(0))]
    return Client(
        "system",
        "http://127.0.0.1/base",
        transport=httpx.MockTransport(answer),
        auth=None,
        lanes=lanes,
        clock=lambda: Instant(0),
    )


@given(
    query=st.lists(st.tuples(TEXT, TEXT), max_size=3, unique_by=lambda pair: pair[0]),
    json=st.none() | st.dictionaries(TEXT, TEXT, max_size=2),
    path=st.sampled_from(["v1/inventory", "/v1.1/orders", "a%20b"]),
)
def test_a_request_is_the_one_the_library_would_make(
    query: list[tuple[str, str]], json: dict[str, str] | None, path: str
) -> None:
    us = client()
    call = Call("POST" if json is not None else "GET", path, "read", Priority.STOCK, tuple(query), json=json)
    made = us._request(call)
    theirs = us._http.build_request(
        call.method,
        f"http://127.0.0.1/base/{path.removeprefix('/')}",
        params=httpx.QueryParams(tuple(query)) if query else None,
        content=made.content if json is not None else None,
        headers={"Content-Type": "application/json"} if json is not None else None,
    )
    assert made.url == theirs.url
    assert sorted(made.headers.raw) == sorted(theirs.headers.raw)
    assert (made.method, made.content, made.extensions) == (theirs.method, theirs.content, theirs.extensions)


@pytest.mark.parametrize("cookie", ["a=1"])
def test_a_cookie_that_was_set_goes_along(cookie: str) -> None:
    us = client()
    us._http.cookies.set(*cookie.split("="))
    assert us._request(Call("GET", "x", "read", Priority.STOCK)).headers["cookie"] == cookie


@pytest.mark.parametrize(("close_s", "closed"), [(CLOSE_S / 2, True), (1_000, False)])
def test_a_call_that_is_cancelled_closes_its_answer_and_does_not_wait_for_that_without_end(
    close_s: float, closed: bool
) -> None:
    """Or the connection would be lost to the few there are."""
    body = Slow(close_s)

    async def main() -> None:
        with anyio.move_on_after(1):
            await client(body).send(Call("GET", "x", "read", Priority.STOCK))
        assert anyio.current_time() <= 1 + CLOSE_S + 0.01

    run_virtual(main)
    assert body.closed is closed
