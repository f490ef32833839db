import logging
import os
import sys
from collections.abc import Sequence
from itertools import islice

import pytest
from drawn import draw_all

from foveal import machine
from foveal.synth import CAPTCHA, LETTERS, make_kind


def numbers(indices: Sequence[int]) -> list[int]:
    return [10 * index for index in indices]


def test_results_come_in_order_over_processes() -> None:
    results = list(machine.over_cores(numbers, range(50), batch=4, workers=2))
    assert results == [10 * index for index in range(50)]


def priorities(indices: Sequence[int]) -> list[int]:
    return [os.nice(0)] * len(indices)


@pytest.mark.skipif(not hasattr(os, "nice"), reason="Windows has no os.nice")
@pytest.mark.parametrize("workers", [1, 2])
def test_processes_in_the_background_let_others_precede(workers: int) -> None:
    own = os.nice(0)
    with machine.background_pool(workers) as pool:
        for count in (3, 8):  # a single batch is not worked on here either
            found = machine.over_cores(priorities, range(count), batch=4, workers=2, pool=pool)
            assert list(found) == [min(19, own + 10)] * count
    # What comes afterwards has the usual priority.
    assert list(machine.over_cores(priorities, range(8), batch=4, workers=2)) == [own] * 8


def test_the_number_of_workers_does_not_change_a_picture() -> None:
    # Two batches, so that two processes take part.
    indices = range(CAPTCHA.batch + 5)
    one = [d.pixels.tobytes() for d in draw_all(CAPTCHA, 2, indices, workers=1)]
    two = [d.pixels.tobytes() for d in draw_all(CAPTCHA, 2, indices, workers=2)]
    assert one == two
    assert len(set(one)) == len(indices)


def test_any_part_of_a_stream_can_be_drawn() -> None:
    part = [d.raw for d in draw_all(CAPTCHA, 2, [9, 3, 10**8], workers=1)]
    assert part == [CAPTCHA.target(2, 9), CAPTCHA.target(2, 3), CAPTCHA.target(2, 10**8)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stream_without_end_is_drawn_as_it_is_read(workers: int) -> None:
    kind = make_kind("captcha", {"width": "60", "height": "30", "length": "1"})
    endless = draw_all(kind, 0, range(10**9), workers=workers)
    assert len(list(islice(endless, 3))) == 3
    endless.close()


def test_nothing_to_draw_gives_nothing() -> None:
    assert list(draw_all(LETTERS, 0, [], workers=2)) == []


def test_without_loky_threads_draw_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    indices = range(CAPTCHA.batch + 5)
    expected = [d.pixels.tobytes() for d in draw_all(CAPTCHA, 4, indices, workers=1)]
    monkeypatch.setitem(sys.modules, "loky", None)
    machine._say_threads.cache_clear()

    with caplog.at_level(logging.WARNING, logger="foveal"):
        drawn = [d.pixels.tobytes() for d in draw_all(CAPTCHA, 4, indices, workers=2)]
        list(draw_all(CAPTCHA, 4, indices, workers=2))

    assert drawn == expected
    # Said once, not at every call.
    assert [r.getMessage().partition(";")[0] for r in caplog.records] == [
        "The package loky is not installed"
    ]
