import threading
from collections.abc import Iterator

import pytest

from foveal.machine import read_ahead


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_results_come_in_order_whatever_finishes_first(count: int) -> None:
    assert list(read_ahead(str, range(count), workers=3, ahead=5)) == [str(i) for i in range(count)]


def test_no_more_than_asked_for_is_begun_beyond_what_the_caller_has() -> None:
    begun = threading.Semaphore(0)
    drawn = []

    def items() -> Iterator[int]:
        for i in range(10):
            drawn.append(i)
            yield i

    def work(item: int) -> int:
        begun.release()
        return item

    results = read_ahead(work, items(), workers=2, ahead=3)
    assert next(results) == 0
    assert drawn == [0, 1, 2, 3]
    assert next(results) == 1
    assert drawn == [0, 1, 2, 3, 4]
    results.close()
    assert drawn == [0, 1, 2, 3, 4]
    # Nobody works on what was never drawn.
    assert sum(begun.acquire(blocking=False) for _ in range(10)) <= 5


def test_what_has_not_begun_is_not_done_when_the_caller_stops() -> None:
    is_open = threading.Event()
    done = []

    def work(item: int) -> int:
        if item:
            is_open.wait(10)
        done.append(item)
        return item

    results = read_ahead(work, range(10), workers=1, ahead=4)
    assert next(results) == 0
    threading.Timer(0.05, is_open.set).start()
    results.close()
    # The one that was being worked on is finished; those behind it are cancelled.
    assert done in ([0], [0, 1])


def test_an_error_of_the_work_is_raised_in_its_place() -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ValueError("the third is damaged")
        return item

    results = read_ahead(work, range(5), workers=2, ahead=4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third is damaged"):
        next(results)


def test_an_error_of_the_items_is_raised() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the list ends here")

    with pytest.raises(OSError, match="the list ends here"):
        list(read_ahead(str, items(), workers=2, ahead=1))
