"""The report of a check."""

import json
from pathlib import Path

import pytest

from foveal.checks.report import CheckReport
from foveal.errors import DataError
from foveal.types import Finding, Suspect

REPORT = CheckReport(
    location="photos",
    layout="3 pictures in 2 class folders",
    samples=3,
    target="labels",
    balance={"cat": {"train": 2}, "dog": {"val": 1}},
    characters="",
    findings=(
        Finding(
            "labels.suspect",
            "warning",
            "1 picture looks like another class.",
            ("cat/1.jpg",),
            1,
            method="out-of-fold predictions",
            suspects=(Suspect("cat/1.jpg", 0.75, "dog", ("dog/2.jpg",)),),
        ),
    ),
)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    REPORT.save(tmp_path / "check.json")
    assert CheckReport.load(tmp_path / "check.json") == REPORT


def test_a_report_from_before_predictions_is_read(tmp_path: Path) -> None:
    path = tmp_path / "check.json"
    REPORT.save(path)
    values = json.loads(path.read_text())
    del values["predictions"]
    path.write_text(json.dumps(values))
    assert CheckReport.load(path) == REPORT


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": 99}'])
def test_anything_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "check.json").write_text(content)
    with pytest.raises(DataError, match="is not a report of foveal check"):
        CheckReport.load(tmp_path / "check.json")
