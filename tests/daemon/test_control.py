"""The control socket answers its owner; whoever else asks is turned away, and counted."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from reconcilerd.daemon import control
from reconcilerd.daemon.counts import Counts


class Answering:
    """Stands in for the daemon's answers."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.probes: list[str] = []
        self.asked = 0

    def probed(self, how: str) -> None:
        self.probes.append(how)

    async def answer(self, request: dict[str, Any], by: str) -> dict[str, Any]:
        self.asked += 1
        return {"by": by, **request}


@pytest.mark.parametrize(("stranger", "asked"), [(True, 0), (False, 1)])
async def test_a_stranger_is_turned_away_and_counted(
    stranger: bool, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stranger:
        monkeypatch.setattr(control, "_peer", lambda _socket: 12_345)
    answers, path = Answering(), tmp_path / "control.sock"
    async with anyio.create_task_group() as group:
        await group.start(control.serve, path, answers)
        async with await anyio.connect_unix(path) as stream:
            await stream.send(b'{"op": "status"}\n')
            told = json.loads(await stream.receive())
        group.cancel_scope.cancel()
    assert ("error" in told, answers.asked, answers.counts.turned_away["socket"]) == (
        stranger,
        asked,
        1 - asked,
    )
    assert len(answers.probes) == 1 - asked
