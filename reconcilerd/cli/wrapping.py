"""Text within the columns of a terminal."""

import textwrap


def wrap(
    text: str,
    columns: int,
    *,
    initial_indent: str = "",
    subsequent_indent: str = "",
    break_long_words: bool = True,
) -> list[str]:
    """Lines of at most so many columns, broken between words alone.

    A name with hyphens is one word: whoever copies half of ``tug-of-war:shop-uk`` from a terminal names nothing.
    """
    return textwrap.wrap(
        text,
        columns,
        initial_indent=initial_indent,
        subsequent_indent=subsequent_indent,
        break_long_words=break_long_words,
        break_on_hyphens=False,
    )
