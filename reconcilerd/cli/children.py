"""Processes that a command starts of its own end with it, however it ends: none stays behind to wait for ever."""

import os
from multiprocessing import parent_process
from threading import Thread


def end_with_parent() -> None:
    """Called in a child: it is gone as soon as its parent is, killed or not."""
    Thread(target=_watch, name="parent", daemon=True).start()


def _watch() -> None:
    parent = parent_process()
    assert parent is not None, "only a child that multiprocessing started knows its parent"
    parent.join()
    os._exit(1)
