from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from foveal.cli.main import run


def test_watch_says_where_the_page_is_and_ends_cleanly(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "classify" / "shapes"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("task: classify\n")
    # By its name alone, from where it was trained.
    command = [sys.executable, "-m", "foveal", "watch", "shapes", "--port", "0", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        said = json.loads(server.stdout.readline())
        with urllib.request.urlopen(f"{said['url']}/state") as response:
            state = json.loads(response.read())
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate()

    assert (state["name"], state["status"]) == ("shapes", "broken_off")
    assert server.returncode == 0
    assert b"Traceback" not in errors


def test_a_run_that_is_not_there_is_status_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "no-such-run"]) == 4
    assert "There is no run at no-such-run" in capsys.readouterr().err
