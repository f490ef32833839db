"""The log of decisions."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foveal.curation.decisions import Action, Decision, Decisions
from foveal.errors import DataError

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)


def decided(sample: str, action: Action, label: str | None = None) -> Decision:
    return Decision(sample, action, label, "labels.suspect", AT)


def test_the_last_decision_holds_and_undo_takes_it_back(tmp_path: Path) -> None:
    log = Decisions(tmp_path / "new" / "review.jsonl")
    assert log.read() == {}
    kept, moved = decided("cat/1.jpg", "keep"), decided("cat/1.jpg", "relabel", "dog")
    log.append(kept, decided("cat/2.jpg", "quarantine"))
    log.append(moved)
    assert log.read()["cat/1.jpg"] == moved
    log.append(decided("cat/1.jpg", "undo"))
    assert log.read()["cat/1.jpg"] == kept
    log.append(decided("cat/1.jpg", "undo"), decided("cat/1.jpg", "undo"))
    assert list(log.read()) == ["cat/2.jpg"]


def test_a_line_that_was_cut_off_is_passed_over_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    log = Decisions(path)
    log.append(decided("a", "keep"), decided("b", "keep"))
    whole = path.read_bytes()
    for length in range(len(whole) // 2 + 1, len(whole)):
        path.write_bytes(whole[:length])
        assert list(log.read()) == ["a"]
        log.append(decided("c", "skip"))
        assert list(log.read()) == ["a", "c"]
    path.write_bytes(whole[:10])
    log.append(decided("c", "skip"))
    assert list(log.read()) == ["c"]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"sample": "a"}', decided("a", "keep").to_json() | {"action": "burn"}]
)
def test_a_foreign_line_is_named(tmp_path: Path, line: object) -> None:
    path = tmp_path / "review.jsonl"
    text = line if isinstance(line, str) else json.dumps(line)
    path.write_text(text + "\n")
    with pytest.raises(DataError, match="line 1, is not a decision"):
        Decisions(path).read()
