"""The findings as a person reads them: a line each, what to do below it, nothing wider than the terminal."""

from typing import Any

from reconcilerd.cli.wrapping import wrap

MARGIN = 5


def report(answer: dict[str, Any], columns: int) -> str:
    """The whole answer; fixes are told where there is something to fix."""
    lines: list[str] = []
    for each in answer["checks"]:
        about = f" {each['about']}" if each["about"] else ""
        lines += _wrapped(
            f"{each['check']}{about}: {_safe(each['said'])}", columns, f"{each['state']:<{MARGIN}}"
        )
        if each["fix"]:
            lines += _wrapped(f"-> {each['fix']}", columns, " " * MARGIN)
    count = {
        state: sum(each["state"] == state for each in answer["checks"]) for state in ("ok", "warn", "fail")
    }
    lines.append("\n" + ", ".join(f"{number} {state}" for state, number in count.items()))
    return "\n".join(lines)


def _wrapped(text: str, columns: int, opening: str) -> list[str]:
    # Paths and commands are kept whole, to be copied.
    return wrap(
        text,
        columns,
        initial_indent=opening,
        subsequent_indent=" " * (MARGIN + 3),
        break_long_words=False,
    )


def _safe(text: str) -> str:
    """Without what would command a terminal: others' answers are quoted here."""
    return "".join(each if each.isprintable() else " " for each in text)
