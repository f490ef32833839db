"""What a store promises, on a disk and behind URLs."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stored import WithoutRename, answers

from foveal.bundle import Bundle
from foveal.errors import BundleError, StoreError, UsageError
from foveal.remote import Remote
from foveal.store import remote
from foveal.store.files import StoreFiles
from foveal.store.local import LocalFiles
from foveal.store.reference import Reference
from foveal.store.remote import RemoteFiles
from foveal.store.store import Store

Make = Callable[..., Bundle]


def test_versions_count_from_one_and_a_name_means_the_newest(
    files: StoreFiles, make_bundle: Make
) -> None:
    store = Store(files)
    assert [store.push(make_bundle(), "cats").version for _ in range(3)] == [1, 2, 3]
    assert store.names() == ("cats",)
    assert store.state("cats").versions == (1, 2, 3)
    assert repr(store.resolve("cats")) == "cats:3"
    assert repr(store.resolve("cats:2")) == "cats:2"


def test_what_was_pushed_comes_back_to_the_byte(files: StoreFiles, make_bundle: Make) -> None:
    bundle = make_bundle()
    Store(files).push(bundle, "cats")
    back = Store(files).bundle("cats", 1)
    assert back.version == bundle.version
    assert back.model_bytes() == bundle.model_bytes()


def test_a_rollback_of_an_unknown_name_suggests_the_nearest(
    files: StoreFiles, make_bundle: Make
) -> None:
    store = Store(files)
    with pytest.raises(StoreError, match=r"no model 'cats' .* It is empty"):
        store.rollback("cats")
    store.push(make_bundle(), "cats")
    with pytest.raises(StoreError, match="There is no model 'cat' in the store") as caught:
        store.rollback("cat")
    assert caught.value.hint == "did you mean cats?"


def test_an_alias_moves_and_goes_back(files: StoreFiles, make_bundle: Make) -> None:
    store = Store(files)
    for _ in range(4):
        store.push(make_bundle(), "cats")
    for version in (1, 2, 4):
        store.promote(f"cats:{version}", "live", who="ada")
    assert repr(store.resolve("cats")) == "cats:4"
    assert [store.rollback("cats").version for _ in range(2)] == [2, 1]
    with pytest.raises(StoreError, match="cats@live has no earlier version than 1"):
        store.rollback("cats")
    moves = [(m.who, m.before, m.version, m.action) for m in store.state("cats").history[:3]]
    assert moves == [
        ("ada", None, 1, "promote"),
        ("ada", 1, 2, "promote"),
        ("ada", 2, 4, "promote"),
    ]
    assert repr(store.resolve("cats@live")) == "cats:1"


def test_promoting_what_an_alias_means_already_changes_nothing(
    files: StoreFiles, make_bundle: Make
) -> None:
    store = Store(files)
    store.push(make_bundle(), "cats")
    store.promote("cats:1")
    before = store.state("cats")
    assert store.promote("cats:1").before == 1
    assert store.state("cats") == before


def test_an_aliased_version_is_not_removed_and_no_number_is_given_twice(
    files: StoreFiles, make_bundle: Make
) -> None:
    store = Store(files)
    for _ in range(3):
        store.push(make_bundle(), "cats")
    store.promote("cats:1")
    with pytest.raises(UsageError, match="cats:1 is cats@live, and is not removed"):
        store.remove("cats:1")
    store.remove("cats:3")
    assert store.state("cats").versions == (1, 2)
    assert store.push(make_bundle(), "cats").version == 4


def test_pruning_keeps_aliases_and_what_a_rollback_needs(
    files: StoreFiles, make_bundle: Make
) -> None:
    store = Store(files)
    for _ in range(6):
        store.push(make_bundle(), "cats")
    store.promote("cats:2")
    store.promote("cats:3")
    assert store.prune("cats", 1, dry_run=True) == (1, 4, 5)
    assert store.state("cats").versions == (1, 2, 3, 4, 5, 6)
    assert store.prune("cats", 1) == (1, 4, 5)
    assert store.rollback("cats").version == 2


def test_a_rollback_passes_over_what_is_gone(files: StoreFiles, make_bundle: Make) -> None:
    store = Store(files)
    for version in (1, 2, 3):
        store.push(make_bundle(), "cats")
        store.promote(f"cats:{version}")
    store.remove("cats:2")
    assert store.rollback("cats").version == 1


def test_a_rollback_reads_the_aliases_once_and_again_to_change_them(
    tmp_path: Path, make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = LocalFiles(tmp_path / "models")
    store = Store(files)
    for version in (1, 2):
        store.push(make_bundle(), "cats")
        store.promote(f"cats:{version}")
    read, names = LocalFiles.read, []
    monkeypatch.setattr(
        LocalFiles, "read", lambda self, name, path: names.append(path) or read(self, name, path)
    )
    store.rollback("cats")
    assert names.count("aliases.json") == 2


def test_a_damaged_version_is_never_opened(files: StoreFiles, make_bundle: Make) -> None:
    store = Store(files)
    store.push(make_bundle(), "cats")
    model = bytearray(make_bundle().model_bytes())
    model[-1] ^= 1
    files.write("cats", "1/model.onnx", bytes(model))
    with pytest.raises(BundleError, match=r"cats:1 is damaged: model\.onnx"):
        store.bundle("cats", 1)
    with pytest.raises(BundleError, match="cats:1 is damaged"):
        store.promote("cats:1")
    assert "damaged" in str(store.problem("cats", 1))


def test_a_bundle_that_took_the_place_of_another_is_damage(
    files: StoreFiles, make_bundle: Make
) -> None:
    store = Store(files)
    store.push(make_bundle(0.9), "cats")
    other = make_bundle(0.5)
    files.write("cats", "1/bundle.json", other.read("bundle.json"))
    with pytest.raises(BundleError, match="not the one that was published"):
        store.bundle("cats", 1)


def test_a_version_without_its_manifest_is_not_seen(files: StoreFiles, make_bundle: Make) -> None:
    store = Store(files)
    store.push(make_bundle(), "cats")
    files.write("cats", "2/model.onnx", make_bundle().model_bytes())
    assert store.state("cats").versions == (1,)
    assert store.push(make_bundle(), "cats").version == 3


@pytest.mark.parametrize("odd", ["03", "0", "-1", "1.5", "+4", "latest", ".tmp-5", "²"])
def test_only_plain_numbers_are_versions(odd: str, tmp_path: Path, make_bundle: Make) -> None:
    store = Store(LocalFiles(tmp_path))
    store.push(make_bundle(), "cats")
    (tmp_path / "cats" / "1").rename(tmp_path / "cats" / odd)
    assert store.state("cats").versions == ()


def test_a_link_is_no_version(tmp_path: Path, make_bundle: Make) -> None:
    store = Store(LocalFiles(tmp_path))
    store.push(make_bundle(), "cats")
    (tmp_path / "cats" / "2").symlink_to(make_bundle().path)
    assert store.state("cats").versions == (1,)


def test_a_bundle_copied_by_hand_is_a_version(files: StoreFiles, make_bundle: Make) -> None:
    bundle = make_bundle()
    for name in ("model.onnx", "bundle.json"):
        files.write("cats", f"7/{name}", bundle.read(name))
    store = Store(files)
    assert store.resolve("cats").record is None
    assert store.bundle("cats", 7).version == bundle.version
    pushed = store.push(make_bundle(0.8), "cats")
    assert (pushed.version, pushed.record.parent) == (8, 7)


def test_the_record_says_what_a_version_is_and_how_it_differs(
    files: StoreFiles, make_bundle: Make
) -> None:
    store = Store(files)
    store.push(make_bundle(0.7), "cats", answers=answers("1111000"))
    store.push(make_bundle(0.8), "cats", answers=answers("1110110"), note="more pictures")
    record = store.resolve("cats").record
    assert (record.parent, record.note, record.task) == (1, "more pictures", "classify")
    assert record.files["model.onnx"]["bytes"] == len(make_bundle().model_bytes())
    difference = record.difference
    # Gained e and f, lost d: +1 of 7.
    assert (difference["gained"], difference["lost"], difference["pictures"]) == (2, 1, 7)
    assert difference["difference"]["value"] == pytest.approx(1 / 7)
    assert difference["difference"]["low"] < 0 < difference["difference"]["high"]
    assert record.differences["accuracy"]["value"] == pytest.approx(0.1)
    # 0.1 - hypot(0.1, 0.05) and 0.1 + hypot(0.05, 0.1): the ends' distances add like errors.
    assert record.differences["accuracy"]["low"] == pytest.approx(0.1 - 0.1118, abs=1e-4)


def test_without_common_pictures_the_difference_is_unpaired(
    files: StoreFiles, make_bundle: Make
) -> None:
    store = Store(files)
    store.push(make_bundle(0.7), "cats")
    store.push(make_bundle(0.8), "cats", answers=answers("11"))
    difference = store.resolve("cats").record.difference
    assert (difference["paired"], difference["pictures"]) == (False, 0)
    assert difference["difference"]["value"] == pytest.approx(0.1)


def test_another_task_cannot_be_the_next_version(
    files: StoreFiles, make_bundle: Make, tiny_reader: Bundle
) -> None:
    store = Store(files)
    store.push(make_bundle(), "cats")
    with pytest.raises(UsageError, match="Version 1 is for the task 'classify'"):
        store.push(tiny_reader, "cats")
    assert store.state("cats").versions == (1,)


def test_damaged_aliases_are_said_and_not_guessed(files: StoreFiles, make_bundle: Make) -> None:
    store = Store(files)
    store.push(make_bundle(), "cats")
    files.write("cats", "aliases.json", b'{"schema_version": 1, "aliases": {"live": "1"}}')
    with pytest.raises(StoreError, match=r"cats/aliases\.json is damaged"):
        store.resolve("cats")


@pytest.mark.parametrize("key", ["metrics", "primary_metric", "parent", "files"])
def test_a_record_with_other_types_is_damage_and_no_bug(
    key: str, tmp_path: Path, make_bundle: Make
) -> None:
    store = Store(LocalFiles(tmp_path))
    store.push(make_bundle(), "cats")
    path = tmp_path / "cats" / "1" / ".version.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: ["odd"]}))
    with pytest.raises(StoreError, match=rf"version\.json is damaged: TypeError.*{key}"):
        store.resolve("cats")


def test_a_new_version_is_published_beside_a_damaged_one(
    files: StoreFiles, make_bundle: Make, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(files)
    store.push(make_bundle(), "cats")
    files.write("cats", "1/.version.json", b"{}")
    assert store.push(make_bundle(), "cats").record.parent is None
    assert "not compared with cats:1" in caplog.text


def test_what_a_killed_publisher_left_behind_a_url_is_swept(
    tmp_path: Path, make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RemoteFiles(Remote("without-rename://bucket", WithoutRename(), str(tmp_path)))
    store = Store(files)
    for number in (1, 2):
        files.write("cats", f"{number}/.claim", json.dumps({"when": time.time()}).encode())
        files.write("cats", f"{number}/model.onnx", b"half")
    assert store.push(make_bundle(), "cats").version == 3
    assert (tmp_path / "cats" / "2" / "model.onnx").exists()
    monkeypatch.setattr(remote, "_CLAIM_DIES_AFTER_S", -1.0)
    assert store.push(make_bundle(), "cats").version == 4
    assert sorted(path.name for path in (tmp_path / "cats").iterdir()) == ["3", "4"]


def test_a_lock_behind_a_url_dies_with_its_holder(
    tmp_path: Path, make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RemoteFiles(Remote("without-rename://bucket", WithoutRename(), str(tmp_path)))
    store = Store(files)
    store.push(make_bundle(), "cats")
    files.write("cats", ".lock", json.dumps({"when": time.time() - 61}).encode())
    assert store.promote("cats:1").version == 1
    assert not (tmp_path / "cats" / ".lock").exists()


@pytest.mark.parametrize("files", ["folder", "without rename"], indirect=True)
def test_no_promotion_is_lost_when_many_come_at_once(
    files: StoreFiles, make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_LOCK_ASK_EVERY_S", 0.01)
    Store(files).push(make_bundle(), "cats")
    aliases = [f"city-{i}" for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda alias: Store(files).promote("cats:1", alias), aliases))
    state = Store(files).state("cats")
    assert sorted(state.aliases) == sorted(aliases)
    assert len(state.history) == 12


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cast", "There is no model 'cast'"),
        ("cats:9", r"cats:9 is not in the store .*Versions of cats: 1"),
        ("cats@lvie", "cats has no alias 'lvie'. Its aliases: live"),
    ],
)
def test_what_is_not_there_is_said_with_what_is_near(
    text: str, said: str, files: StoreFiles, make_bundle: Make
) -> None:
    store = Store(files)
    store.push(make_bundle(), "cats")
    store.promote("cats:1")
    with pytest.raises(StoreError, match=said.replace("store .*", "store.*")) as caught:
        store.resolve(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["cats:0", "cats:01", "cats:-1", "cats@", "../cats", "cats:a", ""])
def test_other_texts_are_no_references(text: str) -> None:
    assert Reference.parse(text) is None
    with pytest.raises(UsageError, match="Expected NAME, NAME@ALIAS or NAME:VERSION"):
        Reference.read(text)


PUBLISH = """
import sys
from pathlib import Path
from stored import WithoutRename
from foveal.bundle import Bundle
from foveal.store.local import LocalFiles
from foveal.store.remote import RemoteFiles
from foveal.store.store import Store
from foveal.remote import Remote

kind, root, bundle = sys.argv[1], sys.argv[2], Bundle.open(Path(sys.argv[3]))
remote = Remote(root, WithoutRename(), root)
files = LocalFiles(Path(root)) if kind == "folder" else RemoteFiles(remote)
sys.stdin.read(1)
print([Store(files).push(bundle, "cats").version for _ in range(5)])
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "without rename"])
def test_publishers_at_the_same_time_get_versions_of_their_own(
    kind: str, tmp_path: Path, make_bundle: Make
) -> None:
    command = [sys.executable, "-c", PUBLISH, kind, str(tmp_path / "models")]
    command.append(str(make_bundle().path))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    publishers = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(3)
    ]
    for publisher in publishers:
        assert publisher.stdin is not None
        publisher.stdin.write("g")
        publisher.stdin.flush()
    printed = [publisher.communicate()[0] for publisher in publishers]
    given = [version for text in printed for version in json.loads(text)]
    assert sorted(given) == list(range(1, 16))
    if kind == "folder":
        store = Store(LocalFiles(tmp_path / "models"))
        assert store.state("cats").versions == tuple(range(1, 16))
        assert {store.problem("cats", version) for version in given} == {None}


KILLED = """
import os, signal, sys
from pathlib import Path
from foveal.bundle import Bundle
from foveal.store import local
from foveal.store.store import Store

local._UNLOCKED_FOR_S = 0.0
root, bundle = Path(sys.argv[1]), Bundle.open(Path(sys.argv[2]))
store, sync = Store(local.LocalFiles(root)), local.sync
for last in range(1, 13):
    child = os.fork()
    if child == 0:
        done = 0
        def sync_or_die(path):
            global done
            sync(path)
            done += 1
            if done == last:
                os.kill(os.getpid(), signal.SIGKILL)
        local.sync = sync_or_die
        while True:
            store.push(bundle, "cats")
    os.waitpid(child, 0)
    for version in store.state("cats").versions:
        assert store.problem("cats", version) is None, version
    print(len(store.state("cats").versions))
pushed = store.push(bundle, "cats").version
seen = {path.name for path in (root / "cats").iterdir()}
assert seen == {str(n) for n in range(1, pushed + 1)}, seen
"""


@pytest.mark.slow
def test_a_killed_publisher_leaves_nothing_half(tmp_path: Path, make_bundle: Make) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "models"), str(make_bundle().path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Of the six files and folders that a push brings to the disk, four come before the rename.
    # Each child begins anew and is killed one step later.
    assert [int(line) for line in done.stdout.split()] == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 8, 10]


def test_a_full_disk_leaves_nothing_half(
    tmp_path: Path, make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, write = make_bundle(), Path.write_bytes

    def write_until_full(path: Path, content: bytes) -> int:
        if path.name == "model.onnx":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_until_full)
    with pytest.raises(UsageError, match=r"Cannot write .*cats: No space left on device"):
        Store(LocalFiles(tmp_path)).push(bundle, "cats")
    assert list((tmp_path / "cats").iterdir()) == []
