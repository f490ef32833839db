"""API keys and their file: what is made, what is kept, and what is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from foveal.access import KeyFile, Rate, append_audit, audit_path, check_audit, default_keys_file
from foveal.access.key import Key, id_of, new_key, parse_duration
from foveal.access.keyfile import existing_keys_file
from foveal.errors import FovealError, UsageError


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    """Return a file of keys that is not there yet."""
    return KeyFile(tmp_path / "keys.json")


def test_a_key_is_recognised_by_prefix_and_checksum_and_names_its_id() -> None:
    text, key_id = new_key()

    assert re.fullmatch(r"fvl_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}", text)
    assert id_of(text) == key_id
    # One wrong character anywhere is no key: a scanner need not ask the server.
    for place in range(len(text)):
        other = "x" if text[place] != "x" else "y"
        assert id_of(text[:place] + other + text[place + 1 :]) is None
    assert id_of(text + "a") is None
    assert id_of("") is None


def test_two_keys_differ_in_id_and_secret() -> None:
    (one, one_id), (two, two_id) = new_key(), new_key()
    assert one_id != two_id
    assert one[13:] != two[13:]


def test_the_file_has_the_hash_and_not_the_key(file: KeyFile) -> None:
    text, key = file.create("shop", rate=Rate(100, "min"), concurrent=8)

    stored = file.path.read_text()
    assert text not in stored
    assert text.split("_")[2] not in stored
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert file.read() == {key.id: key}
    assert key.matches(text)
    other = "x" if text[-1] != "x" else "y"
    assert not key.matches(text[:-1] + other)
    assert (key.scopes, str(key.rate), key.concurrent) == (("predict",), "100/min", 8)


def test_a_revoked_key_stays_in_the_file_and_its_name_is_free(file: KeyFile) -> None:
    _, first = file.create("shop")
    file.revoke("shop")
    _, second = file.create("shop")

    now = datetime.now(UTC)
    states = {key.id: key.state(now) for key in file.read().values()}
    assert states == {first.id: "revoked", second.id: "active"}
    assert file.revoke(first.id).revoked is not None


def test_a_key_expires(file: KeyFile) -> None:
    _, key = file.create("shop", expires_in=timedelta(days=90))
    assert key.state(key.created + timedelta(days=89)) == "active"
    assert key.state(key.created + timedelta(days=90)) == "expired"


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("", {}, "Invalid name"),
        (" shop", {}, "Invalid name"),
        ("shop\n", {}, "Invalid name"),
        ("x" * 65, {}, "Invalid name"),
        ("shop", {"scopes": ("predit",)}, "Did you mean 'predict'"),
        ("shop", {"scopes": ()}, "at least one scope"),
        ("shop", {"concurrent": 0}, "concurrent"),
    ],
)
def test_an_invalid_key_is_refused_and_nothing_is_written(
    file: KeyFile, name: str, changes: dict[str, object], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        file.create(name, **changes)  # type: ignore[arg-type]
    assert not file.path.exists()


def test_a_name_belongs_to_one_active_key(file: KeyFile) -> None:
    file.create("shop")
    with pytest.raises(UsageError, match="already"):
        file.create("shop")


def test_a_key_that_was_found_somewhere_is_revoked_as_it_is(file: KeyFile) -> None:
    text, key = file.create("shop")
    assert file.revoke(text).id == key.id
    other, _ = KeyFile(file.path.with_name("others.json")).create("shop")
    with pytest.raises(UsageError, match="Unknown key") as refused:
        file.revoke(other)
    assert other not in refused.value.message


def test_an_unknown_key_names_the_nearest(file: KeyFile) -> None:
    with pytest.raises(UsageError, match="no keys"):
        file.revoke("shop")
    file.create("shop")
    with pytest.raises(UsageError, match="Did you mean 'shop'"):
        file.revoke("sop")


@pytest.mark.parametrize("text", ["", "100", "0/s", "-1/s", "1.5/s", "100/week", "1/s/s", "∞/s"])
def test_no_rate(text: str) -> None:
    with pytest.raises(UsageError, match="Invalid rate"):
        Rate.parse(text)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("30min", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(days=14)),
        ("1Y", timedelta(days=365)),
    ],
)
def test_durations(text: str, time: timedelta) -> None:
    assert parse_duration(text) == time


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "1m", "1d1h", "999999d"])
def test_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="Invalid lifetime"):
        parse_duration(text)


def _entry(**changes: object) -> dict[str, object]:
    known = Key("abcdefgh", "shop", "0" * 64, ("predict",), None, None, datetime.now(UTC))
    return {**known.to_json(), **changes}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "Expected JSON"),
        ("[" * 100_000, "Expected JSON"),
        ("[]", "schema_version"),
        ('{"schema_version": 2, "keys": []}', "Received: 2"),
        (json.dumps({"schema_version": 1, "keys": [5]}), "Key 1: Expected an object"),
        (json.dumps({"schema_version": 1, "keys": [{}]}), "Key 1: Missing field 'id'"),
        (json.dumps({"schema_version": 1, "keys": [_entry(rate=5)]}), "Invalid field 'rate'"),
        (json.dumps({"schema_version": 1, "keys": [_entry(rate="5")]}), "Invalid rate"),
        (json.dumps({"schema_version": 1, "keys": [_entry(concurrent=True)]}), "'concurrent'"),
        (json.dumps({"schema_version": 1, "keys": [_entry(id="a")]}), "Invalid id"),
        (json.dumps({"schema_version": 1, "keys": [_entry(scopes=[1])]}), "Invalid field 'scopes'"),
        (json.dumps({"schema_version": 1, "keys": [_entry(scopes=["all"])]}), "Unknown scope"),
        (json.dumps({"schema_version": 1, "keys": [_entry(expires="soon")]}), "Invalid time"),
        (json.dumps({"schema_version": 1, "keys": [_entry(expire=None)]}), "'expires'"),
        (json.dumps({"schema_version": 1, "keys": [_entry(), _entry()]}), "occurs twice"),
    ],
)
def test_a_damaged_file_says_where(file: KeyFile, content: str, why: str) -> None:
    file.path.write_text(content)
    with pytest.raises(UsageError, match=re.escape(why)) as raised:
        file.read()
    assert str(file.path) in raised.value.message
    with pytest.raises(UsageError):
        file.create("shop")
    assert file.path.read_text() == content


def test_a_file_that_anyone_may_write_is_refused(file: KeyFile) -> None:
    file.create("shop")
    file.path.chmod(0o602)
    with pytest.raises(UsageError, match="Every user") as raised:
        file.read()
    assert raised.value.hint == f"chmod 600 {file.path}"


def test_permissions_that_were_given_stay(file: KeyFile) -> None:
    file.create("shop")
    file.path.chmod(0o640)
    file.create("other")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640


def test_a_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "keys.json"
    link.symlink_to(real)
    KeyFile(link).create("shop")
    assert link.is_symlink()
    assert len(KeyFile(real).read()) == 1


def test_processes_that_create_keys_at_once_lose_none(file: KeyFile) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom foveal.access import KeyFile\n"
        "for i in range(5): KeyFile(Path(sys.argv[1])).create(f'{sys.argv[2]}-{i}')"
    )
    command = [sys.executable, "-c", code, str(file.path)]
    started = [subprocess.Popen([*command, name]) for name in ("a", "b", "c")]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert len(file.read()) == 15


def test_where_keys_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_keys_file() == tmp_path / "foveal" / "keys.json"
    assert existing_keys_file(None) is None
    KeyFile(default_keys_file()).create("shop")
    assert existing_keys_file(None) == tmp_path / "foveal" / "keys.json"

    named = tmp_path / "other.json"
    monkeypatch.setenv("FOVEAL_KEYS", str(named))
    assert default_keys_file() == named
    # A file that was asked for and is not there must not become a server without keys.
    with pytest.raises(UsageError, match="no key file") as raised:
        existing_keys_file(None)
    assert raised.value.hint == f"foveal keys create NAME --keys {named}"


def test_the_audit_log_is_only_added_to(tmp_path: Path) -> None:
    log = audit_path(tmp_path / "keys.json")
    append_audit(log, "keys.create", {"by": {"user": "ops"}, "outcome": "done"})
    append_audit(log, "promote", {"model": "a\nb", "outcome": "failed"})

    first, second = [json.loads(line) for line in log.read_text().splitlines()]
    assert log.name == "keys.audit.jsonl"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert (first["act"], first["by"], first["outcome"]) == ("keys.create", {"user": "ops"}, "done")
    assert second["model"] == "a\nb"
    assert datetime.fromisoformat(first["time"]) <= datetime.fromisoformat(second["time"])


def test_an_audit_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FovealError, match="Cannot write the audit log"):
        append_audit(tmp_path / "file" / "log", "promote", {})


def test_a_disk_without_room_for_a_line_refuses_the_action(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "keys.audit.jsonl"
    check_audit(log)
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(FovealError, match=r"audit log .*: No space left on device"):
        check_audit(log)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_root_changes_keeps_its_owner(file: KeyFile) -> None:
    file.create("shop")
    os.chown(file.path, 12345, 12345)
    file.create("other")
    assert file.path.stat().st_uid == 12345
