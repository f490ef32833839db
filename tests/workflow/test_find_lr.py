"""The learning-rate range test."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from discs import draw_disc_folder
from drawing import DrawFolder

import foveal
from foveal.cli.main import run
from foveal.errors import FovealError
from foveal.workflow.find_lr import HIGHEST, LOWEST, suggest


def test_the_suggestion_is_in_the_middle_of_the_longest_fall() -> None:
    # 14 decades up in steps of a half; the loss falls from 1e-4 to 1e-1 alone.
    rates = [10 ** (k / 6 - 6) for k in range(43)]
    losses = [max(0.1, min(1.0, 1 - 0.3 * (math.log10(rate) + 4))) for rate in rates]
    losses[-3:] = [0.5, 2.0, 8.0]
    # The geometric mean of 1e-4 and 1e-1, to a step.
    assert suggest(rates, losses) == pytest.approx(10**-2.5, rel=0.25)


def test_a_loss_that_falls_nowhere_gives_no_suggestion() -> None:
    rates = [10.0**k for k in range(-6, 1)]
    with pytest.raises(FovealError, match="the loss did not decrease") as raised:
        suggest(rates, [1.0, 1.1, 1.2, 1.3, 1.2, 1.4, 1.5])
    assert raised.value.error_code == "no_learning_rate"


@pytest.mark.slow
def test_find_lr_leaves_a_plot_and_no_run(
    draw_folder: DrawFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = draw_folder(tmp_path / "shapes", n=20)
    out = tmp_path / "runs"
    command = ["train", str(data), "--find-lr", "--out", str(out), "--json", "--quiet"]
    assert run([*command, "--backbone", "fovea", "--image-size", "32", "--device", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert LOWEST < found["suggested"] < HIGHEST
    assert found["settings"] == f"--lr {found['suggested']:g}"
    assert found["rates"] == sorted(found["rates"])
    assert len(found["rates"]) == len(found["losses"])
    plot = out / "classify" / "shapes-lr.html"
    assert [path for path in out.rglob("*") if path.is_file()] == [plot]
    assert f"suggested: {found['suggested']:g}" in plot.read_text(encoding="utf-8")


@pytest.mark.slow
def test_tiled_pictures_have_a_learning_rate_too(tmp_path: Path) -> None:
    data = draw_disc_folder(tmp_path / "discs", 8)
    found = foveal.find_lr(
        data,
        task="segment",
        out=tmp_path / "runs",
        backbone="fovea",
        batch_size=4,
        image_size=64,
        device="cpu",
    )
    assert LOWEST < found.suggested < HIGHEST
    assert list((tmp_path / "runs" / "segment").iterdir()) == [found.plot]


def test_find_lr_goes_with_no_run_to_continue(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--find-lr", "photos", "--resume", "runs/classify/photos"]) == 2
    assert "--find-lr cannot be used together with" in capsys.readouterr().err
