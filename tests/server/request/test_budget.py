"""What a client is told about a full server: when to come again."""

from __future__ import annotations

import pytest

from foveal.server.request.limits import Budget, RequestError


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> Budget:
    """Return a budget of 40 pictures."""
    return Budget(40, 10_000, 1000, clock)


def refused(budget: Budget) -> str:
    """Return the `Retry-After` of a picture for which there is no room."""
    with pytest.raises(RequestError) as error:
        budget.take("late", 1, 0)
    return error.value.headers["retry-after"]


def fill(budget: Budget) -> None:
    """Let clients have everything in work."""
    for client in range(40):
        budget.take(str(client), 1, 10)


@pytest.mark.parametrize(("rate", "expected"), [(1, "30"), (4, "10"), (10, "4"), (400, "1")])
def test_a_full_server_says_how_long_what_it_has_takes(
    budget: Budget, clock: Clock, rate: int, expected: str
) -> None:
    fill(budget)
    for number in range(60 * rate):
        clock.now += 1 / rate
        budget.give_back(str(number % 40), 1, 10)
        budget.take(str(number % 40), 1, 10)
    assert refused(budget) == expected


def test_before_any_answer_it_is_a_guess_that_grows(budget: Budget, clock: Clock) -> None:
    fill(budget)
    assert refused(budget) == "1"
    clock.now += 0.1
    assert refused(budget) == "4"
    clock.now += 60
    assert refused(budget) == "30"


def test_of_an_idle_hour_nothing_is_learnt(budget: Budget, clock: Clock) -> None:
    for _ in range(200):
        budget.take("one", 1, 10)
        clock.now += 0.05
        budget.give_back("one", 1, 10)
    clock.now += 3600
    fill(budget)
    assert refused(budget) == "2"
