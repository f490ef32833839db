"""`foveal keys`: what is printed, and that the key itself is printed once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foveal.access import KeyFile
from foveal.access.key import id_of
from foveal.cli.main import run


def test_a_key_is_shown_once_listed_and_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.json"
    limits = ["--rate", "100/min", "--concurrent", "8", "--expires", "90d"]
    assert run(["keys", "create", "shop", "--keys", str(file), *limits]) == 0
    text = capsys.readouterr().out.strip()
    key_id = id_of(text)
    assert key_id is not None

    assert run(["keys", "list", "--keys", str(file)]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in (key_id, "shop", "active", "predict, 100/min, 8 at once"))
    assert text not in shown
    assert KeyFile(file).read()[key_id].sha256 not in shown

    assert run(["keys", "revoke", "shop", "--keys", str(file)]) == 0
    assert run(["keys", "list", "--keys", str(file), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(key["id"], key["state"]) for key in listed["keys"]] == [(key_id, "revoked")]
    assert "sha256" not in listed["keys"][0]

    acts = [json.loads(line) for line in (tmp_path / "keys.audit.jsonl").read_text().splitlines()]
    assert [(act["act"], act["key"], act["from"]) for act in acts] == [
        ("keys.create", key_id, "command line"),
        ("keys.revoke", key_id, "command line"),
    ]
    assert text not in (tmp_path / "keys.audit.jsonl").read_text()


def test_the_default_file_is_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOVEAL_KEYS", str(tmp_path / "mine.json"))
    assert run(["keys", "list"]) == 0
    assert "create one: foveal keys create NAME" in capsys.readouterr().err
    assert run(["keys", "create", "ops", "--scope", "admin", "--scope", "metrics", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["scopes"], made["file"]) == (["admin", "metrics"], str(tmp_path / "mine.json"))


def test_nothing_is_created_that_cannot_be_written_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys.audit.jsonl").mkdir()
    assert run(["keys", "create", "shop", "--keys", str(tmp_path / "keys.json")]) == 1
    assert "Cannot write the audit log" in capsys.readouterr().err
    assert not (tmp_path / "keys.json").exists()


def test_a_mistake_is_one_line_and_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "keys.json")
    assert run(["keys", "create", "shop", "--keys", file, "--rate", "fast"]) == 2
    assert capsys.readouterr().err.splitlines()[1] == "hint: use --rate 100/min"
    assert run(["keys", "revoke", "shop", "--keys", file]) == 2
