"""A zip archive as data: the same samples as the folder, and nothing that it could do to us."""

from __future__ import annotations

import json
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from drawing import DrawFolder

import foveal
from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.data.decode import DecodeLimits
from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything
from foveal.errors import DataError, ImageError, ImageTooLargeError
from foveal.model import Model

LIMITS = DecodeLimits(max_bytes=100_000, max_pixels=1_000_000)


def zipped(folder: Path, inside: str = "", compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a folder's files into an archive beside it, below the folders `inside`."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{inside}{file.relative_to(folder)}")
    return path


@pytest.mark.parametrize("inside", ["", "photos/", "photos/photos/"])
def test_class_folders_in_a_zip_are_those_of_the_folder(
    draw_folder: DrawFolder, tmp_path: Path, inside: str
) -> None:
    folder = draw_folder(tmp_path / "photos", n=3)
    path = zipped(folder, inside)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"__MACOSX/{inside}._circle", b"litter")
        archive.writestr(f"{inside}.DS_Store", b"litter")
    plain, archived = open_source(folder), open_source(path)
    assert archived.samples == plain.samples
    assert archived.findings == ()
    for sample in plain.samples:
        assert archived.load(sample, LIMITS).digest == plain.load(sample, LIMITS).digest


def test_a_table_beside_the_pictures_is_found_inside_the_outer_folder(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    folder = draw_folder(tmp_path / "photos", n=2)
    (folder / "labels.csv").write_text("image,text\ncircle/0.png,A\nsquare/1.png,B\n")
    source = open_source(zipped(folder, "photos/"), ReadAnything(target="text"))
    assert [(s.id, s.raw) for s in source.samples] == [
        ("circle/0.png", ("A",)),
        ("square/1.png", ("B",)),
    ]


def test_masks_are_read_from_a_zip(tmp_path: Path) -> None:
    from discs import draw_disc_folder

    folder = draw_disc_folder(tmp_path / "discs", 3)
    plain = open_source(folder, ReadAnything(target="mask"))
    archived = open_source(zipped(folder, "discs/"), ReadAnything(target="mask"))
    assert archived.classes == plain.classes
    for sample in plain.samples:
        assert (archived.mask(sample) == plain.mask(sample)).all()


def test_the_sides_of_a_split_are_kept(draw_folder: DrawFolder, tmp_path: Path) -> None:
    draw_folder(tmp_path / "photos" / "train", n=2)
    draw_folder(tmp_path / "photos" / "val", n=1)
    source = open_source(zipped(tmp_path / "photos", "photos/"))
    assert [sample.split for sample in source.samples] == ["train"] * 4 + ["val"] * 2


def test_a_zip_is_read_from_many_threads(draw_folder: DrawFolder, tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "photos", n=20)
    plain, archived = open_source(folder), open_source(zipped(folder))
    samples = plain.samples * 5
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(lambda sample: archived.load(sample, LIMITS).digest, samples))
    assert digests == [plain.load(sample, LIMITS).digest for sample in samples]


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a\\..\\..\\evil.png"])
def test_an_archive_whose_names_point_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(DataError, match="points outside the archive"):
        open_source(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/1.png", b"one")
        archive.writestr("cat/1.png", b"another")
    with pytest.raises(DataError, match=r"cat/1\.png' twice"):
        open_source(path)


def test_a_member_that_claims_more_than_the_archive_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/1.png", b"one")
    data = bytearray(path.read_bytes())
    # Its compressed size, in the list at the end.
    at = data.rindex(b"cat/1.png") - 46 + 20
    data[at : at + 4] = (1_000_000_000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(DataError, match="declares more bytes"):
        open_source(path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_bytes(b"half a download")
    with pytest.raises(DataError, match="is not a complete zip archive") as caught:
        open_source(tmp_path / "photos.zip")
    assert "download it again" in str(caught.value.hint)


def test_a_bomb_is_refused_before_it_is_decompressed(
    draw_folder: DrawFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = draw_folder(tmp_path / "photos", n=1)
    (folder / "circle" / "bomb.png").write_bytes(bytes(LIMITS.max_bytes + 1))
    source = open_source(zipped(folder))
    bomb = next(sample for sample in source.samples if "bomb" in sample.id)
    monkeypatch.setattr(zipfile.ZipFile, "read", None)
    with pytest.raises(ImageTooLargeError):
        source.load(bomb, LIMITS)


def test_damaged_and_encrypted_files_are_errors_of_their_own(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    path = zipped(draw_folder(tmp_path / "photos", n=2), compression=zipfile.ZIP_STORED)
    with zipfile.ZipFile(path) as archive:
        damaged, encrypted = archive.infolist()[:2]
    data = bytearray(path.read_bytes())
    # The last byte of the first file; and the flag in the central directory entry of the second.
    data[encrypted.header_offset - 1] ^= 0xFF
    entry = data.rfind(encrypted.filename.encode(), encrypted.header_offset + 46)
    data[entry - 46 + 8] |= 1
    path.write_bytes(data)
    source = open_source(path)
    by_id = {sample.id: sample for sample in source.samples}
    with pytest.raises(ImageError, match="Bad CRC-32"):
        source.load(by_id[damaged.filename], LIMITS)
    with pytest.raises(ImageError, match="is encrypted"):
        source.load(by_id[encrypted.filename], LIMITS)


def test_check_and_predict_take_a_zip(
    draw_folder: DrawFolder,
    tmp_path: Path,
    tiny_bundle: Bundle,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = zipped(draw_folder(tmp_path / "photos", n=3), "photos/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("photos/square/broken.png", b"no picture")
    assert run(["check", str(path), "--json"]) == 0
    assert "6 pictures" not in json.loads(capsys.readouterr().out)["layout"]
    answers = Model(tiny_bundle.path).predict(path, verbose=False)
    assert [answer.error is None for answer in answers] == [True] * 6 + [False]
    assert answers[0].source == f"{path}/photos/circle/0.png"
    assert run(["predict", str(tiny_bundle.path), str(path), "--csv"]) == 1
    assert capsys.readouterr().out.count(f"{path}/photos/") == 7


def test_an_archive_without_pictures_cannot_be_predicted(
    tmp_path: Path, tiny_bundle: Bundle
) -> None:
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
        archive.writestr("notes.txt", "nothing to see")
    with pytest.raises(DataError, match="no pictures in the archive"):
        Model(tiny_bundle.path).predict(tmp_path / "notes.zip", verbose=False)


@pytest.mark.slow
def test_a_zip_is_trained_on_and_found_again_when_the_run_goes_on(
    draw_folder: DrawFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = draw_folder(tmp_path / "shapes", n=10)
    zipped(folder, "shapes/")
    shutil.rmtree(folder)
    monkeypatch.chdir(tmp_path)
    model = foveal.train(
        "shapes.zip", epochs=1, backbone="fovea", image_size=16, device="cpu", verbose=False
    )
    assert model.run == tmp_path / "runs/classify/shapes"
    assert json.loads((model.run / "run.json").read_text())["data"] == str(tmp_path / "shapes.zip")
    longer = foveal.extend(model.run.resolve(), 1, verbose=False)
    assert len(longer.history()) == 2
    # As a process leaves it that is killed before its bundle is there.
    shutil.rmtree(model.run / "bundle")
    resumed = foveal.resume(model.run.resolve(), verbose=False)
    assert len(resumed.history()) == 2
    assert resumed.bundle.manifest.data == longer.bundle.manifest.data
