import shlex
from pathlib import Path

import pytest

import foveal
from foveal.cli.foreign import as_ours
from foveal.cli.main import VERBS, run
from foveal.errors import UsageError

MODULES = {name: verb.module for name, verb in VERBS.items()}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("version", "--version"),
        ("help", "--help"),
        ("val m held-out", "evaluate m held-out"),
        ("test m held-out --json", "evaluate m held-out --json"),
        ("fit photos", "train photos"),
        ("train data=photos epochs=10 imgsz=64", "train photos --epochs 10 --image-size 64"),
        ("train photos batch=8 lr0=0.01", "train photos --batch-size 8 --lr 0.01"),
        ("train data=photos model=fovea", "train photos --backbone fovea"),
        ("train photos project=out name=a", "train photos --out out --name a"),
        ("classify train data=photos", "train photos --task classify"),
        ("segment val model=m data=d", "evaluate m d"),
        ("predict source=a.jpg model=m", "predict m a.jpg"),
        ("export model=m format=onnx", "export m --to onnx"),
        ("explain m source=a.jpg", "explain m a.jpg"),
        ("train photos allow_download=True", "train photos --allow-download"),
        ("train photos allow_download=False", "train photos"),
        ("train photos --set train.ema=0.9", "train photos --set train.ema=0.9"),
        ("train photos --set seed=1", "train photos --set seed=1"),
        ("synth captcha --out x --option length=4", "synth captcha --out x --option length=4"),
        ("train photos --epochs=3", "train photos --epochs=3"),
        ("predict m a.jpg", "predict m a.jpg"),
    ],
)
def test_what_other_tools_take_is_understood(theirs: str, ours: str) -> None:
    assert as_ours(shlex.split(theirs), MODULES) == shlex.split(ours)


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("train photos epoch=3", "no epoch=…. Did you mean epochs=…", "foveal train --help"),
        ("train photos wat=3", "foveal train has no wat=….", "foveal train --help"),
        ("train photos save=True", "--out needs a value", None),
        ("classify photos", "classify is a task", "foveal train photos --task classify"),
        ("track video.mp4", "not boxes", "--task segment"),
        ("predcit m", "Unknown verb 'predcit'. Did you mean 'predict'?", "foveal --help"),
    ],
)
def test_what_is_not_understood_gets_the_right_line(
    line: str, message: str, hint: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        as_ours(line.split(), MODULES)
    assert message in caught.value.message
    assert hint is None or hint in str(caught.value.hint)


def test_a_far_name_is_not_guessed() -> None:
    with pytest.raises(UsageError) as caught:
        as_ours(["yolo"], MODULES)
    assert "Did you mean" not in caught.value.message


def test_a_file_with_an_equals_sign_is_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("source=a.jpg").touch()
    assert as_ours(["predict", "m", "source=a.jpg"], MODULES) == ["predict", "m", "source=a.jpg"]


def test_what_was_understood_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UsageError("that is all")

    monkeypatch.setattr(foveal, "check", refuse)
    assert run(["check", "data=my photos"]) == 2
    assert capsys.readouterr().err.startswith("read as: foveal check 'my photos'\n")
