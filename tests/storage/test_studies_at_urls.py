"""A study behind a URL: killed there, and ended on an empty machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from drawing import DrawFolder

import foveal
import foveal.workflow.lease
from foveal.cli.main import run
from foveal.errors import BundleError, UsageError
from foveal.listing import names_below
from foveal.mirror import read_state
from foveal.remote import open_url

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'foveal[tune]'")

pytestmark = pytest.mark.slow

SMALL = ["--backbone", "cnn2", "--image-size", "16", "--batch-size", "4", "--epochs", "3"]
SET = ["--set", "split.val_share=0.3", "--set", "evaluate.bootstrap=100"]


def compared(url: str) -> dict[str, str]:
    """Return the trainings of the comparison that are done behind the URL, with their digests."""
    state = read_state(open_url(url))
    return {
        name: kept.sha256
        for name, kept in (state.files if state is not None else {}).items()
        if name.startswith("compared/") and name.endswith(".json") and name.count("/") == 1
    }


def test_killed_on_one_machine_it_ends_on_another(
    s3: str,
    draw_folder: DrawFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(foveal.workflow.lease, "DIES_AFTER_S", 0.2)
    photos = draw_folder(tmp_path / "photos", n=12, size=16)
    out = f"{s3}/runs"
    url = f"{out}/tune/classify/photos"
    command = ["tune", str(photos), "--out", out, "--trials", "2", *SMALL, *SET, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "foveal", *command],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "first")},
        stdout=subprocess.DEVNULL,
    )
    while not (done := compared(url)):
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = compared(url)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / uuid.uuid4().hex))
    assert run(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["study"] == url
    assert [trial["trial"] for trial in found["trials"]] == [0, 1]
    assert len(found["default"]) == len(found["best"]) == 3
    state = read_state(open_url(url))
    assert state is not None and state.is_final
    names = set(names_below(open_url(url)))
    assert {"recipe.yaml", "report.html", "bundle/bundle.json", "journal.log"} <= names
    assert not [name for name in names if "cache/" in name or name.endswith(".lock")]
    # What the first machine had brought there was not trained again.
    assert done.items() <= compared(url).items()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / uuid.uuid4().hex))
    assert foveal.load(url).labels == ("circle", "square")
    again = foveal.tune(resume=url, verbose=False)
    assert [row.number for row in again.trials] == [0, 1]
    assert again.place == url


def test_what_cannot_be_is_said(bucket: str, tmp_path: Path) -> None:
    for url in (f"{bucket}/runs/tune/classify/none", f"{bucket}/none"):
        with pytest.raises(BundleError, match=f"There is no study at {url}"):
            foveal.tune(resume=url, verbose=False)
    with pytest.raises(UsageError, match="which other machines of a cluster cannot access"):
        foveal.tune(tmp_path, trials=2, on="ray:auto", out=f"{bucket}/runs", verbose=False)
