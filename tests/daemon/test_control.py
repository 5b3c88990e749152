"""The control socket answers its owner only, and whoever else tries is remembered."""

import json
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from reconcilerd.daemon import control
from reconcilerd.daemon.answers import Answers


class Counter:
    """Answers anything, and counts who tried."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self.asked = 0

    def probed(self, how: str) -> None:
        self.attempts.append(how)

    async def answer(self, request: dict[str, Any], by: str) -> dict[str, Any]:
        self.asked += 1
        return {"by": by, "exit_code": 0}


@pytest.mark.parametrize(("uid", "code", "attempts"), [(33, 4, ["uid 33"]), (0, 0, [])])
async def test_a_stranger_is_refused_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, code: int, attempts: list[str]
) -> None:
    monkeypatch.setattr(control, "_peer", lambda _raw: uid)
    monkeypatch.setattr("os.getuid", lambda: 7)
    answers, path = Counter(), tmp_path / "s"
    async with anyio.create_task_group() as group:
        await group.start(control.serve, path, cast(Answers, answers))
        async with await anyio.connect_unix(path) as stream:
            await stream.send(b'{"op": "status"}\n')
            told = json.loads(await stream.receive())
        group.cancel_scope.cancel()
    assert told["exit_code"] == code
    assert (answers.attempts, answers.asked) == (attempts, 1 - len(attempts))
