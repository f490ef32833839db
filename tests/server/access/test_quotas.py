"""Rates and numbers at once, counted over processes that share a folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.access import Rate
from foveal.server.access.quotas import Quotas

# Reads "enter" or "leave" from its input, and says after how many seconds to try again.
_WORKER = """
import sys
from pathlib import Path
from foveal.access import Rate
from foveal.server.access.quotas import Quotas
quotas = Quotas(Path(sys.argv[1]), lambda: float(sys.argv[2]))
print("ready", flush=True)
for line in sys.stdin:
    verb, name, rate, concurrent = line.split()
    limit = None if rate == "-" else Rate.parse(rate)
    most = None if concurrent == "-" else int(concurrent)
    said = quotas.leave(name) if verb == "leave" else quotas.enter(name, limit, most)
    print(said, flush=True)
"""


class Worker:
    """A process that counts in the table of a folder."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def say(self, verb: str, name: str, rate: str = "-", concurrent: str = "-") -> str:
        """Return what the process answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{verb} {name} {rate} {concurrent}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextmanager
def worker(table: Path, now: float = 100.0) -> Iterator[Worker]:
    """Start a process."""
    command = [sys.executable, "-c", _WORKER, str(table), str(now)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Worker(process)
        process.kill()


def test_a_rate_holds_over_all_processes(tmp_path: Path) -> None:
    with worker(tmp_path / "quotas") as one, worker(tmp_path / "quotas") as two:
        said = [process.say("enter", "shop", "3/s") for _ in range(2) for process in (one, two)]
        assert said[:3] == ["0.0", "0.0", "0.0"]
        assert float(said[3]) == pytest.approx(1 / 3)
        assert one.say("enter", "other", "3/s") == "0.0"


def test_a_killed_process_has_nothing_in_work(tmp_path: Path) -> None:
    with worker(tmp_path / "quotas") as one, worker(tmp_path / "quotas") as two:
        assert [one.say("enter", "shop", "-", "2") for _ in range(2)] == ["0.0", "0.0"]
        assert two.say("enter", "shop", "-", "2") == "1.0"
        one.process.kill()
        one.process.wait()
        assert two.say("enter", "shop", "-", "2") == "0.0"
        # The one that takes its place does not count what it left, nor lose what another has.
        with worker(tmp_path / "quotas") as three:
            assert three.say("enter", "shop", "-", "2") == "0.0"
            assert three.say("enter", "shop", "-", "2") == "1.0"
            two.say("leave", "shop")
            assert three.say("enter", "shop", "-", "2") == "0.0"


def test_what_was_counted_before_the_machine_restarted_holds_nobody_up(tmp_path: Path) -> None:
    with worker(tmp_path / "quotas", now=1e6) as before:
        assert before.say("enter", "shop", "1/day") == "0.0"
    with worker(tmp_path / "quotas", now=10.0) as after:
        assert after.say("enter", "shop", "1/day") == "0.0"
        assert float(after.say("enter", "shop", "1/day")) == pytest.approx(86400)


def test_more_names_than_rows_forget_the_oldest_of_a_set() -> None:
    now = 0.0

    def clock() -> float:
        return now

    quotas = Quotas(None, clock)
    for i in range(40_000):
        now += 0.001
        assert quotas.enter(f"name-{i}", Rate(1, "day"), None) == 0
    # The newest are still known, and as strict as before.
    assert all(quotas.enter(f"name-{i}", Rate(1, "day"), None) > 0 for i in range(39_900, 40_000))


@given(
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=60),
    rate=st.builds(Rate, st.integers(1, 5), st.sampled_from(["s", "min"])),
)
def test_no_window_has_more_than_a_full_bucket_and_what_flowed_in(
    gaps: list[float], rate: Rate
) -> None:
    now = 0.0

    def clock() -> float:
        return now

    quotas = Quotas(None, clock)
    admitted = []
    for gap in gaps:
        now += gap
        wait_s = quotas.enter("shop", rate, None)
        if wait_s == 0:
            admitted.append(now)
        else:
            # A client that waits as it was told is let in.
            now += wait_s * (1 + 1e-9) + 1e-9
            assert quotas.enter("shop", rate, None) == 0
            admitted.append(now)
    for i, first in enumerate(admitted):
        for n, last in enumerate(admitted[i:], 1):
            assert n <= rate.count + (last - first) * rate.per_second + 1e-6


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4))
def test_never_more_at_once_than_allowed(arrivals: list[bool], most: int) -> None:
    quotas, in_work = Quotas(None), 0
    for is_arrival in arrivals:
        if is_arrival:
            assert (quotas.enter("shop", None, most) == 0) == (in_work < most)
            in_work = min(most, in_work + 1)
        elif in_work:
            quotas.leave("shop")
            in_work -= 1
