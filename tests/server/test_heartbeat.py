"""A worker is late only by time that its supervisor saw pass."""

from __future__ import annotations

import os

from foveal.server.heartbeat import Heartbeat


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_silence_adds_up_until_the_worker_is_heard() -> None:
    clock = Clock()
    heart = Heartbeat(clock)
    for _ in range(5):
        clock.now += 1.0
        silent_s = heart.silent_s()
    assert silent_s == 5.0
    heart.beat()
    assert heart.silent_s() == 0.0
    clock.now += 1.5
    assert heart.silent_s() == 1.5


def test_a_supervisor_that_was_paused_blames_nobody() -> None:
    clock = Clock()
    heart = Heartbeat(clock)
    clock.now += 3600.0
    assert heart.silent_s() <= 2.0


def test_another_process_is_heard() -> None:
    heart = Heartbeat()
    before = heart.silent_s()
    child = os.fork()
    if child == 0:
        heart.beat()
        os._exit(0)
    os.waitpid(child, 0)
    assert before >= 0.0
    assert heart.silent_s() == 0.0
