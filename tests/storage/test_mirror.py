"""A folder behind a URL is whole at every instant, whatever is killed and whatever fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from failing import HALF, LOST, RESET, FailingProxy
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.errors import RemoteError
from foveal.listing import names_below
from foveal.mirror import PARTS, Upload, read_state, sweep, sync_down, sync_up
from foveal.remote import Remote, open_url
from foveal.urls import MANIFEST_NAME

Contents = dict[str, bytes]


def _write(folder: Path, contents: Contents) -> Path:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _contents(folder: Path) -> Contents:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


OLD = {"recipe.yaml": b"epochs: 1", "bundle/model.onnx": bytes(3000), "gone": b"x"}
NEW = {"recipe.yaml": b"epochs: 2", "bundle/model.onnx": bytes(3000), "report.html": b"<p>"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_folder_goes_up_and_comes_down(bucket: str, folder: Path, tmp_path: Path) -> None:
    url = f"{bucket}/runs/photos"
    sync_up(_write(folder, OLD), url)
    remote = open_url(url)
    # Where other programs look for it.
    assert remote.read("bundle/model.onnx") == OLD["bundle/model.onnx"]
    sync_down(url, tmp_path / "down")
    assert _contents(tmp_path / "down") == OLD

    sync_up(_write(folder, NEW), url)
    sync_down(url, tmp_path / "down")
    assert _contents(tmp_path / "down") == NEW
    assert remote.kind("gone") == "missing"
    assert not names_below(remote.child(PARTS))


def test_only_what_changed_is_sent_and_fetched(
    s3: str, s3_proxy: FailingProxy, folder: Path, tmp_path: Path
) -> None:
    upload = Upload(_write(folder, OLD), open_url(s3))
    upload.send()
    sync_down(s3, tmp_path / "down")
    s3_proxy.heal()
    (folder / "recipe.yaml").write_bytes(b"epochs: 2")
    upload.send()
    puts = s3_proxy.asked("PUT")
    assert len(puts) == 2
    assert MANIFEST_NAME in puts[-1]
    s3_proxy.heal()
    sync_down(s3, tmp_path / "down")
    assert len(s3_proxy.asked("GET", PARTS)) == 1
    s3_proxy.heal()
    upload.send()
    assert not s3_proxy.asked("PUT")


class _Killed(BaseException):
    pass


def _killed_at(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], int]:
    """End the work as a kill would, before the given change of the object store."""
    done = 0
    real = Remote._ask

    def ask(self: Remote, doing: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal done
        if doing in ("write", "remove") and "makedirs" not in args:
            if done == step:
                raise _Killed
            done += 1
        return real(self, doing, *args, **kwargs)

    monkeypatch.setattr(Remote, "_ask", ask)
    return lambda: done


def test_killed_before_any_change_it_is_old_or_new(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(100):
        url = f"memory://killed-{tmp_path.name}-{step}"
        sync_up(_write(folder, OLD), url)
        with monkeypatch.context() as patch:
            _killed_at(patch, step)
            try:
                sync_up(_write(folder, NEW), url)
                is_killed = False
            except _Killed:
                is_killed = True
        sync_down(url, tmp_path / f"down-{step}")
        assert _contents(tmp_path / f"down-{step}") in (OLD, NEW)
        if not is_killed:
            break
        # The next call gets to the same end as an undisturbed one.
        sync_up(_write(folder, NEW), url)
        sync_down(url, tmp_path / f"again-{step}")
        assert _contents(tmp_path / f"again-{step}") == NEW
        assert not names_below(open_url(url).child(PARTS))
    assert step > 8


@settings(max_examples=25)
@given(
    st.lists(
        st.dictionaries(st.sampled_from("a b/c b/d e".split()), st.binary(max_size=3)), max_size=4
    ),
    st.integers(0, 30),
    st.booleans(),
)
def test_states_follow_one_another(
    tmp_path_factory: pytest.TempPathFactory, states: list[Contents], step: int, final: bool
) -> None:
    base = tmp_path_factory.mktemp("states")
    (base / "run").mkdir()
    url = f"memory://{base.name}"
    known: list[Contents] = [{}]
    with pytest.MonkeyPatch.context() as patch:
        _killed_at(patch, step)
        try:
            for contents in states:
                known.append(contents)
                Upload(_write(base / "run", contents), open_url(url)).send(final=final)
        except _Killed:
            pass
        else:
            known = known[-1:]
    if read_state(open_url(url)) is None:
        assert {} in known
    else:
        sync_down(url, base / "down")
        assert _contents(base / "down") in known[-2:]


@pytest.mark.parametrize("failures", [[503, RESET], [LOST, LOST], [HALF, 500, 429]], ids=str)
def test_failures_on_the_way_change_nothing(
    s3: str, s3_proxy: FailingProxy, folder: Path, tmp_path: Path, failures: list[int | str]
) -> None:
    s3_proxy.fail(*failures)
    sync_up(_write(folder, OLD), f"{s3}/run")
    s3_proxy.heal()
    s3_proxy.fail(*failures)
    sync_down(f"{s3}/run", tmp_path / "down")
    assert _contents(tmp_path / "down") == OLD


def test_a_network_that_is_gone_leaves_the_old_state(
    s3: str, s3_proxy: FailingProxy, folder: Path, tmp_path: Path
) -> None:
    sync_up(_write(folder, OLD), f"{s3}/run")
    s3_proxy.fail(*[503] * 1000, only="PUT")
    with pytest.raises(RemoteError, match="Cannot write s3://"):
        sync_up(_write(folder, NEW), f"{s3}/run")
    s3_proxy.heal()
    sync_down(f"{s3}/run", tmp_path / "down")
    assert _contents(tmp_path / "down") == OLD


def test_a_file_that_is_not_what_the_manifest_says_is_refused(
    bucket: str, folder: Path, tmp_path: Path
) -> None:
    sync_up(_write(folder, OLD), bucket)
    open_url(bucket).write(bytes(2999), "bundle/model.onnx")
    with pytest.raises(RemoteError, match=r"model.onnx does not match the manifest") as raised:
        sync_down(bucket, tmp_path / "down")
    assert "received 2999 bytes" in raised.value.message
    assert not (tmp_path / "down" / "bundle" / "model.onnx").exists()
    open_url(bucket).delete("bundle/model.onnx")
    with pytest.raises(RemoteError, match=r"model.onnx is missing"):
        sync_down(bucket, tmp_path / "down")


def test_a_reader_goes_on_with_the_state_that_came_meanwhile(
    bucket: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = open_url(bucket)
    Upload(_write(folder, OLD), remote).send()
    real = Remote.get
    is_first, lock = True, Lock()

    def get(self: Remote, path: Path, name: str = "") -> None:
        nonlocal is_first
        with lock:
            if is_first:
                is_first = False
                Upload(_write(folder, NEW), remote).send()
        real(self, path, name)

    monkeypatch.setattr(Remote, "get", get)
    sync_down(bucket, tmp_path / "down")
    assert _contents(tmp_path / "down") == NEW


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", ""])
def test_a_manifest_does_not_lead_outside(name: str, tmp_path: Path) -> None:
    url = f"memory://evil-{tmp_path.name}"
    entry = {"sha256": "0" * 64, "size": 1, "object": "x"}
    content = json.dumps({"schema_version": 1, "files": {name: entry}}).encode()
    open_url(url).write(content, MANIFEST_NAME)
    with pytest.raises(RemoteError, match="outside its folder"):
        sync_down(url, tmp_path / "down")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is damaged"),
        (b"[]", "is damaged"),
        (b'{"schema_version": 1, "files": {"a": {}}}', "is damaged"),
        (b'{"schema_version": 2, "files": {}}', "by another version of foveal"),
    ],
)
def test_a_damaged_manifest_is_said(content: bytes, words: str, tmp_path: Path) -> None:
    url = f"memory://damaged-{tmp_path.name}"
    open_url(url).write(content, MANIFEST_NAME)
    with pytest.raises(RemoteError, match=words):
        sync_down(url, tmp_path / "down")


def test_nothing_is_written_that_is_not_ours(bucket: str, folder: Path, tmp_path: Path) -> None:
    remote = open_url(bucket)
    Upload(_write(folder, OLD), remote).send()
    assert Upload(_write(folder, NEW), remote).send(is_ours=lambda: False) is None
    sync_down(bucket, tmp_path / "down")
    assert _contents(tmp_path / "down") == OLD
    sweep(remote)
    sync_down(bucket, tmp_path / "again")
    assert _contents(tmp_path / "again") == OLD
