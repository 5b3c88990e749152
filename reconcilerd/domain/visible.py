r"""Text of strangers as it may be shown: what would steer a terminal, or hide or turn what stands there, is spelt out.

An escape becomes ``\x1b``, a new line ``\n``, a mark that turns the reading direction ``\u202e``: nothing acts, and
nothing is lost.
"""

from typing import Any

LINES = "\n"
"""To keep: a text of ours that has several lines."""


def visible(text: str, keep: str = "") -> str:
    """The text with every character spelt out that does not print; spaces of any width stay, and those in ``keep``."""
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable()
        or each in keep
        or (each.isspace() and each > "\x9f" and each not in "\u2028\u2029")
        else each.encode("unicode_escape").decode()
        for each in text
    )


def all_visible(value: Any) -> Any:
    """A plain value with every text in it made visible, names too."""
    match value:
        case str():
            return visible(value)
        case dict():
            return {all_visible(name): all_visible(each) for name, each in value.items()}
        case list() | tuple():
            return [all_visible(each) for each in value]
        case _:
            return value
