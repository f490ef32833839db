"""Kill processes that clean, and see what the next one makes of it; run by test_journal.

Its own program, since a process of pytest has threads, and should not be forked.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from curation.trees import CHANGES, clean, make_tree, recover, snapshot, undo

from foveal.curation import disk


def killed(work: str, tree: Path, at: int) -> bool:
    """Clean or undo in a process that is killed in place of a change; return whether it was."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, -signal.SIGKILL), code
        return code != 0
    count = 0

    def dying(function):
        def change(*args):
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args)

        return change

    for name in CHANGES:
        setattr(disk, name, dying(getattr(disk, name)))
    try:
        {"clean": clean, "undo": undo, "recover": recover}[work](tree)
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        os._exit(1)
    os._exit(0)


def at_each_change(tree: Path) -> None:
    before = snapshot(tree)
    for work in ("clean", "undo"):
        at = 1
        while True:
            if work == "undo":
                clean(tree)
            if not killed(work, tree, at):
                break
            # The one that tidies up is killed too, twice.
            killed("recover", tree, 1 + at % 7)
            killed("recover", tree, 1 + at % 3)
            state = recover(tree)
            if state == "applied":
                undo(tree)
            assert snapshot(tree) == before, (work, at, state)
            at += 1
        print(work, at)
        if work == "clean":
            undo(tree)
        assert snapshot(tree) == before


def timeless(tree: Path) -> dict[str, tuple[object, ...]]:
    """Return the snapshot without times: each cleaning changes folders anew."""
    return {name: (mode, content) for name, (mode, _, content) in snapshot(tree).items()}


def at_random(tree: Path, count: int) -> None:
    before = snapshot(tree)
    clean(tree)
    after = timeless(tree)
    undo(tree)
    chance = random.Random(0)
    for _ in range(count):
        child = os.fork()
        if child == 0:
            while True:
                clean(tree)
                undo(tree)
        time.sleep(chance.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if recover(tree) == "applied":
            assert timeless(tree) == after
            undo(tree)
        assert snapshot(tree) == before
    print("random", count)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    at_each_change(make_tree(folder / "each"))
    at_random(make_tree(folder / "random"), 40)
