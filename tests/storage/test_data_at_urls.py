"""Pictures behind URLs: read once, in threads, and told apart when they change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from drawing import DrawFolder
from failing import RESET, FailingProxy

import foveal
from foveal.bundle import Bundle
from foveal.copies import LIMIT_VARIABLE
from foveal.data.ahead import AHEAD_FILES, READERS, ReadAhead
from foveal.data.decode import DEFAULT_LIMITS
from foveal.data.layouts import open_source
from foveal.data.locate import open_storage
from foveal.data.stamp import stamp_of
from foveal.errors import DataError, ImageError, ImageTooLargeError
from foveal.mirror import sync_up
from foveal.remote import open_url


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def photos(draw_folder: DrawFolder, tmp_path: Path) -> Path:
    return draw_folder(tmp_path / "photos", n=6)


def test_class_folders_are_found_everywhere(bucket: str, photos: Path) -> None:
    sync_up(photos, f"{bucket}/photos")
    local, remote = open_source(photos), open_source(f"{bucket}/photos")
    assert remote.samples == local.samples
    assert remote.layout == local.layout
    assert remote.findings == local.findings
    for one, other in zip(local.samples, remote.samples, strict=True):
        assert remote.encoded(other, DEFAULT_LIMITS) == local.encoded(one, DEFAULT_LIMITS)


def test_every_object_is_read_once(s3: str, s3_proxy: FailingProxy, photos: Path) -> None:
    sync_up(photos, f"{s3}/photos")
    s3_proxy.heal()
    first = foveal.check(f"{s3}/photos", verbose=False).to_json()
    reads = s3_proxy.asked("GET", ".png")
    assert len(reads) == len(set(reads)) == 12
    s3_proxy.heal()
    assert foveal.check(f"{s3}/photos", verbose=False).to_json() == first
    assert not s3_proxy.asked(".png")


def test_without_copies_every_look_reads_again(
    s3: str, s3_proxy: FailingProxy, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    sync_up(photos, f"{s3}/photos")
    storage = open_storage(f"{s3}/photos")
    name = storage.listing().files[0]
    s3_proxy.heal()
    for _ in range(3):
        storage.read(name, DEFAULT_LIMITS)
    assert len(s3_proxy.asked("GET", name)) == 3


def test_a_changed_object_is_read_anew(bucket: str) -> None:
    remote = open_url(f"{bucket}/photos")
    remote.write(b"old", "cat/1.png")
    storage = open_storage(f"{bucket}/photos")
    storage.listing()
    assert storage.read("cat/1.png", DEFAULT_LIMITS) == b"old"
    remote.write(b"new", "cat/1.png")
    again = open_storage(f"{bucket}/photos")
    again.listing()
    assert again.read("cat/1.png", DEFAULT_LIMITS) == b"new"


def test_the_stamp_of_a_source_tells_a_changed_object(bucket: str, photos: Path) -> None:
    sync_up(photos, f"{bucket}/photos")
    before = stamp_of(open_source(f"{bucket}/photos"))
    assert stamp_of(open_source(f"{bucket}/photos")) == before
    name = open_source(f"{bucket}/photos").samples[0].id
    open_url(f"{bucket}/photos").write(b"another", name)
    assert stamp_of(open_source(f"{bucket}/photos")) != before


def test_failures_are_got_over_while_data_is_checked(
    s3: str, s3_proxy: FailingProxy, photos: Path
) -> None:
    sync_up(photos, f"{s3}/photos")
    s3_proxy.fail(503, RESET, 500, 429, 503, RESET)
    findings = foveal.check(f"{s3}/photos", verbose=False).to_json()["findings"]
    assert "images.unreadable" not in {finding["id"] for finding in findings}


def test_hidden_names_and_the_manifest_are_passed_over(bucket: str) -> None:
    remote = open_url(f"{bucket}/photos")
    names = ("cat/1.png", ".git/a.png", "cat/.x.png", "Thumbs.db", "foveal.manifest.json")
    for name in names:
        remote.write(b"x", name)
    listing = open_storage(f"{bucket}/photos").listing()
    assert (listing.files, listing.folders) == (("cat/1.png",), ("cat",))


def test_what_is_missing_or_too_large_is_said(bucket: str) -> None:
    remote = open_url(f"{bucket}/photos")
    remote.write(bytes(200), "cat/1.png")
    storage = open_storage(f"{bucket}/photos")
    with pytest.raises(ImageError, match=r"cat/2.png: it does not exist"):
        storage.read("cat/2.png", DEFAULT_LIMITS)
    small = replace(DEFAULT_LIMITS, max_bytes=100)
    for _ in range(2):
        with pytest.raises(ImageTooLargeError):
            storage.read("cat/1.png", small)
    assert len(storage.read("cat/1.png", DEFAULT_LIMITS)) == 200
    with storage.expecting(["cat/1.png"], small), pytest.raises(ImageTooLargeError):
        storage.read("cat/1.png", small)
    with pytest.raises(DataError, match="does not exist"):
        open_source(f"{bucket}/nothing")


def test_files_are_read_ahead_and_once() -> None:
    names = [str(number) for number in range(5 * AHEAD_FILES)]
    asked: list[str] = []

    def read(name: str) -> bytes:
        asked.append(name)
        return name.encode()

    ahead = ReadAhead(names, read)
    assert [ahead.take(name) for name in names] == [name.encode() for name in names]
    assert sorted(asked) == sorted(names)
    ahead.close()


def test_no_more_than_so_many_are_on_their_way() -> None:
    go_on = Event()
    begun: list[str] = []

    def read(name: str) -> bytes:
        begun.append(name)
        go_on.wait()
        return b""

    ahead = ReadAhead(map(str, range(1000)), read)
    assert len(begun) <= READERS
    go_on.set()
    ahead.close()
    assert len(begun) <= READERS


def test_large_files_are_not_read_far_ahead() -> None:
    begun: list[str] = []

    def read(name: str) -> bytes:
        begun.append(name)
        return bytes(80 << 20)

    ahead = ReadAhead(map(str, range(1000)), read)
    for number in range(READERS + 1):
        ahead.take(str(number))
    ahead.close()
    # The first ones, whose sizes nobody knew; from then on, two.
    assert len(begun) <= READERS + 4


def test_files_in_another_order_come_too() -> None:
    names = [str(number) for number in range(1000)]
    ahead = ReadAhead(names, str.encode)
    wanted = names[500:] + names[:100]
    assert [ahead.take(name) for name in wanted] == [name.encode() for name in wanted]
    ahead.close()


def test_a_picture_that_is_missing_behind_a_url_is_an_error_of_its_own(
    bucket: str, photos: Path, tiny_bundle: Bundle
) -> None:
    sync_up(photos, f"{bucket}/photos")
    model = foveal.load(tiny_bundle.path)
    first, second = model([f"{bucket}/photos/no.png", f"{bucket}/photos/circle/0.png"])
    assert str(first.error) == f"Cannot read {bucket}/photos/no.png: it does not exist."
    assert second.label == "circle"


def test_a_signed_address_is_one_picture_and_is_not_told(
    s3: str, s3_proxy: FailingProxy, photos: Path, tiny_bundle: Bundle
) -> None:
    import s3fs

    sync_up(photos, f"{s3}/photos")
    url = s3fs.S3FileSystem(skip_instance_cache=True).sign(f"{s3}/photos/circle/0.png")
    answer = foveal.load(tiny_bundle.path)(url)
    assert (answer.label, answer.source) == ("circle", url.partition("?")[0])

    s3_proxy.fail(*[404] * 50)
    with pytest.raises(ImageError, match=r"/circle/0.png: it does not exist\.$"):
        foveal.load(tiny_bundle.path)(url)
