"""What runs on other people's machines: pinned, with no more rights than it needs, and told truly."""

import re
from pathlib import Path

import pytest

from reconcilerd import __version__

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")

pytestmark = pytest.mark.skipif(
    not GITHUB.is_dir(), reason="not a checkout: a source distribution has no .github"
)


def test_every_action_is_pinned_to_a_commit_and_one_version_serves_all() -> None:
    used = [each for path in WORKFLOWS for each in re.findall(r"uses: *(.*)", path.read_text("utf-8"))]
    assert used
    assert [each for each in used if not PINNED.fullmatch(each)] == []
    assert len({each.split("@")[0] for each in used}) == len(set(used))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_only_publishing_may_write(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.search(r"^permissions:\n  contents: read\n(?! )", text, re.MULTILINE)
    assert "pull_request_target" not in text
    writes = re.findall(r"^ +([\w-]+): write$", text, re.MULTILINE)
    assert writes == (["attestations", "contents", "id-token"] if path.stem == "release" else [])
    assert text.count("timeout-minutes") == text.count("runs-on")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_text_of_a_stranger_is_put_into_a_command(path: Path) -> None:
    told = re.findall(r"\$\{\{ *([^}]*?) *\}\}", path.read_text("utf-8"))
    assert set(told) <= {"github.ref", "github.token"}


def test_what_workflows_run_is_there() -> None:
    run = {each for path in WORKFLOWS for each in re.findall(r"\.ci/\w+", path.read_text("utf-8"))}
    assert run == {".ci/run", ".ci/nightly", ".ci/audit", ".ci/policy"}
    assert all((ROOT / each).stat().st_mode & 0o111 for each in run)


def test_the_tag_is_compared_with_the_version_there_is() -> None:
    (pattern,) = re.findall(
        r"sed -n 's/(.*?)/\\1/p'", (GITHUB / "workflows" / "release.yml").read_text("utf-8")
    )
    found = re.search(
        pattern.replace(r"\(", "(").replace(r"\)", ")"),
        (ROOT / "reconcilerd/__init__.py").read_text(),
        re.MULTILINE,
    )
    assert found is not None
    assert found[1] == __version__


def test_every_link_and_test_that_is_named_is_there() -> None:
    for page in GITHUB.glob("*.md"):
        text = page.read_text("utf-8")
        links = [page.parent / each for each in re.findall(r"\]\(([\w./-]+)\)", text)]
        named = [ROOT / each for each in re.findall(r"`(tests/[\w./]+)`", text)]
        assert [each for each in (*links, *named) if not each.exists()] == []


def test_hooks_fetch_nothing() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert re.findall(r"repo: *(.*)", text) == ["local"]
    assert set(re.findall(r"language: *(.*)", text)) == {"system"}
