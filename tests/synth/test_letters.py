from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from foveal.errors import DataError, UsageError
from foveal.synth import KINDS
from foveal.synth.fonts import can_draw, find_fonts, font_folders
from foveal.synth.letters import Letters


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.png"))}


def test_every_class_gets_equally_many_pictures(tmp_path: Path) -> None:
    KINDS["letters"].write(tmp_path / "drawn", count=52, seed=0)

    classes = sorted(p.name for p in (tmp_path / "drawn").iterdir())
    assert "".join(classes) == "abcdefghijklmnopqrstuvwxyz"
    assert {len(list(p.iterdir())) for p in (tmp_path / "drawn").iterdir()} == {2}


def test_the_same_seed_draws_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("first", 7), ("again", 7), ("other", 8)):
        KINDS["letters"].write(tmp_path / name, count=26, seed=seed)

    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "again")
    assert bytes_of(tmp_path / "first") != bytes_of(tmp_path / "other")


def test_more_pictures_begin_with_the_fewer_ones(tmp_path: Path) -> None:
    KINDS["letters"].write(tmp_path / "few", count=26, seed=0)
    KINDS["letters"].write(tmp_path / "many", count=40, seed=0)

    few, many = bytes_of(tmp_path / "few"), bytes_of(tmp_path / "many")
    assert len(many) == 40
    assert {name: many[name] for name in few} == few


def test_pictures_of_one_letter_differ_and_show_ink(tmp_path: Path) -> None:
    Letters(characters="ab").write(tmp_path / "drawn", count=20, seed=0)

    pictures = [np.asarray(PILImage.open(p)) for p in (tmp_path / "drawn" / "a").iterdir()]
    assert {p.shape for p in pictures} == {(60, 60, 3)}
    assert len({p.tobytes() for p in pictures}) == 10
    # Ink on paper spreads far more than the strongest noise (14 grey levels) does.
    assert min(p.astype(float).std() for p in pictures) > 20


def test_letters_stay_inside_the_picture() -> None:
    rng = np.random.default_rng(0)
    fonts = find_fonts("gjmw")
    letters = Letters()
    for _ in range(40):
        mask = letters._mask(
            "gjmw"[int(rng.integers(4))], fonts[int(rng.integers(len(fonts)))], rng
        )
        ink = np.asarray(mask) > 60
        assert ink.any()
        assert not (ink[0].any() or ink[-1].any() or ink[:, 0].any() or ink[:, -1].any())


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")

    with pytest.raises(UsageError, match="not an empty folder"):
        KINDS["letters"].write(tmp_path, count=26, seed=0)

    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_count_of_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="count"):
        KINDS["letters"].write(tmp_path / "drawn", count=0, seed=0)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'letters'"):
        KINDS["leters"]


def test_matplotlibs_fonts_are_always_there() -> None:
    names = {p.name for p in find_fonts("abc", font_folders()[:1])}
    assert {"DejaVuSans.ttf", "DejaVuSerif.ttf"} <= names


def test_symbol_fonts_and_fonts_of_last_resort_are_passed_over() -> None:
    names = {p.name for p in find_fonts("abc")}
    # cmsy10 has arrows where letters belong; LastResort draws one box for all letters.
    assert "cmsy10.ttf" not in names
    assert "LastResortHE-Regular.ttf" not in names


def test_a_font_without_the_characters_is_passed_over() -> None:
    sans = next(p for p in find_fonts("a", font_folders()[:1]) if p.name == "DejaVuSans.ttf")
    assert can_draw(sans, "abcß")
    # Han characters are not in DejaVu: it shows its box for "missing".
    assert not can_draw(sans, "字")


def test_a_damaged_font_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"\x00\x01\x00\x00 not a font")

    with pytest.raises(DataError, match="No font on this machine") as caught:
        find_fonts("abc", [tmp_path])

    assert caught.value.hint is not None
    assert "fonts-dejavu" in caught.value.hint
