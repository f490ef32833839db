import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from foveal.bundle import Bundle
from foveal.cli.main import run


def test_serve_says_where_it_answers_and_ends_cleanly(tiny_bundle: Bundle) -> None:
    command = [sys.executable, "-m", "foveal", "serve", str(tiny_bundle.path)]
    with subprocess.Popen(
        [*command, "--port", "0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        said = json.loads(server.stdout.readline())
        with urllib.request.urlopen(f"{said['url']}/readyz") as response:
            status = response.status
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate()

    assert status == 200
    assert (said["model"], said["version"]) == (tiny_bundle.name, tiny_bundle.version)
    assert server.returncode == 0
    assert b"Traceback" not in errors


def test_limits_are_checked_before_the_server_starts(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", str(tiny_bundle.path), "--port", "99999"]) == 2
    assert "--port" in capsys.readouterr().err


def test_serving_a_model_that_is_not_there_is_status_4(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["serve", "no-such-model"]) == 4
    assert "There is no bundle" in capsys.readouterr().err
