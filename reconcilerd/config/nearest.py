"""What somebody may have meant by a word that nobody knows."""

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known word that is written most like this one; None where none is. ``likeness``: from 0 to 1, the same."""
    # Whoever makes no mistakes does not carry this in memory.
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), 1, likeness)), None)
