"""The journal: the default recipe first, trials taken up again, lines that were cut off."""

import pytest

from foveal.tune.journal import FileLock, Journal, is_default
from foveal.tune.space import Choice, Range, Space

SPACE = Space(
    (
        Range("train.lr", "Rate.", 0.001, None, 1e-4, 1e-2, log=True),
        Choice("pipeline.image_size", "Side.", 32, None, (24, 32)),
    ),
    {},
)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.log", SPACE, 9)


def test_the_first_trial_is_the_default_recipe(journal):
    trial, values = journal.ask()
    assert values == {"train.lr": 0.001, "pipeline.image_size": 32}
    assert is_default(trial)
    other, values = journal.ask()
    assert not is_default(other)
    assert SPACE.holds(values)


def test_the_first_trial_is_the_default_recipe_also_where_a_file_left_it_out(tmp_path):
    narrow = SPACE.narrowed({"train.lr": [0.002, 0.003]})
    journal = Journal(tmp_path / "journal.log", narrow, 9)
    trial, values = journal.ask()
    assert is_default(trial)
    assert values["train.lr"] == 0.001
    _, values = journal.ask()
    assert values["train.lr"] in (0.002, 0.003)


def test_a_trial_is_taken_up_with_its_values_by_another_process(journal, tmp_path):
    journal.ask()
    trial, values = journal.ask()
    again = Journal(tmp_path / "journal.log", SPACE, 9)
    taken, same = again.take_up(trial._trial_id)
    assert same == values
    assert taken.number == trial.number
    assert len(again.trials()) == 2


def test_a_trial_that_was_killed_while_it_was_drawn_is_drawn_on_as_it_would_have_been(tmp_path):
    whole, cut = tmp_path / "whole.log", tmp_path / "cut.log"
    journal = Journal(whole, SPACE, 9, seed=5)
    for _ in range(10):
        trial, _ = journal.ask()
        journal.tell(trial, journal.states.COMPLETE, trial.number / 10)
    before = whole.read_bytes()
    trial, values = journal.ask()
    lines = whole.read_bytes()[len(before) :].splitlines(keepends=True)
    # Begun, and one of its two values drawn.
    cut.write_bytes(before + b"".join(lines[:2]))
    _, again = Journal(cut, SPACE, 9, seed=5).take_up(trial._trial_id)
    assert again == values


def test_a_rung_that_was_judged_is_not_counted_twice(journal, tmp_path):
    journal.ask()
    trial, _ = journal.ask()
    journal.judge(trial, 1, 0.5)
    again = Journal(tmp_path / "journal.log", SPACE, 9)
    taken, _ = again.take_up(trial._trial_id)
    again.judge(taken, 1, 0.7)
    assert again.trials()[1].intermediate_values == {1: 0.5}


def test_the_worst_are_given_up_and_the_default_never(journal):
    trials = [journal.ask()[0] for _ in range(40)]
    for trial in reversed(trials):
        journal.judge(trial, 1, 0.9)
    late = [journal.ask()[0] for _ in range(40, 60)]
    judged = [journal.judge(trial, 1, 0.1) for trial in late]
    # Of the brackets of Hyperband some judge later.
    assert any(judged)
    assert not all(judged)
    assert not journal.judge(trials[0], 3, 0.0)


@pytest.mark.parametrize("cut", [b"", b'{"op_code":5,"trial', b"\x00"])
def test_a_line_that_was_cut_off_by_a_kill_is_dropped(journal, tmp_path, cut):
    journal.ask()
    path = tmp_path / "journal.log"
    with path.open("ab") as file:
        file.write(cut)
    again = Journal(path, SPACE, 9)
    again.ask()
    assert [t.number for t in Journal(path, SPACE, 9).trials()] == [0, 1]


def test_the_lock_is_free_after_it_was_released(tmp_path):
    path = tmp_path / "journal.log"
    path.touch()
    for _ in range(2):
        lock = FileLock(path)
        assert lock.acquire()
        lock.release()
