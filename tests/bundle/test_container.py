"""Archives that claim more than they hold, or hold what they must not: refused before any work."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.bundle import Bundle
from foveal.errors import BundleError, FovealError
from foveal.predict import Predictor


def packed(bundle: Bundle, *more: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    """Return a bundle as the bytes of an archive, with more members after its own."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("bundle.json", *bundle.manifest.files):
            archive.writestr(name, bundle.read(name))
        for name, content in more:
            archive.writestr(name, content)
    return buffer.getvalue()


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "x.foveal"
    path.write_bytes(data)
    return path


def entry_of(data: bytes, name: bytes) -> int:
    """Return where the entry of a member begins in the archive's list."""
    return data.rindex(name) - 46


def with_number(data: bytes, at: int, value: int, form: str = "<L") -> bytes:
    number = struct.pack(form, value)
    return data[:at] + number + data[at + len(number) :]


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        # Sizes that it claims: compressed, which is read as it stands, and unpacked.
        (20, 1_000_000_000, "declares more bytes"),
        (24, 3_000_000_000, "too large"),
        # Where it begins.
        (42, 0xFFFF_FF00, "declares more bytes"),
    ],
)
def test_a_false_number_in_the_list_is_refused(
    offset: int, value: int, message: str, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    data = packed(tiny_bundle)
    changed = with_number(data, entry_of(data, b"model.onnx") + offset, value)
    with pytest.raises(BundleError, match=message):
        Bundle.open(written(tmp_path, changed))


def test_more_names_than_a_bundle_has_are_refused_before_they_are_listed(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    data = packed(tiny_bundle, *((f"{i:0100}", b"") for i in range(1000)))
    with pytest.raises(BundleError, match="lists too many files"):
        Bundle.open(written(tmp_path, data))


@pytest.mark.parametrize(
    "name", ["../up.txt", "/etc/cron.d/x", "a/b/README.md", "MODEL.ONNX", "x.foveal", "folder/"]
)
def test_names_that_a_bundle_has_not_are_refused(
    name: str, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="must not contain") as caught:
        Bundle.open(written(tmp_path, packed(tiny_bundle, (name, b"x"))))
    assert caught.value.error_code == "bundle_unsafe"
    assert [path.name for path in tmp_path.iterdir()] == ["x.foveal"]


def test_a_link_in_an_archive_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("README.md")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(BundleError, match="a link"):
        Bundle.open(written(tmp_path, packed(tiny_bundle, (link, b"/etc/hostname"))))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="twice"):
        Bundle.open(written(tmp_path, packed(tiny_bundle, ("bundle.json", b"{}"))))


def test_an_encrypted_member_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    data = packed(tiny_bundle)
    at = data.rindex(b"model.onnx") - 46 + 8
    with pytest.raises(BundleError, match=r"encrypted|password"):
        Bundle.open(written(tmp_path, with_number(data, at, 1, "<H")))


def test_an_archive_in_an_archive_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("tiny.foveal", packed(tiny_bundle))
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        Bundle.open(written(tmp_path, buffer.getvalue()))


def test_a_manifest_of_many_megabytes_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(tiny_bundle.path, folder)
    with (folder / "bundle.json").open("ab") as file:
        file.truncate(20_000_000)
    with pytest.raises(BundleError, match="too large"):
        Bundle.open(folder)


def test_a_network_that_is_exchanged_after_the_check_is_not_loaded(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(tiny_bundle.path, folder)
    bundle = Bundle.open(folder)
    (folder / "model.onnx").write_bytes(b"another network")
    # First what was checked, which is still in memory; then what is there.
    assert bundle.model_bytes() == tiny_bundle.read("model.onnx")
    with pytest.raises(BundleError, match="was changed"):
        Predictor(bundle)


_EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=8), st.integers(0, 8)),
    min_size=1,
    max_size=4,
)


def mutated(data: bytes, edits: list[tuple[float, bytes, int]]) -> bytes:
    """Put some bytes in place of some others, at shares of the length."""
    for place, put, gone in edits:
        at = int(place * len(data))
        data = data[:at] + put + data[at + gone :]
    return data


# The same examples each time: what ONNX Runtime makes of new ones is for fuzz/.
@settings(max_examples=80, derandomize=True)
@given(edits=_EDITS)
def test_no_mutation_of_an_archive_raises_anything_but_an_error_of_ours(
    edits: list[tuple[float, bytes, int]],
    tiny_bundle: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.foveal"
    path.write_bytes(mutated(packed(tiny_bundle), edits))
    try:
        Predictor(Bundle.open(path), threads=1)
    except FovealError as error:
        assert error.message


# The same examples each time: what ONNX Runtime makes of new ones is for fuzz/.
@settings(max_examples=80, derandomize=True)
@given(edits=_EDITS, name=st.sampled_from(["bundle.json", "model.onnx"]))
def test_no_mutation_of_a_file_in_a_bundle_raises_anything_but_an_error_of_ours(
    edits: list[tuple[float, bytes, int]],
    name: str,
    tiny_bundle: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Digests are made anew, so that the mutation gets as far as it can."""
    folder = tmp_path_factory.getbasetemp() / "mutated"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tiny_bundle.path, folder)
    file = folder / name
    file.write_bytes(mutated(file.read_bytes(), edits))
    if name == "model.onnx":
        manifest = json.loads((folder / "bundle.json").read_text())
        manifest["files"][name] = hashlib.sha256(file.read_bytes()).hexdigest()
        (folder / "bundle.json").write_text(json.dumps(manifest))
    try:
        Predictor(Bundle.open(folder), threads=1)
    except FovealError as error:
        assert error.message
