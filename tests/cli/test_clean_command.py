from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from curation.trees import snapshot
from PIL import Image as PILImage

import foveal
from foveal.cli.main import run
from foveal.curation import disk
from foveal.curation.decisions import Action, Decision, Decisions
from foveal.curation.journal import Journal
from foveal.errors import DataError, UsageError

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight pictures of noise in two classes, and a file that is no picture."""
    chance = np.random.default_rng(0)
    for number in range(8):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = chance.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        PILImage.fromarray(pixels).resize((32, 32), PILImage.Resampling.BICUBIC).save(path)
    (tmp_path / "photos/cat/broken.jpg").write_bytes(b"nothing")
    return tmp_path / "photos"


def decide(data: Path, sample: str, action: Action, label: str | None = None) -> None:
    decision = Decision(sample, action, label, "images.blank", datetime.now(UTC))
    Decisions(data / ".foveal/review.jsonl").append(decision)


def test_a_review_is_applied_shown_first_and_undone(photos: Path, capsys: Captured) -> None:
    before = snapshot(photos)
    decide(photos, "cat/0.png", "relabel", "dog")
    decide(photos, "dog/1.png", "quarantine")
    decide(photos, "dog/3.png", "keep")
    decide(photos, "dog/gone.png", "quarantine")
    # Not at a terminal: only shown.
    assert run(["clean", str(photos)]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "found by      what is done  pictures  for example",
        "images.blank  relabel              1  cat/0.png → dog",
        "images.blank  quarantine           1  dog/1.png",
        "1 picture passed over: no longer there (dog/gone.png)",
    ]
    assert "Nothing has been changed. To do it: add --yes" in shown.err
    assert snapshot(photos) == before
    assert run(["clean", str(photos), "--yes"]) == 0
    assert "applied: 1 picture to quarantine and 1 picture to another label" in (
        capsys.readouterr().out
    )
    assert (photos / "dog/0.png").exists()
    assert (photos / ".foveal/quarantine/dog/1.png").exists()
    # What was done once is not done again.
    assert run(["clean", str(photos), "--yes"]) == 2
    assert "There are no decisions" in capsys.readouterr().err
    assert run(["clean", str(photos), "--history"]) == 0
    assert "applied  1 picture to quarantine and 1" in capsys.readouterr().out
    assert run(["clean", str(photos), "--undo"]) == 0
    assert snapshot(photos) == before
    # After undoing, the decisions hold again.
    report = foveal.clean(photos, dry_run=True)
    assert len(report.changes) == 2


def test_the_plan_tells_the_new_labels_of_pictures_with_long_names(
    photos: Path, capsys: Captured
) -> None:
    long = "0123456789abcdef" * 2
    for name in ("a", "b"):
        (photos / "cat/0.png").with_name(f"{name}{long}.png").write_bytes(
            (photos / "cat/0.png").read_bytes() + name.encode()
        )
        decide(photos, f"cat/{name}{long}.png", "relabel", "dog")
    assert run(["clean", str(photos), "--dry-run"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split("  ")[-1].startswith("cat/a0123456789ab….png → dog")
    assert len(row) < 80


def test_a_terminal_is_asked(
    photos: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foveal.cli.clean._is_terminal", lambda: True)
    decide(photos, "dog/1.png", "quarantine")
    for answer, is_there in (("n\n", True), ("y\n", False)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert run(["clean", str(photos)]) == 0
        assert "1 picture to quarantine: do it?" in capsys.readouterr().out
        assert (photos / "dog/1.png").exists() is is_there


def test_findings_are_dealt_with_by_rules(photos: Path, capsys: Captured) -> None:
    assert run(["clean", str(photos), "--auto", "--yes", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["state"] == "applied"
    assert report["changes"] == [
        {
            "sample": "cat/broken.jpg",
            "action": "quarantine",
            "label": None,
            "reason": "cannot be read",
            "finding": "images.unreadable",
            "was": "cat",
        }
    ]
    # The report of the check is older than the cleaning: the data are checked again.
    assert run(["clean", str(photos), "--auto", "--yes"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "nothing to do\n"
    assert "the data has changed since the last check" in captured.err


def test_without_a_decision_there_is_nothing_to_do(photos: Path, capsys: Captured) -> None:
    assert run(["clean", str(photos)]) == 2
    assert "--auto" in capsys.readouterr().err
    assert run(["clean", str(photos), "--undo"]) == 2
    assert run(["clean", str(photos), "--undo", "--yes"]) == 2
    assert run(["clean", str(photos), "--history"]) == 0
    assert "no cleanings yet" in capsys.readouterr().out
    assert run(["clean", str(photos), "--auto", "--only", "images.blured"]) == 2
    assert "Did you mean" in capsys.readouterr().err


def test_a_person_comes_before_the_rules_also_the_next_time(photos: Path) -> None:
    decide(photos, "cat/broken.jpg", "keep")
    decide(photos, "cat/0.png", "relabel", "dog")
    (photos / "dog/0.txt").touch()
    assert len(foveal.clean(photos, auto=True).changes) == 1
    (photos / "dog/0.png").write_bytes(b"no picture any more")
    assert foveal.clean(photos, auto=True, dry_run=True).changes == ()


def test_an_interrupted_cleaning_is_undone_and_said(
    photos: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(photos)
    decide(photos, "dog/1.png", "quarantine")
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_undo", lambda self, home, *, all_done: None)
        patch.setattr(disk, "append", _full)
        assert run(["clean", str(photos), "--yes"]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert snapshot(photos) != before
    assert run(["clean", str(photos), "--dry-run"]) == 0
    assert "was interrupted, so its changes were undone" in capsys.readouterr().err
    assert snapshot(photos) == before


def _full(path: Path, content: bytes) -> None:
    raise OSError(28, "No space left on device")


def test_data_that_cannot_be_changed_in_place_say_what_to_do(
    tmp_path: Path, capsys: Captured
) -> None:
    with ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("cat/a.png", b"")
    (tmp_path / "photos.tar.gz").touch()
    np.savez(tmp_path / "arrays.npz", images=np.zeros((2, 4, 4), np.uint8), labels=[0, 1])
    for location, hint in [
        (tmp_path / "photos.zip", "unpack it first: python -m zipfile -e"),
        (tmp_path / "photos.tar.gz", "mkdir photos && tar -xf"),
        ("memory://photos", "copy it to this machine first"),
        ("synth:letters", "foveal synth letters --out FOLDER"),
        (tmp_path / "arrays.npz", "foveal split"),
    ]:
        assert run(["clean", str(location), "--auto", "--yes"]) == 3
        assert hint in capsys.readouterr().err
    assert run(["clean", str(tmp_path / "missing"), "--auto"]) == 3
    assert "does not exist" in capsys.readouterr().err


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Bars of ink on paper as PNG, JPEG and GIF, and what is no picture."""
    pixels = np.full((60, 100), 230, np.uint8)
    pixels[20:40, 30:70] = 20
    (tmp_path / "pages/a").mkdir(parents=True)
    (tmp_path / "pages/b").mkdir()
    for number, name in enumerate(("a/1.png", "a/2.jpg", "b/3.gif", "b/4.png", "b/5.png")):
        ink = pixels.copy()
        ink[20:40, 30 : 40 + 6 * number] = 90
        PILImage.fromarray(ink).save(tmp_path / "pages" / name)
    (tmp_path / "pages/a/broken.png").write_bytes(b"nothing")
    (tmp_path / "pages/b/link.png").symlink_to("4.png")
    return tmp_path / "pages"


def test_pages_are_laid_out_again_and_undone(documents: Path, capsys: Captured) -> None:
    before = snapshot(documents)
    steps = [
        word for step in ("grey", "threshold", "trim", "margin:50") for word in ("--step", step)
    ]
    decide(documents, "b/5.png", "quarantine")
    assert run(["clean", str(documents), *steps]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in shown[1:3]] == [
        ["images.blank", "quarantine", "1"],
        ["steps", "lay", "out"],
    ]
    assert "1 picture passed over: not laid out, because .gif is not supported (b/3.gif)" in shown
    assert snapshot(documents) == before
    assert run(["clean", str(documents), "--yes", "--quiet", *steps]) == 0
    assert "1 picture to quarantine and 3 pictures laid out again" in capsys.readouterr().out
    for name, kind in (("a/1.png", "PNG"), ("a/2.jpg", "JPEG")):
        with PILImage.open(documents / name) as picture:
            assert (picture.format, picture.mode) == (kind, "L")
            # Half of the ink's height of 20 on all sides.
            assert picture.height == 40
            assert picture.getpixel((5, 5)) == pytest.approx(230, abs=3)
    assert run(["clean", str(documents), "--undo"]) == 0
    assert snapshot(documents) == before


def test_steps_that_make_no_sense_change_nothing(documents: Path, capsys: Captured) -> None:
    before = snapshot(documents)
    for steps in (["trim"], ["grey", "thresold"]):
        words = [word for step in steps for word in ("--step", step)]
        assert run(["clean", str(documents), "--yes", *words]) == 2
    assert "Did you mean 'threshold'" in capsys.readouterr().err
    assert snapshot(documents) == before


@pytest.mark.parametrize("call", [foveal.clean, foveal.cleanings])
def test_what_is_no_path_is_refused(call: Callable[..., object]) -> None:
    with pytest.raises(UsageError, match="Expected the path or URL of a folder"):
        call(["a.png"])


def test_the_report_shows_itself(photos: Path) -> None:
    decide(photos, "cat/0.png", "relabel", "<dog>")
    report = foveal.clean(photos, dry_run=True)
    assert repr(report) == f"CleanReport({photos}, planned: 1 picture to another label)"
    assert "&lt;dog&gt;" in report._repr_html_()
    done = foveal.clean(photos, confirm=lambda plan: plan.summary == report.summary)
    assert (done.state, done.number) == ("applied", 1)
    (cleaning,) = foveal.cleanings(photos)
    assert cleaning.state == "applied"
    begun = f"{cleaning.at:%Y-%m-%d %H:%M}"
    assert repr(cleaning) == f"Cleaning(1, {begun} UTC, applied: 1 change)"
    assert foveal.clean(photos, undo=True).state == "undone"
    with pytest.raises(UsageError, match="undoes a whole cleaning"):
        foveal.clean(photos, undo=True, auto=True)
    with pytest.raises(UsageError, match="No cleaning"):
        foveal.clean(photos, undo=True)


def test_undoing_over_changed_files_is_refused_and_named(photos: Path, capsys: Captured) -> None:
    foveal.clean(photos, auto=True)
    (photos / ".foveal/quarantine/cat/broken.jpg").write_bytes(b"changed")
    with pytest.raises(DataError, match=r"broken\.jpg has changed"):
        foveal.clean(photos, undo=True)
    assert run(["clean", str(photos), "--undo"]) == 3
