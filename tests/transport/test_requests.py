"""A request is made without detours, and is the one that the library would have made."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.names import Instant
from reconcilerd.transport.client import Call, Client
from reconcilerd.transport.lane import Lane, LaneSpec, Priority

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


def client() -> Client:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200)

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
