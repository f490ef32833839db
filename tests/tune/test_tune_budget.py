"""How much of a budget the comparison needs, and when a trial stops for it."""

import sys
import time
from dataclasses import dataclass

import pytest

from foveal.errors import UsageError
from foveal.tune.budget import Times, too_short, words
from foveal.tune.limits import Limits, Watch
from foveal.tune.state import comparison


@dataclass
class Step:
    left_s: float | None
    stage: str = "full"


def times(default_s=10.0, best_s=None, compared=None, workers=1):
    return Times(default_s, best_s, compared or {}, comparison(7), workers)


def test_the_comparison_is_pairs_of_three_seeds():
    assert [name for name, _ in comparison(7)] == [
        "default-1",
        "trial-7-1",
        "default-2",
        "trial-7-2",
        "default-3",
        "trial-7-3",
    ]


def test_before_anything_is_measured_a_quarter_more_than_the_trial_is_reserved():
    assert times().reserve_s() == pytest.approx(1.1 * 6 * 12.5)


def test_what_was_measured_is_reserved():
    known = times(default_s=10, best_s=16, compared={"default-1": 14.0})
    # Two more of the default at 14 s, and three of the other, which takes 6 s longer.
    assert known.reserve_s() == pytest.approx(1.1 * (2 * 14 + 3 * 20))


def test_workers_share_the_comparison():
    assert times(workers=3).reserve_s() == pytest.approx(1.1 * 6 * 12.5 / 3)
    assert times(workers=100).reserve_s() == pytest.approx(1.1 * 12.5)


def test_nothing_is_reserved_when_all_is_compared():
    assert times(compared={name: 1.0 for name, _ in comparison(7)}).reserve_s() == 0


def test_a_budget_that_is_too_short_says_what_a_trial_took_and_what_would_do():
    error = too_short(60, 10, 95, again="foveal tune --resume S --budget {}")
    assert "one trial of the default recipe takes about 10 s" in error.message
    assert "budget of 60 s is too short" in error.message
    assert "at least 2 min" in error.message
    assert error.hint == (
        "foveal tune --resume S --budget 120s, or begin a new study with fewer --epochs"
    )
    assert error.error_code == "budget_too_short"


def test_a_budget_without_room_for_another_trial_is_refused():
    limits = Limits(deadline=time.time() + 80, budget_s=100)
    with pytest.raises(UsageError, match="too short"):
        limits.check(times())
    Limits(deadline=time.time() + 1000, budget_s=1000).check(times())
    Limits().check(times())


def watch(left_s, *, is_default=False, asked=False, **known):
    limits = Limits(deadline=time.time() + left_s, budget_s=left_s)
    return Watch(limits, times(**known), lambda: asked, is_default=is_default)


def test_a_trial_stops_when_the_comparison_must_begin():
    ended = watch(50)
    assert ended(None)
    assert ended.why == "time"
    assert not watch(200)(None)


def test_the_trial_of_the_default_recipe_is_never_stopped_for_that():
    assert not watch(50, is_default=True)(None)


class Clock:
    """Stands in for `time` in the module that watches; a step takes as long as is said."""

    def __init__(self, step_s):
        self.now_s = 1000.0
        self.step_s = step_s

    def monotonic(self):
        return self.now_s

    def time(self):
        return self.now_s

    def after(self, steps, watching, left_s, stage="full"):
        """Return what is decided after each of some steps."""
        decided = []
        for _ in range(steps):
            self.now_s += self.step_s
            decided.append(watching(Step(left_s, stage)))
        return decided


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(step_s=0.5)
    monkeypatch.setattr(sys.modules[Watch.__module__], "time", clock)
    return clock


def watch_by(clock, left_s, *, is_default=False, **known):
    limits = Limits(deadline=clock.now_s + left_s, budget_s=left_s)
    return Watch(limits, times(**known), lambda: False, is_default=is_default)


def test_a_trial_that_cannot_end_in_time_is_stopped_once_that_is_sure(clock):
    slow = watch_by(clock, 200)
    assert clock.after(20, slow, 500.0) == [False] * 19 + [True]
    assert slow.why == "slow"


def test_the_first_seconds_of_a_long_budget_decide_nothing(clock):
    slow = watch_by(clock, 1000)
    # 3 % of the budget, counted from the first step, are 60 steps here.
    assert clock.after(61, slow, 5000.0) == [False] * 60 + [True]
    longer = watch_by(clock, 36_000)
    assert clock.after(121, longer, 90_000.0) == [False] * 120 + [True]


def test_a_new_stage_is_judged_by_its_own_steps(clock):
    slow = watch_by(clock, 1000)
    assert not any(clock.after(100, slow, 10.0, stage="head"))
    # The first step allocates memory: it says nothing of the others.
    assert clock.after(1, slow, 90_000.0) == [False]
    assert not any(clock.after(100, slow, 10.0))


def test_a_default_recipe_that_cannot_be_compared_is_stopped(clock):
    short = watch_by(clock, 200, is_default=True, default_s=None)
    assert any(clock.after(20, short, 100.0))
    assert short.why == "short"
    assert short.trial_s == pytest.approx(110)


def test_a_command_that_is_interrupted_stops_its_trial():
    stopped = watch(1000, asked=True)
    assert stopped(Step(1.0))
    assert stopped.why == "asked"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(4.25, "4.2 s"), (59, "59 s"), (300, "5 min"), (3600, "60 min"), (4 * 3600, "4 h 0 min")],
)
def test_times_are_said_as_people_say_them(seconds, said):
    assert words(seconds) == said
