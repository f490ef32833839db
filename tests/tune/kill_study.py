"""Works on a tiny study and is killed: PHOTOS OUT WHAT N, at the N-th time that WHAT happens."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from optuna.storages.journal import JournalFileBackend
from studying import study, without_comparison

from foveal.train.checkpoint import CheckpointStore


def main(photos: str, out: str, what: str, count: int) -> None:
    """Work until the kill."""
    left = count

    def die() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    save, append = CheckpointStore.save, JournalFileBackend.append_logs

    def save_and_die(self: CheckpointStore, *about: object) -> Path:
        made = save(self, *about)
        die()
        return made

    def die_and_append(self: JournalFileBackend, logs: list) -> None:
        if left == 1 and what == "half":
            with Path(self._file_path).open("ab") as file:
                file.write(b'{"op_code":5,"trial')
        die()
        append(self, logs)

    with pytest.MonkeyPatch.context() as patch:
        without_comparison(patch)
        if what == "checkpoint":
            patch.setattr(CheckpointStore, "save", save_and_die)
        else:
            patch.setattr(JournalFileBackend, "append_logs", die_and_append)
        study(Path(photos), Path(out), trials=3)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
