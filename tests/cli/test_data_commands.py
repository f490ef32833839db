import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import foveal
from foveal.cli.main import run
from foveal.types import Finding


def report(*findings: Finding) -> SimpleNamespace:
    return SimpleNamespace(
        samples=30,
        layout="30 pictures in 2 class folders",
        balance={"cat": {"train": 16, "val": 4}, "dog": {"train": 10}},
        characters="",
        findings=findings,
        to_json=lambda: {"schema_version": 1, "samples": 30},
    )


def test_check_shows_layout_balance_and_findings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding("labels.imbalance", "warning", "cat is twice as frequent.")
    monkeypatch.setattr(foveal, "check", lambda *_, **__: report(finding))
    assert run(["check", "photos", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "30 pictures in 2 class folders",
        "class  train  val  all",
        "cat       16    4   20",
        "dog       10    0   10",
        "warning: cat is twice as frequent. [labels.imbalance]",
    ]


def test_check_shows_texts_by_their_length(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looked_at = report()
    looked_at.balance = {"4": {"train": 16, "val": 4}, "12": {"train": 10}}
    looked_at.characters = "ABK3"
    given: dict[str, object] = {}
    monkeypatch.setattr(foveal, "check", lambda _, **options: given.update(options) or looked_at)
    assert run(["check", "photos", "--label-regex", "(.+)_", "--quiet"]) == 0
    assert given["label_regex"] == "(.+)_"
    assert capsys.readouterr().out.splitlines()[1:] == [
        "length  train  val  all",
        "     4     16    4   20",
        "    12     10    0   10",
        "4 different characters: ABK3",
        "no problems found",
    ]


def test_check_fails_when_training_would_be_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding("labels.one_class", "error", "There is one class.")
    monkeypatch.setattr(foveal, "check", lambda *_, **__: report(finding))
    assert run(["check", "photos", "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "samples": 30}


def test_synth_draws_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "letters"
    assert run(["synth", "letters", "--out", str(out), "--count", "26", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value == {"schema_version": 1, "kind": "letters", "out": str(out), "count": 26}
    assert len(list(out.glob("*/*.png"))) == 26


def test_synth_names_the_nearest_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["synth", "leters", "--out", str(tmp_path / "x"), "--count", "1"]) == 2
    assert "Did you mean 'letters'?" in capsys.readouterr().err
