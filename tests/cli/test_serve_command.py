import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from stored import write_bundle

from foveal.access import KeyFile
from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.store.store import Store


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


def test_where_grpc_answers_is_said_too(tiny_bundle: Bundle) -> None:
    grpc = pytest.importorskip("grpc", reason="grpcio, of the extra grpc, is not installed")
    command = [sys.executable, "-m", "foveal", "serve", str(tiny_bundle.path), "--port", "0"]
    with subprocess.Popen(
        [*command, "--workers", "1", "--grpc-port", "0", "--json"], stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        said = json.loads(server.stdout.readline())
        with grpc.insecure_channel(said["grpc"]) as channel:
            live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
            assert live(b"", wait_for_ready=True) == b"\x08\x01"  # Field 1, live: true.
        server.send_signal(signal.SIGINT)
        server.communicate()


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


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_public_address_without_keys_is_refused_before_a_model_is_read(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", "no-such-model", "--host", host]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert (
        error
        == f"error: Anyone who can reach {host} could use the model, because there are no keys."
    )
    assert hint == "hint: foveal keys create NAME; or allow anyone: --insecure (insecure=True)"


def test_keys_that_are_there_are_asked_for_and_that_is_said(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEAL_KEYS", str(tmp_path / "keys.json"))
    key, _ = KeyFile(tmp_path / "keys.json").create("shop")
    command = [sys.executable, "-m", "foveal", "serve", str(tiny_bundle.path), "--port", "0"]
    with subprocess.Popen(
        [*command, "--access-log", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().decode().strip()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{url}/models")
        asked = urllib.request.Request(f"{url}/models", headers={"x-api-key": key})
        with urllib.request.urlopen(asked) as response:
            assert response.status == 200
        server.send_signal(signal.SIGINT)
        output, errors = server.communicate()

    assert f"requests need a key of {tmp_path / 'keys.json'}".encode() in errors
    assert sorted(json.loads(line)["status"] for line in output.splitlines()) == [200, 401]


def test_a_keys_file_that_is_named_and_not_there_is_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "keys.json")
    assert run(["serve", "no-such-model", "--keys", file]) == 2
    assert f"hint: foveal keys create NAME --keys {file}" in capsys.readouterr().err


def test_a_folder_that_is_a_store_is_served_whole(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "shelf")
    store.push(write_bundle(tmp_path / "one"), "shapes")
    command = [sys.executable, "-m", "foveal", "serve", str(tmp_path / "shelf"), "--workers", "1"]
    with subprocess.Popen(
        [*command, "--port", "0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        said = json.loads(server.stdout.readline())
        with urllib.request.urlopen(f"{said['url']}/models") as response:
            models = json.load(response)["models"]
        server.send_signal(signal.SIGINT)
        server.communicate()
    assert [model["name"] for model in models] == ["shapes"]


def test_a_name_that_a_run_and_the_store_have_is_told_apart_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = write_bundle(tmp_path / "runs" / "classify" / "ants" / "bundle")
    (tmp_path / "runs" / "classify" / "ants" / "recipe.yaml").write_text("task: classify\n")
    Store.open(tmp_path / "models").push(bundle, "ants")
    with subprocess.Popen(
        [sys.executable, "-m", "foveal", "serve", "ants", "--port", "0", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("http://")
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate()

    said = "warning: ants means runs/classify/ants here; the one in the store is models/ants"
    assert errors.splitlines().count(said) == 1
    assert "means" not in errors.replace(said, "")


def test_on_a_unix_socket_it_says_how_to_ask(tiny_bundle: Bundle, tmp_path: Path) -> None:
    socket = tmp_path / "foveal.sock"
    line = [sys.executable, "-m", "foveal", "serve", str(tiny_bundle.path), "--workers", "1"]
    # The second start finds the socket of the first.
    for _ in range(2):
        with subprocess.Popen(
            [*line, "--host", f"unix:{socket}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == f"unix:{socket}\n"
            server.send_signal(signal.SIGINT)
            _, errors = server.communicate()
        said = f"ask it: curl --unix-socket {socket} http://localhost/models; stop the server"
        assert errors.startswith(said), errors
