"""Files behind URLs: on three kinds of file systems, and when the network fails."""

from __future__ import annotations

import logging
import socket
from contextlib import closing
from pathlib import Path

import pytest
from failing import HALF, LOST, RESET, SLOW, FailingProxy
from fsspec.implementations.memory import MemoryFileSystem

import foveal.remote
import foveal.retries
from foveal.errors import RemoteError
from foveal.listing import names_below, pages
from foveal.remote import PART_BYTES, open_url
from foveal.retries import ATTEMPTS
from foveal.urls import shown, without_secrets


def test_a_file_is_written_read_and_removed(bucket: str, tmp_path: Path) -> None:
    remote = open_url(f"{bucket}/folder")
    remote.write(b"content", "a/ä b.txt")
    (tmp_path / "up").write_bytes(b"uploaded")
    remote.put(tmp_path / "up", "up")
    remote.get(tmp_path / "down", "a/ä b.txt")
    remote.copy("up", "copied")

    assert remote.read("a/ä b.txt") == b"content"
    assert remote.read("a/ä b.txt", most=3) == b"con"
    assert (tmp_path / "down").read_bytes() == b"content"
    assert remote.read("copied") == b"uploaded"
    assert [remote.kind(name) for name in ("up", "a", "b", "")] == [
        "file",
        "folder",
        "missing",
        "folder",
    ]
    remote.delete("up")
    remote.delete("up")
    assert remote.kind("up") == "missing"
    remote.delete(recursive=True)
    assert remote.kind() == "missing"
    with pytest.raises(FileNotFoundError):
        remote.read("up")


def test_what_is_claimed_is_the_first_ones_alone(bucket: str) -> None:
    one, other = open_url(bucket), open_url(bucket)
    assert one.claim(b"one", "claim")
    assert not other.claim(b"other", "claim")
    assert one.claim(b"one", "claim")
    assert other.read("claim") == b"one"


def test_a_claim_is_not_overwritten_where_nothing_is_created_exclusively(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = MemoryFileSystem.pipe_file
    monkeypatch.setattr(
        MemoryFileSystem, "pipe_file", lambda self, path, value, mode=None: write(self, path, value)
    )
    remote = open_url("memory://claims")
    try:
        assert remote.claim(b"one", "claim")
        assert not remote.claim(b"other", "claim")
        assert remote.read("claim") == b"one"
    finally:
        remote.delete(recursive=True)


def test_an_empty_file_and_one_of_several_parts(bucket: str, tmp_path: Path) -> None:
    remote = open_url(bucket)
    large = bytes(range(256)) * (2 * PART_BYTES // 256)
    remote.write(b"", "empty")
    remote.write(large, "large")

    assert remote.read("empty") == b""
    assert remote.read("large") == large
    remote.get(tmp_path / "large", "large")
    assert (tmp_path / "large").read_bytes() == large


def test_everything_below_is_listed(bucket: str) -> None:
    remote = open_url(f"{bucket}/photos")
    names = {"cat/1.png", "cat/2.png", "dog/a/b.png", "labels.csv"}
    for name in names:
        remote.write(name.encode(), name)

    found = list(pages(remote))
    assert {name for page in found for name in page.files} == names
    assert {name for page in found for name in page.folders} >= {"cat", "dog"}
    before = {n: p.stamps[8 * i : 8 * i + 8] for p in found for i, n in enumerate(p.files)}
    assert before["cat/1.png"] == remote.info("cat/1.png").stamp  # type: ignore[union-attr]
    remote.write(b"another", "cat/1.png")
    after = {n: p.stamps[8 * i : 8 * i + 8] for p in pages(remote) for i, n in enumerate(p.files)}
    assert [name for name in names if before[name] != after[name]] == ["cat/1.png"]


def test_long_listings_come_in_pages(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = open_url(s3)
    for number in range(7):
        remote.write(b"", f"{number}.png")
    call = remote.files._call_s3

    async def few(method: str, *args: object, **kwargs: object) -> object:
        more = {"MaxKeys": 3} if method == "list_objects_v2" else {}
        return await call(method, *args, **{**kwargs, **more})

    monkeypatch.setattr(remote.files, "_call_s3", few)
    assert [len(page.files) for page in pages(remote)] == [3, 3, 1]
    assert sorted(names_below(remote)) == [f"{number}.png" for number in range(7)]


@pytest.mark.parametrize(
    "failures",
    [[503, 503], [500], [429], [RESET, RESET], [HALF], [503, RESET, HALF, 502]],
    ids=str,
)
def test_a_read_is_repeated_until_it_succeeds(
    s3: str, s3_proxy: FailingProxy, failures: list[int | str]
) -> None:
    remote = open_url(s3)
    content = bytes(1000)
    remote.write(content, "file")
    s3_proxy.fail(*failures, only="/file")

    assert remote.read("file") == content
    assert len(s3_proxy.asked("GET", "/file")) > len(failures)


@pytest.mark.parametrize("failure", [503, RESET, LOST])
def test_a_write_is_repeated_until_it_succeeds(
    s3: str, s3_proxy: FailingProxy, failure: int | str
) -> None:
    remote = open_url(s3)
    s3_proxy.fail(failure, failure, only="/file")
    remote.write(b"content", "file")
    assert remote.read("file") == b"content"


def test_a_page_of_a_listing_is_repeated(s3: str, s3_proxy: FailingProxy) -> None:
    remote = open_url(s3)
    remote.write(b"", "1.png")
    s3_proxy.fail(503, RESET, HALF, only="list-type")
    assert names_below(remote) == ["1.png"]


def test_an_answer_that_does_not_come_is_waited_for_so_long(
    s3: str, s3_proxy: FailingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = open_url(s3)
    remote.write(b"content", "file")
    monkeypatch.setattr(foveal.remote, "TIMEOUT_S", 1.0)
    monkeypatch.setattr(foveal.remote, "SLOWEST", 1 << 40)
    monkeypatch.setattr(foveal.retries, "ATTEMPTS", 2)
    s3_proxy.fail(SLOW, only="/file")
    assert remote.read("file") == b"content"

    s3_proxy.fail(*[SLOW] * 20, only="/file")
    with pytest.raises(RemoteError, match=r"Cannot read s3://.*/file: the request timed") as raised:
        remote.read("file")
    assert raised.value.error_code == "remote_unreachable"


def test_it_gives_up_in_the_end_and_says_so(s3: str, s3_proxy: FailingProxy) -> None:
    remote = open_url(s3)
    s3_proxy.fail(*[503] * 50)
    with pytest.raises(RemoteError, match=rf"503.*, {ATTEMPTS} times in a row") as raised:
        remote.write(b"content", "file")
    assert raised.value.error_code == "remote_unreachable"
    assert raised.value.hint == "check the connection, then run the same command again"


def test_google_is_asked_as_often_as_the_others(
    gcs_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gcsfs import GCSFileSystem

    with FailingProxy(gcs_server) as proxy, monkeypatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        # Instances are kept, with the address that they were made for.
        GCSFileSystem.clear_instance_cache()
        proxy.fail(*[503] * 50)
        with pytest.raises(RemoteError, match=rf"503.*, {ATTEMPTS} times in a row"):
            open_url("gs://bucket/file").write(b"content")
        assert len(proxy.requests) == ATTEMPTS
    GCSFileSystem.clear_instance_cache()


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_refused_is_not_asked_again(s3: str, s3_proxy: FailingProxy, status: int) -> None:
    remote = open_url(s3)
    s3_proxy.heal()
    s3_proxy.fail(*[status] * 50)
    with pytest.raises(RemoteError, match="access is denied") as raised:
        remote.read("file")
    assert raised.value.error_code == "remote_refused"
    assert raised.value.hint is not None and "AWS_ACCESS_KEY_ID" in raised.value.hint
    assert len(s3_proxy.asked("GET", "/file")) == 1


def test_what_is_missing_is_not_asked_for_again(s3: str, s3_proxy: FailingProxy) -> None:
    remote = open_url(s3)
    s3_proxy.heal()
    with pytest.raises(FileNotFoundError):
        remote.read("file")
    assert len(s3_proxy.asked("GET", "/file")) == 1


@pytest.fixture
def signed(s3: str, s3_proxy: FailingProxy) -> str:
    """Return a signed address on the web of a file in a bucket."""
    import s3fs

    open_url(s3).write(b"content", "file")
    url: str = s3fs.S3FileSystem(skip_instance_cache=True).sign(f"{s3}/file")
    s3_proxy.heal()
    return url


@pytest.mark.parametrize("failure", [503, 429, RESET])
def test_a_file_on_the_web_is_asked_for_until_it_is_there(
    signed: str, s3_proxy: FailingProxy, failure: int | str
) -> None:
    # Two requests in each of two attempts: HEAD, then GET.
    s3_proxy.fail(*[failure] * 4, only="/file")
    found = open_url(signed).info()
    assert found is not None
    assert found.size == len(b"content")


def test_a_file_on_the_web_that_is_refused_is_not_missing(
    signed: str, s3_proxy: FailingProxy
) -> None:
    s3_proxy.fail(*[403] * 50, only="/file")
    with pytest.raises(RemoteError, match=r"/file: access is denied \(403\)") as raised:
        open_url(signed).info()
    assert raised.value.error_code == "remote_refused"
    assert len(s3_proxy.asked("GET", "/file")) == 1


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_the_web_does_not_have_is_missing(
    signed: str, s3_proxy: FailingProxy, status: int
) -> None:
    s3_proxy.fail(*[status] * 50, only="/file")
    assert open_url(signed).info() is None
    assert len(s3_proxy.asked("GET", "/file")) == 1


def test_a_server_that_is_connected_to_at_once_is_named_when_it_is_not_there() -> None:
    with closing(socket.socket()) as deaf:
        deaf.bind(("127.0.0.1", 0))
        url = f"ftp://127.0.0.1:{deaf.getsockname()[1]}/photos"
        with pytest.raises(RemoteError, match=rf"Cannot open {url}: .*[Rr]efused") as raised:
            open_url(url)
    assert raised.value.error_code == "remote_unreachable"


def test_a_bucket_that_is_not_there_is_said(bucket: str, tmp_path: Path) -> None:
    if bucket.startswith("memory:"):
        pytest.skip("the memory has no buckets")
    mistyped = f"{bucket}-mistyped"
    (tmp_path / "a").write_bytes(b"a")
    remote = open_url(f"{mistyped}/folder")
    for write in (lambda: remote.write(b"a", "a"), lambda: remote.put(tmp_path / "a", "a")):
        with pytest.raises(RemoteError, match=f"the bucket {mistyped} does not exist") as caught:
            write()
        assert str(caught.value.hint).endswith(mistyped)


def test_missing_credentials_are_said(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(foveal.remote, "_options", lambda scheme: {"skip_instance_cache": True})
    with pytest.raises(RemoteError) as raised:
        open_url(s3).write(b"", "file")
    assert raised.value.error_code == "remote_refused"


def test_repeated_attempts_are_told(
    s3: str, s3_proxy: FailingProxy, caplog: pytest.LogCaptureFixture
) -> None:
    remote = open_url(s3)
    remote.write(b"content", "file")
    s3_proxy.fail(*[503] * 6, only="/file")
    with caplog.at_level(logging.INFO, "foveal"):
        remote.read("file")
    assert f"cannot read {s3}/file at the moment" in caplog.text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/photos", "s3://bucket/photos"),
        ("https://ada:secret@host/photos?X-Amz-Signature=abc#top", "https://host/photos"),
        ("sftp://ada@host:22/photos", "sftp://host:22/photos"),
        ("gs://bucket/a@b?generation=1", "gs://bucket/a@b"),
        ("photos?", "photos?"),
        ("without-rename:///tmp/x", "without-rename:///tmp/x"),
    ],
)
def test_urls_are_shown_without_what_is_secret(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_sentences_of_others_are_shown_without_what_is_secret() -> None:
    text = "400, url='https://host/key?X-Amz-Credential=AKIA&X-Amz-Signature=abc', aws_token: xyz"
    assert without_secrets(text) == "400, url='https://host/key', aws_token: …"
