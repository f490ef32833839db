"""`foveal models`: from pushing a run to rolling it back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawing import DrawFolder
from stored import answers, write_bundle

import foveal
from foveal.cli.main import run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw_folder: DrawFolder) -> Path:
    """Return the working directory: a good model, one that is always wrong, and pictures."""
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / "good", 0.9)
    write_bundle(tmp_path / "wrong", 0.95, is_swapped=True)
    draw_folder(tmp_path / "held-out", n=4)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert run(["models", *args]) == 0
    return capsys.readouterr().out


def parsed(capsys: pytest.CaptureFixture[str], *args: str) -> dict:
    values = json.loads(told(capsys, *args, "--json"))
    assert values["schema_version"] == 1
    return values


def test_push_list_promote_and_roll_back(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "push", "good", "cats") == "cats:1\n"
    assert parsed(capsys, "push", "good", "cats", "--note", "again")["version"] == 2
    assert told(capsys, "promote", "cats:1") == "cats@live is now cats:1\n"
    assert told(capsys, "promote", "cats:2") == "cats@live is now cats:2 (was cats:1)\n"
    assert told(capsys, "promote", "cats:2") == "cats@live is cats:2 already\n"
    assert told(capsys, "rollback", "cats") == "cats@live is now cats:1 (was cats:2)\n"
    table = told(capsys, "list").splitlines()
    assert [line.split()[:2] for line in table[1:]] == [
        ["cats:1", "live"],
        ["cats:2", table[2].split()[1]],
    ]
    model = parsed(capsys, "list")["models"][0]
    assert (model["name"], model["aliases"], model["current"]) == ("cats", {"live": 1}, 1)
    assert model["versions"][1]["record"]["note"] == "again"
    assert [move["action"] for move in parsed(capsys, "show", "cats")["history"]] == [
        "promote",
        "promote",
        "rollback",
    ]


def test_a_version_that_is_worse_on_the_pinned_test_set_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "push", "good", "cats")
    assert told(capsys, "pin", "cats", "held-out").startswith("cats is tested on 8 pictures of ")
    told(capsys, "promote", "cats:1")
    # Its figures on validation are better.
    told(capsys, "push", "wrong", "cats")
    assert run(["models", "promote", "cats:2"]) == 1
    said = capsys.readouterr().err
    assert "cats:2 is worse than cats:1 on the pinned test set" in said
    assert "accuracy -100.00 points" in said
    assert "foveal models promote cats:2 --alias live --force" in said
    assert foveal.load("cats").stored.version == 1

    forced = parsed(capsys, "promote", "cats:2", "--force")
    assert (forced["forced"], forced["test"]["difference"]["lost"]) == (True, 8)
    assert foveal.load("cats").stored.version == 2
    # Going back is always possible, and so is a better version.
    assert parsed(capsys, "rollback", "cats")["version"] == 1


def test_a_tolerance_lets_a_slightly_worse_version_pass(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "push", "good", "cats")
    told(capsys, "promote", "cats:1")
    told(capsys, "push", "wrong", "cats")
    told(capsys, "pin", "cats", "held-out", "--tolerance", "99")
    assert run(["models", "promote", "cats:2"]) == 1
    assert "(allowed: -99.00)" in capsys.readouterr().err
    assert parsed(capsys, "pin", "cats", "--none")["test"] is None
    assert parsed(capsys, "promote", "cats:2")["test"] is None


def test_a_test_set_that_changed_must_be_pinned_again(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "push", "good", "cats")
    told(capsys, "pin", "cats", "held-out")
    told(capsys, "promote", "cats:1")
    (place / "held-out" / "circle" / "0.png").rename(place / "held-out" / "square" / "9.png")
    told(capsys, "push", "good", "cats")
    assert run(["models", "promote", "cats:2"]) == 4
    assert "its pictures or labels have changed" in capsys.readouterr().err
    assert parsed(capsys, "promote", "cats:2", "--force")["forced"] is True


def test_drawn_pictures_cannot_be_pinned(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "push", "good", "cats")
    assert run(["models", "pin", "cats", "synth:captcha"]) == 2
    assert "foveal synth captcha --out test-set" in capsys.readouterr().err


def test_a_damaged_version_is_listed_as_such(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "push", "good", "cats")
    model = place / "models" / "cats" / "1" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    assert run(["models", "list"]) == 0
    shown = capsys.readouterr()
    assert "damaged" in shown.out
    assert "cats:1 is damaged: model.onnx" in shown.err
    assert "damaged" in parsed(capsys, "list")["models"][0]["versions"][0]["problem"]
    assert run(["models", "show", "cats:1"]) == 4


def test_two_versions_are_compared(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "push", "good", "cats")
    told(capsys, "push", "wrong", "cats")
    told(capsys, "pin", "cats", "held-out")
    told(capsys, "promote", "cats:1")
    shown = told(capsys, "diff", "cats:1", "cats:2")
    assert "accuracy  90.00 % (80.0 to 95.0)  95.00 % (85.0 to 100.0)" in shown
    assert "validation: accuracy +5.00 points" in shown
    values = parsed(capsys, "diff", "cats:1", "cats:2")
    assert values["difference"]["paired"] is False
    assert values["labels"] == {"added": [], "missing": []}


def test_a_version_is_removed_and_old_ones_are_pruned(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(4):
        told(capsys, "push", "good", "cats")
    told(capsys, "promote", "cats:2")
    assert run(["models", "remove", "cats:2"]) == 2
    assert "is not removed" in capsys.readouterr().err
    assert told(capsys, "remove", "cats:1") == "removed cats:1\n"
    assert parsed(capsys, "prune", "cats", "--keep", "1", "--dry-run")["removed"] == [3]
    assert told(capsys, "prune", "cats", "--keep", "1") == "removed cats:3\n"


def test_an_empty_store_says_how_to_begin(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list"]) == 0
    assert "foveal models push RUN NAME" in capsys.readouterr().err


def test_another_store_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "push", "good", "cats", "--store", "elsewhere")
    told(capsys, "push", "elsewhere/cats:1", "cats", "--store", "production")
    assert told(capsys, "list", "--store", "production").splitlines()[1].startswith("cats:1")
    assert not Path("models").exists()


def test_pictures_that_a_version_was_trained_on_are_left_out(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = sorted(Path("held-out").rglob("*.png"))
    write_bundle(place / "knows", 0.9, trained_on=pictures[:3])
    write_bundle(place / "knows all", 0.9, trained_on=pictures)
    told(capsys, "push", "good", "cats")
    told(capsys, "promote", "cats:1")
    told(capsys, "pin", "cats", "held-out")
    assert run(["models", "push", "knows", "cats"]) == 0
    assert "was trained on 3 of the 8 pictures of the test set" in capsys.readouterr().err
    difference = parsed(capsys, "promote", "cats:2")["test"]["difference"]
    assert (difference["pictures"], difference["left_out"]) == (5, 3)
    told(capsys, "push", "knows all", "cats")
    assert run(["models", "promote", "cats:3"]) == 1
    assert "one of them was trained on each of its pictures" in capsys.readouterr().err


def test_a_version_pushed_to_another_store_keeps_its_answers(place: Path) -> None:
    foveal.open_store().push(foveal.load("good").bundle, "cats", answers=answers("1101"))
    assert run(["models", "push", "cats:1", "ants", "--store", "other", "--quiet"]) == 0
    assert foveal.open_store("other").answers("ants", 1) == answers("1101")


def test_a_pushed_version_is_named_as_it_is_found(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "push", "good", "cats", "--store", "other"]) == 0
    assert "use it: foveal predict other/cats:1 PICTURES\n" in capsys.readouterr().err
    assert foveal.load("other/cats:1").labels == foveal.load("good").labels
