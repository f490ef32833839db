from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from drawing import DrawFolder

import foveal
from foveal.cli.main import run


def test_review_checks_first_says_where_the_page_is_and_ends_cleanly(
    tmp_path: Path, draw_folder: DrawFolder
) -> None:
    data = draw_folder(tmp_path / "shapes", n=4, size=16)
    (next(data.iterdir()) / "broken.png").write_bytes(b"no picture")
    command = [sys.executable, "-m", "foveal", "review", "shapes", "--port", "0", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    ) as server:
        assert server.stdout is not None
        said = json.loads(server.stdout.readline())
        with urllib.request.urlopen(f"{said['url']}/state") as response:
            state = json.loads(response.read())
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate()

    assert [queue["id"] for queue in state["queues"]] == ["images.unreadable"]
    assert said["log"] == str(data / ".foveal" / "review.jsonl")
    assert server.returncode == 0
    assert b"has not been checked yet" in errors
    assert b"Traceback" not in errors


def test_data_that_are_not_there_are_status_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["review", "no-such-data"]) == 3
    assert "no-such-data" in capsys.readouterr().err


def test_an_address_that_is_taken_is_told(tmp_path: Path, draw_folder: DrawFolder) -> None:
    data = draw_folder(tmp_path / "shapes", n=4, size=16)
    with foveal.review(data, verbose=False) as review:
        port = int(review.url.rsplit(":", 1)[1])
        assert review.decisions == {}
        assert "0 decided" in repr(review)
        with pytest.raises(foveal.FovealError, match=str(port)):
            foveal.review(data, port=port)
    assert "closed" in repr(review)
    assert review._repr_html_() is None


def test_names_of_files_need_not_be_valid_unicode(tmp_path: Path, draw_folder: DrawFolder) -> None:
    data = draw_folder(tmp_path / "shapes", n=4, size=16)
    name = os.fsencode(next(data.iterdir())) + b"/\xffbroken.png"
    with open(name, "wb") as file:  # noqa: PTH123  # A path is text.
        file.write(b"no picture")
    # As in a locale of UTF-8, whatever that of the tests is.
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}

    def output(*words: str) -> bytes:
        command = [sys.executable, "-m", "foveal", *words, str(data)]
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
        assert b"error" not in done.stderr
        return done.stdout

    assert b"\xffbroken.png" in output("check")
    found = json.loads(output("check", "--json"))["findings"]
    (sample,) = next(f["samples"] for f in found if f["id"] == "images.unreadable")
    with foveal.review(data, verbose=False) as review:
        with urllib.request.urlopen(f"{review.url}/queues/0") as response:
            assert json.loads(response.read())["suspects"][0]["sample"] == sample
        review.review.decide(0, [0], "quarantine")
        assert review.decisions[sample].action == "quarantine"
    output("clean", "--yes")
    assert not os.path.lexists(name)
    output("clean", "--undo")
    assert os.path.lexists(name)
