"""The images and services of containers/: what linters say, and that they run as written.

There is no container engine here: steps are replayed in folders of this machine.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from dockerfile import Replay, instructions, last, steps
from uncounted import uncounted

import foveal
from foveal.bundle import Bundle
from foveal.cli.serve import serve
from foveal.cli.train import train
from foveal.server.options import ServerOptions

ROOT = Path(__file__).resolve().parents[2]
CONTAINERS = ROOT / "containers"
DOCKERFILE = CONTAINERS / "Dockerfile"
TARGETS = ("serve", "train", "ray")


def program(name: str) -> str:
    """Return a program of the environment that the tests run in, or skip."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def lint(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [program(name), *map(str, arguments)]
    return subprocess.run(command, env=uncounted(), capture_output=True, text=True, check=False)


def lint_compose(path: Path) -> subprocess.CompletedProcess[str]:
    return lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CONTAINERS / "compose.yaml").read_text())["services"]
    return found


def test_linters_find_nothing() -> None:
    for done in (
        lint("hadolint", DOCKERFILE),
        lint_compose(CONTAINERS / "compose.yaml"),
        lint_compose(CONTAINERS / "compose.gpu.yaml"),
    ):
        assert done.returncode == 0, done.stdout + done.stderr


def test_linters_would_find_something(tmp_path: Path) -> None:
    dockerfile, compose = tmp_path / "Dockerfile", tmp_path / "compose.yaml"
    dockerfile.write_text(DOCKERFILE.read_text().replace("USER 10001:10001", "USER root"))
    compose.write_text((CONTAINERS / "compose.yaml").read_text().replace("shm_size", "shm_siz"))
    assert lint("hadolint", dockerfile).returncode != 0
    assert lint_compose(compose).returncode != 0


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_without_root_and_is_told_to_end(target: str) -> None:
    made = list(steps(DOCKERFILE.read_text(), target))
    words = [word for word, _ in made]
    assert [rest for word, rest in made if word == "USER"] == ["10001:10001"]
    assert [rest for word, rest in made if word == "STOPSIGNAL"] == ["SIGTERM"]
    # Nothing is changed in the image after it has a user.
    assert "RUN" not in words[words.index("USER") :]


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    ignored = (CONTAINERS / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {
        source.rstrip("/")
        for word, rest in instructions(DOCKERFILE.read_text())
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_the_extras_are_those_of_foveal_and_the_base_is_a_python_that_it_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = DOCKERFILE.read_text()
    for extras in re.findall(r'"\$1\[([a-z,]+)\]"', text):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])
    (minor,) = re.findall(r"^ARG PYTHON=python:3\.(\d+)-slim$", text, re.MULTILINE)
    assert f"Programming Language :: Python :: 3.{minor}" in project["classifiers"]


def test_services_may_do_little_and_only_the_server_is_reached_from_outside() -> None:
    for name, service in services().items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["shm_size"] in ("1gb", "4gb"), name
        assert service["build"]["target"] in TARGETS, name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:") or (name, port) == ("serve", "8000:8000")
    gpu = yaml.safe_load((CONTAINERS / "compose.gpu.yaml").read_text())["services"]
    assert set(gpu) <= set(services())


def context_of(verb: str, function: Any, arguments: list[str]) -> Any:
    application = typer.Typer()
    application.command(verb)(function)
    return typer.main.get_command(application).make_context(verb, arguments)


def test_foveal_understands_the_commands_of_its_services() -> None:
    found = services()
    verb, *arguments = found["train"]["command"]
    assert verb == "train"
    assert context_of(verb, train, arguments).params["data"] == "photos"
    verb, *arguments = found["serve"]["command"]
    assert verb == "serve"
    context = context_of(verb, serve, arguments)
    assert str(context.params["store"]) == "/project/store"
    options = ServerOptions()
    grace = float(found["serve"]["stop_grace_period"].removesuffix("s"))
    assert grace > options.drain_delay_s + options.drain_s + 5


def test_ray_understands_the_commands_of_head_and_worker() -> None:
    scripts = pytest.importorskip("ray.scripts.scripts")
    found = services()
    verbs = {"start": scripts.start, "health-check": scripts.healthcheck}
    for name in ("ray-head", "ray-worker"):
        verb, *arguments = found[name]["command"]
        assert verbs[verb].make_context(verb, arguments).params["block"], name
        _, ray, verb, *arguments = found[name]["healthcheck"]["test"]
        assert ray == "ray"
        assert verbs[verb].make_context(verb, arguments).params["address"].endswith(":6379")
    assert last("\n".join(map(" ".join, steps(DOCKERFILE.read_text(), "ray"))), "ENTRYPOINT") == (
        '["ray"]'
    )


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def wait_until_healthy(
    check: list[str], process: subprocess.Popen[str], environment: dict[str, str] | None = None
) -> None:
    """Ask as often as a container would be asked, until the answer is that it works."""
    while subprocess.run(check, env=environment, capture_output=True, check=False).returncode:
        assert process.poll() is None, process.stdout and process.stdout.read()
        time.sleep(0.5)


def run_service(name: str, folder: Path, python: Path) -> None:
    """Start a service, wait until its health check passes, and end it as a container is ended."""
    service = services()[name]
    (inside,) = re.findall(r":(\d+)$", service["ports"][0])
    port = str(free_port())

    def here(word: str) -> str:
        return word.replace(inside, port).replace("/project", str(folder))

    entry, *arguments = map(here, [*service["entrypoint"], *service["command"]])
    # Of these processes the user is root where the tests run as root.
    extra = ["--allow-root"] if entry == "jupyter" and os.geteuid() == 0 else []
    kind, interpreter, *check = map(here, service["healthcheck"]["test"])
    assert (kind, interpreter) == ("CMD", "python")
    environment = {**os.environ, "HOME": str(folder), "JUPYTER_PREFER_ENV_PATH": "0"}
    process = subprocess.Popen(
        [str(python.parent / entry), *arguments, *extra],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        command = [str(python), *check]
        wait_until_healthy(command, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait() in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.communicate()
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python with JupyterLab and TensorBoard, as the image for training has them.

    Without TensorFlow, which TensorBoard loads where it is there.
    """
    (pinned,) = re.findall(r"^ARG JUPYTERLAB=(.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    folder = tmp_path_factory.mktemp("programs")
    venv.create(folder)
    path = folder / "bin" / "python"
    install = ["uv", "pip", "install", "--quiet", "--python", str(path)]
    packages = [f"jupyterlab=={pinned}", "tensorboard", "setuptools"]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    command = [sys.executable, "-m", *install, *packages, *constraints]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "connect" in done.stderr.lower():
        pytest.skip(f"no package index can be reached from here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.slow
@pytest.mark.index
@pytest.mark.parametrize("name", ["notebook", "tensorboard"])
def test_a_service_starts_passes_its_health_check_and_ends(
    name: str, python: Path, tmp_path: Path
) -> None:
    run_service(name, tmp_path, python)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """Return the image that serves, made in a folder; skip where no package index is reached."""
    folder = tmp_path_factory.mktemp("serve")
    probe = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--retries=0"]
    if subprocess.run([*probe, "hatchling"], cwd=folder, capture_output=True).returncode:
        pytest.skip("no package index can be reached from here")
    replay = Replay(ROOT, folder, "containers/Dockerfile", "serve")
    replay.build()
    yield replay


@pytest.mark.slow
@pytest.mark.index
def test_the_serving_image_has_no_torch_serves_a_store_and_ends(
    replayed: Replay, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    foveal.open_store(tmp_path / "store").push(tiny_bundle, "tiny")
    port = free_port()
    environment = replayed.environment() | {"HOME": str(tmp_path), "AIP_HTTP_PORT": str(port)}
    environment = {name: text for name, text in environment.items() if name != "PYTHONPATH"}
    _, *arguments = services()["serve"]["command"]
    keys = tmp_path / "keys.json"
    foveal_program = replayed.command("ENTRYPOINT")
    made = [*foveal_program, "keys", "create", "client", "--keys", str(keys)]
    subprocess.run(made, env=environment, check=True, capture_output=True)
    placed = {"/project/store": str(tmp_path / "store"), "/run/secrets/foveal_keys": str(keys)}
    command = [*foveal_program, "serve", *(placed.get(word, word) for word in arguments)]
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until_healthy(replayed.command("HEALTHCHECK"), server, environment)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/predict/tiny", data=b"picture")
        assert refused.value.code == 401
        refused.value.close()
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
    finally:
        server.kill()
        server.communicate()
    packages = next(replayed.root.glob("opt/foveal/lib/python*/site-packages"))
    installed = {found.name for found in importlib.metadata.distributions(path=[str(packages)])}
    assert {"foveal", "gcsfs", "tifffile"} <= installed
    assert not {"torch", "timm", "pip"} & installed
