"""Texts that no reader of the other folds reads so are found, with what was read instead."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

import foveal
from foveal.workflow import text_fit

# Each symbol is 8 x 16 pixels of ink, told apart by where it is.
SYMBOLS = {
    "A": np.s_[:, :],
    "B": np.s_[:8, :],
    "C": np.s_[8:, :],
    "D": np.s_[:, 3:5],
}
COUNT = 120


def written(folder: Path, wrong: dict[int, str]) -> list[str]:
    """Draw pictures of three symbols with a table of their texts, some of them wrong."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    texts = []
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("image", "text"))
        for number in range(COUNT):
            # No symbol twice: where one ends and the next begins takes longer to learn.
            text = "".join(rng.permutation(list(SYMBOLS))[:3])
            pixels = np.full((16, 32), 255, np.int16)
            for place, symbol in enumerate(text):
                pixels[:, 1 + 10 * place : 9 + 10 * place][SYMBOLS[symbol]] = 0
            pixels += rng.integers(-30, 30, pixels.shape, np.int16)
            picture = PILImage.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            picture.save(folder / f"{number:03}.png")
            table.writerow((f"{number:03}.png", wrong.get(number, text)))
            texts.append(text)
    return texts


class KnowsTheSymbols(torch.nn.Module):
    """Reads what `written` draws, as a reader does that has learnt to: seven columns a picture."""

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        ink = 1 - images.mean(dim=1) / 255
        known = torch.zeros(len(SYMBOLS), 16, 8)
        for number, where in enumerate(SYMBOLS.values()):
            known[number][where] = 1
        logits = torch.zeros(len(images), 7, 1 + len(SYMBOLS))
        logits[:, :, 0] = 10
        for place in range(3):
            cell = ink[:, None, :, 1 + 10 * place : 9 + 10 * place]
            logits[:, 1 + 2 * place, 0] = -40
            logits[:, 1 + 2 * place, 1:] = -60 * (cell - known).abs().mean(dim=(2, 3))
        return {"logits": logits}


def test_wrong_texts_are_found_with_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_fit, "_HEIGHT", 16)
    monkeypatch.setattr(text_fit._Readers, "_trained", lambda *_: KnowsTheSymbols())
    texts = written(tmp_path / "right", {})
    # A slip, a character left out, and the text of something else, too long for its picture.
    unused = next(symbol for symbol in SYMBOLS if symbol not in texts[7])
    wrong = {7: texts[7][:2] + unused, 40: texts[40][:2], 90: "DDDDDD"}
    written(tmp_path / "wrong", wrong)
    report = foveal.check(tmp_path / "wrong", task="read", features=True, verbose=False)
    (found,) = (f for f in report.findings if f.id == "texts.suspect")
    assert {s.sample: s.label for s in found.suspects} == {f"{i:03}.png": texts[i] for i in wrong}
    assert all(suspect.score > 0.9 for suspect in found.suspects)
    assert "3 texts of 120 likely wrong" in found.message
    assert found.method is not None
    assert "read 98 % of the texts as given" in found.method


def test_readers_that_learnt_nothing_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path / "texts", {})
    monkeypatch.setattr(text_fit, "_STEPS", 1)
    monkeypatch.setattr(text_fit, "_HEIGHT", 16)
    monkeypatch.setattr(text_fit, "_BATCH", 80)
    report = foveal.check(tmp_path / "texts", task="read", features=True, verbose=False)
    assert not any(f.id == "texts.suspect" for f in report.findings)
    assert (
        "texts are not checked for errors: readers trained on the other folds agree" in caplog.text
    )


def test_too_few_pictures_to_learn_reading_from_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        PILImage.new("L", (20, 16), 40 * number).save(tmp_path / f"A{number}.png")
    foveal.check(tmp_path, task="read", features=True, verbose=False)
    assert "texts are not checked for errors: 3 are too few" in caplog.text
