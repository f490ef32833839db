from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn import draw_all

from foveal.errors import DataError
from foveal.synth import LETTERS, fonts
from foveal.synth.fonts import find_fonts
from foveal.synth.letters import Letters


def test_letters_come_in_turn() -> None:
    targets = [LETTERS.target(0, index) for index in range(28)]
    assert "".join(t[0] for t in targets) == "abcdefghijklmnopqrstuvwxyzab"


def test_pictures_of_one_letter_differ_and_show_ink() -> None:
    drawn = list(draw_all(Letters(characters="a"), 0, range(10), workers=1))

    assert {d.pixels.shape for d in drawn} == {(60, 60, 3)}
    assert len({d.pixels.tobytes() for d in drawn}) == 10
    # Ink on paper spreads far more than the strongest noise (14 grey levels) does.
    assert min(d.pixels.astype(float).std() for d in drawn) > 20


def test_letters_stay_inside_the_picture() -> None:
    rng = np.random.default_rng(0)
    found = find_fonts("gjmw")
    letters = Letters()
    for _ in range(40):
        font = str(found[int(rng.integers(len(found)))])
        mask = letters._mask("gjmw"[int(rng.integers(4))], font, rng)
        ink = np.asarray(mask) > 60
        assert ink.any()
        assert not (ink[0].any() or ink[-1].any() or ink[:, 0].any() or ink[:, -1].any())


def test_a_machine_without_fonts_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "font_folders", lambda: [tmp_path])

    with pytest.raises(DataError, match="No font on this machine") as caught:
        replace(LETTERS, characters="ab").prepared()

    assert "fonts-dejavu" in str(caught.value.hint)
