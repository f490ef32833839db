"""A tar as data, compressed or not: the same samples, and nothing that it could do to us."""

import io
import json
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from drawing import DrawFolder
from hypothesis import given
from hypothesis import strategies as st

from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.curation.workspace import Workspace
from foveal.data import tars
from foveal.data.archive import ArchiveStorage
from foveal.data.decode import DecodeLimits
from foveal.data.layouts import open_source
from foveal.errors import DataError, ImageError, ImageTooLargeError
from foveal.model import Model
from foveal.workflow.rundir import default_name

LIMITS = DecodeLimits(max_bytes=100_000, max_pixels=1_000_000)
ENDINGS = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def packed(folder: Path, ending: str = ".tar", inside: str = "photos/") -> Path:
    """Write a folder's files into an archive beside it."""
    path = folder.with_name(folder.name + ending)
    with tarfile.open(path, ENDINGS[ending]) as archive:
        # Not in the order of their names.
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.add(file, f"{inside}{file.relative_to(folder)}", recursive=False)
    return path


def with_member(path: Path, name: str, body: bytes = b"", **about: object) -> Path:
    """Write an archive of one member."""
    info = tarfile.TarInfo(name)
    info.size = len(body)
    for key, value in about.items():
        setattr(info, key, value)
    with tarfile.open(path, "w") as archive:
        archive.addfile(info, io.BytesIO(body))
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_class_folders_in_a_tar_are_those_of_the_folder(
    draw_folder: DrawFolder, tmp_path: Path, ending: str
) -> None:
    folder = draw_folder(tmp_path / "photos", n=20)
    (folder / "circle" / ".hidden").write_text("litter")
    plain, archived = open_source(folder), open_source(packed(folder, ending))
    assert archived.samples == plain.samples
    assert archived.findings == ()
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(lambda s: archived.load(s, LIMITS).digest, plain.samples * 3))
    assert digests == [plain.load(s, LIMITS).digest for s in plain.samples] * 3


def test_names_longer_than_a_header_are_read(draw_folder: DrawFolder, tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "photos", n=1)
    long = folder / "circle" / f"{'é' * 110}.png"
    (folder / "circle" / "0.png").rename(long)
    for name, kind in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
        path = tmp_path / f"{name}.tar"
        with tarfile.open(path, "w", format=kind) as archive:
            archive.add(folder, "photos")
        assert [s.id for s in open_source(path).samples] == [f"circle/{long.name}", "square/0.png"]


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a/../../evil.png"])
def test_an_archive_whose_names_point_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="points outside the archive"):
        open_source(with_member(tmp_path / "photos.tar", name))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (tarfile.SYMTYPE, "a link to '/etc/passwd', which is not followed"),
        (tarfile.LNKTYPE, "a link to '/etc/passwd', which is not followed"),
        (tarfile.FIFOTYPE, "which is not a regular file"),
        (tarfile.CHRTYPE, "which is not a regular file"),
    ],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes, message: str) -> None:
    path = with_member(tmp_path / "photos.tar", "cat/a.png", type=kind, linkname="/etc/passwd")
    with pytest.raises(DataError, match=message) as caught:
        open_source(path)
    assert "--dereference" in str(caught.value.hint)


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = with_member(tmp_path / "photos.tar", "cat/1.png", b"one")
    with tarfile.open(path, "a") as archive:
        archive.addfile(tarfile.TarInfo("cat/1.png"))
    with pytest.raises(DataError, match=r"cat/1\.png' twice"):
        open_source(path)


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_half_an_archive_is_refused(draw_folder: DrawFolder, tmp_path: Path, ending: str) -> None:
    path = packed(draw_folder(tmp_path / "photos", n=3), ending)
    data = path.read_bytes()
    for part in (data[: len(data) // 2 + 7], b"", b"no archive at all" * 100, data[:20]):
        path.write_bytes(part)
        with pytest.raises(DataError, match="is not a complete tar archive") as caught:
            open_source(path)
        assert "\n" not in caught.value.message
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    with pytest.raises(DataError, match="Zstandard"):
        open_source(path)


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = with_member(tmp_path / "photos.tar", "cat/1.png", bytes(LIMITS.max_bytes + 1))
    source = open_source(path)
    with pytest.raises(ImageTooLargeError):
        source.load(source.samples[0], LIMITS)


def test_an_archive_that_lost_its_end_meanwhile_is_an_error_of_the_picture(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    path = packed(draw_folder(tmp_path / "photos", n=3))
    source = open_source(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ImageError, match="truncated within it"):
        source.load(source.samples[0], LIMITS)


def test_a_bomb_is_refused_while_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tars, "_SMALL_BYTES", 1_000_000)
    path = tmp_path / "photos.tar.xz"
    with tarfile.open(path, "w:xz") as archive:
        info = tarfile.TarInfo("cat/1.png")
        info.size = 20_000_000
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(DataError, match=r"unpacks to over 1,000,\d+ bytes, far more"):
        open_source(path)
    monkeypatch.setattr(tars, "_SMALL_BYTES", 100_000_000)
    monkeypatch.setattr(tars, "_FREE_BYTES", 1 << 60)
    monkeypatch.setattr(tars, "_CHUNK_BYTES", 1 << 14)
    with pytest.raises(DataError, match="not enough disk space to unpack"):
        open_source(path)


def test_too_many_files_are_refused(
    draw_folder: DrawFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(draw_folder(tmp_path / "photos", n=3))
    monkeypatch.setattr(tars, "_MAX_MEMBERS", 5)
    with pytest.raises(DataError, match="lists over 5 files"):
        open_source(path)


def test_a_header_that_claims_much_memory_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 1 << 32
    (tmp_path / "photos.tar").write_bytes(info.tobuf() + bytes(10_240))
    with pytest.raises(DataError, match=r"a header declares 4,294,967,296 bytes"):
        open_source(tmp_path / "photos.tar")


def test_headers_that_lead_back_are_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("cat/1.png")
    header = bytearray(info.tobuf())
    # -512 in base 256: the next header would be this one again.
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "photos.tar").write_bytes(bytes(header) + bytes(10_240))
    with pytest.raises(DataError, match="is not a complete tar archive"):
        open_source(tmp_path / "photos.tar")


@given(st.binary(max_size=600), st.integers(0, 1500), st.sampled_from(["", "gz"]))
def test_any_damage_gives_an_archive_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int, how: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.tar"
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{how}") as archive:  # type: ignore[call-overload]
        for name in ("cat/1.png", f"dog/{'x' * 120}.png"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    data = file.getvalue()
    path.write_bytes(data[:place] + noise + data[place + len(noise) :])
    try:
        storage = ArchiveStorage(path)
    except DataError:
        return
    for name in storage.listing().files:
        try:
            storage.read(name, LIMITS)
        except ImageError:
            pass


def test_what_is_unpacked_has_no_name(
    draw_folder: DrawFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert tempfile.gettempdir()
    source = open_source(packed(draw_folder(tmp_path / "photos", n=2), ".tar.gz"))
    assert source.load(source.samples[0], LIMITS).digest
    assert list((tmp_path / "cache" / "foveal").iterdir()) == []


def test_a_tar_is_taken_wherever_a_zip_is(
    draw_folder: DrawFolder,
    tmp_path: Path,
    tiny_bundle: Bundle,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = packed(draw_folder(tmp_path / "photos", n=3), ".tar.gz")
    assert run(["check", str(path), "--json"]) == 0
    assert "6 pictures" in json.loads(capsys.readouterr().out)["layout"]
    answers = Model(tiny_bundle.path).predict(path, verbose=False)
    assert [answer.error for answer in answers] == [None] * 6
    assert answers[0].source == f"{path}/photos/circle/0.png"
    assert Workspace.of(path).data is None
    assert default_name(str(path)) == "photos"
