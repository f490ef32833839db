"""`--to docker`: what is written, what linters say of it, and that it runs as an image would."""

from __future__ import annotations

import base64
import hashlib
import http.client
import importlib.metadata
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from dockerfile import Replay, instructions, labels, last
from drawing import DrawFolder, draw_shape
from hypothesis import given
from hypothesis import strategies as st
from tinted import tint_manifest, tint_model
from uncounted import uncounted

import foveal
from foveal import wheel
from foveal.bundle import Bundle
from foveal.cli.serve import serve
from foveal.errors import ParityError, UsageError
from foveal.export.docker import folder
from foveal.export.docker.folder import extras_of, image_labels, service_name
from foveal.export.docker.lock import locked
from foveal.export.formats import write_as
from foveal.export.job import ExportJob, ExportOptions
from foveal.pipeline import Pipeline
from foveal.server.options import ServerOptions
from foveal.workflow.exports import pictures_of

Export = Callable[..., Path]


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Export:
    """Return a function that writes a model for Docker, without asking the package index."""

    def empty_wheel(target: Path) -> Path:
        (target / "foveal-0-py3-none-any.whl").write_bytes(b"")
        return target / "foveal-0-py3-none-any.whl"

    monkeypatch.setattr(folder, "locked", lambda *_, **__: "# no packages\n")
    monkeypatch.setattr(folder, "write_wheel", empty_wheel)

    def write(bundle: Bundle, *, gpu: bool = False) -> Path:
        out = tmp_path / "image"
        assert write_as(ExportJob(bundle, ExportOptions(gpu=gpu)), "docker", out) is None
        return out

    return write


def program(name: str) -> str:
    """Return a program of the environment that the tests run in, or skip."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def lint(*command: str | Path) -> subprocess.CompletedProcess[str]:
    name, *arguments = map(str, command)
    whole = [program(name), *arguments]
    return subprocess.run(whole, env=uncounted(), capture_output=True, text=True, check=False)


def test_the_folder_holds_the_model_and_all_that_builds_it(
    export: Export, tiny_bundle: Bundle
) -> None:
    out = export(tiny_bundle)
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {name for name in files if "/" not in name} == {
        ".dockerignore",
        "Dockerfile",
        "README.md",
        "compose.yaml",
        "kubernetes.yaml",
        "requirements.lock",
    }
    assert Bundle.open(out / "model").version == tiny_bundle.version
    # Another user must be able to read what is copied into the image.
    assert {path.stat().st_mode & 0o777 for path in out.rglob("*") if path.is_file()} == {0o644}
    assert {path.stat().st_mode & 0o777 for path in (out, out / "model")} == {0o755}


def test_the_folder_is_verified_against_its_model(
    export: Export, tiny_bundle: Bundle, draw_folder: DrawFolder, tmp_path: Path
) -> None:
    out = export(tiny_bundle)
    job = ExportJob(
        tiny_bundle, find_pictures=partial(pictures_of, tiny_bundle, None, tmp_path / "p")
    )
    draw_folder(tmp_path / "p", n=3)
    proof = folder.verify_docker(job, out)
    assert (proof.samples, proof.label_agreement) == (6, 1.0)
    assert proof.runtime.endswith("outside a container")

    other = replace(tiny_bundle.manifest, name="other", files={})
    model = {"model.onnx": tiny_bundle.model_bytes()}
    against = replace(job, bundle=Bundle.write(tmp_path / "other", other, model))
    with pytest.raises(
        ParityError, match=f"another version of tiny.*Received: {tiny_bundle.version}"
    ):
        folder.verify_docker(against, out)
    (out / "model" / "model.onnx").write_bytes(b"another network")
    with pytest.raises(ParityError, match="is damaged"):
        folder.verify_docker(job, out)
    (out / "Dockerfile").unlink()
    with pytest.raises(UsageError, match="not a folder that foveal exported"):
        folder.verify_docker(job, out)


def test_the_image_runs_without_root_and_says_what_it_is(
    export: Export, tiny_bundle: Bundle
) -> None:
    text = (export(tiny_bundle) / "Dockerfile").read_text()
    kinds = [word for word, _ in instructions(text)]
    assert kinds.count("FROM") == 2
    assert last(text, "USER") == "10001:10001"
    assert last(text, "STOPSIGNAL") == "SIGTERM"
    assert json.loads(last(text, "ENTRYPOINT")) == ["foveal", "serve", "/model"]
    found = labels(text)
    assert found["org.opencontainers.image.version"] == tiny_bundle.version
    assert found["org.opencontainers.image.title"] == "tiny"
    assert found["org.opencontainers.image.licenses"].startswith("Apache-2.0 AND ")


def test_a_licence_cannot_add_instructions(export: Export, tiny_bundle: Bundle) -> None:
    evil = {"weights": 'a" \\\nRUN id', "licence": "$(id) ${HOME}\nUSER root", "origin": "\\"}
    manifest = replace(tiny_bundle.manifest, licences=(evil,))
    bundle = replace(tiny_bundle, manifest=manifest)
    text = (export(bundle) / "Dockerfile").read_text()
    assert [rest for word, rest in instructions(text) if word == "USER"] == ["10001:10001"]
    assert len([word for word, _ in instructions(text) if word == "RUN"]) == 2
    assert json.loads(labels(text)["foveal.weights"]) == [evil]
    assert (
        "LicenseRef-id-HOME-USER-root" in image_labels(bundle)["org.opencontainers.image.licenses"]
    )
    unescaped = re.sub(r"\\.", "", last(text, "LABEL"))
    assert "$" not in unescaped


@pytest.mark.parametrize("gpu", [False, True])
def test_linters_find_nothing(export: Export, tiny_bundle: Bundle, gpu: bool) -> None:
    out = export(tiny_bundle, gpu=gpu)
    for done in (
        lint("hadolint", out / "Dockerfile"),
        lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", out / "compose.yaml"),
        lint("kubernetes-validate", "--strict", out / "kubernetes.yaml"),
    ):
        assert done.returncode == 0, done.stdout + done.stderr


def test_linters_would_find_something(export: Export, tiny_bundle: Bundle) -> None:
    out = export(tiny_bundle)
    for name, right, wrong, command in (
        ("Dockerfile", "USER 10001", "USER root", ("hadolint",)),
        (
            "compose.yaml",
            "restart:",
            "restrat:",
            ("check-jsonschema", "--builtin-schema", "vendor.compose-spec"),
        ),
        ("kubernetes.yaml", "replicas:", "replica:", ("kubernetes-validate", "--strict")),
    ):
        text = (out / name).read_text()
        (out / name).write_text(text.replace(right, wrong))
        assert lint(*command, out / name).returncode != 0, name


@pytest.mark.parametrize("gpu", [False, True])
def test_the_server_understands_its_arguments_and_has_time_to_end(
    export: Export, tiny_bundle: Bundle, gpu: bool
) -> None:
    out = export(tiny_bundle, gpu=gpu)
    service = yaml.safe_load((out / "compose.yaml").read_text())["services"]["foveal-tiny"]
    first = next(yaml.safe_load_all((out / "kubernetes.yaml").read_text()))
    pod = first["spec"]["template"]["spec"]
    entry = json.loads(last((out / "Dockerfile").read_text(), "ENTRYPOINT"))[2:]
    for arguments, grace in (
        (service["command"], float(service["stop_grace_period"].removesuffix("s"))),
        (pod["containers"][0]["args"], float(pod["terminationGracePeriodSeconds"])),
    ):
        application = typer.Typer()
        application.command("serve")(serve)
        context = typer.main.get_command(application).make_context("serve", [*entry, *arguments])
        assert list(context.params["models"]) == ["/model"]
        assert context.params["keys"] is not None
        assert context.params["engine"] == ("cuda" if gpu else None)
        options = ServerOptions()
        delay = context.params["drain_delay_s"] or options.drain_delay_s
        assert grace > delay + options.drain_s + 5
    assert ("nvidia.com/gpu" in pod["containers"][0]["resources"]["limits"]) == gpu


def test_its_page_makes_the_keys_that_the_container_asks_for(
    export: Export, tiny_bundle: Bundle
) -> None:
    out = export(tiny_bundle)
    (command,) = re.findall(r"^foveal (keys .*)$", (out / "README.md").read_text(), re.MULTILINE)
    program = [sys.executable, "-m", "foveal", *command.split()]
    subprocess.run(program, cwd=out, check=True, capture_output=True)
    secrets = yaml.safe_load((out / "compose.yaml").read_text())["secrets"]
    assert (out / secrets["foveal_keys"]["file"]).is_file()


@given(st.text("abXY09._-", min_size=1, max_size=64).filter(lambda name: name[0] not in "._-"))
def test_every_name_of_a_bundle_can_be_that_of_a_service(name: str) -> None:
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", service_name(name))
    assert len(service_name(name)) <= 63


def test_the_image_has_what_the_pictures_need(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "find_spec", lambda name: None)
    masks = Bundle.write(tmp_path / "tints", tint_manifest(), {"model.onnx": tint_model()})
    assert extras_of(tiny_bundle) == ()
    assert extras_of(masks) == ("segment",)
    pages = Pipeline(32, 256, "line", steps=("grey", "lines"))
    manifest = replace(tiny_bundle.manifest, pipeline=pages)
    assert extras_of(replace(tiny_bundle, manifest=manifest)) == ("page",)
    monkeypatch.setattr(folder, "find_spec", {"pi_heif": "is here"}.get)
    assert extras_of(tiny_bundle) == ("heic",)


def test_without_a_package_index_nothing_is_written(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match="cannot be") as error:
        write_as(ExportJob(tiny_bundle), "docker", tmp_path / "image")
    assert "package index" in str(error.value.hint)
    assert [path.name for path in tmp_path.iterdir()] in ([], ["cache"])


def test_an_installed_package_is_packed_into_the_wheel_that_it_came_from(tmp_path: Path) -> None:
    installed = importlib.metadata.distribution("foveal")
    package = Path(foveal.__file__).parent
    packed = wheel.packed(package, installed, tmp_path)
    again = tmp_path / "again"
    again.mkdir()
    assert wheel.packed(package, installed, again).read_bytes() == packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
        (record,) = (name for name in names if name.endswith("/RECORD"))
        lines = [line.split(",") for line in archive.read(record).decode().splitlines()]
        assert [name for name, *_ in lines] == names
        for name, digest, size in lines[:-1]:
            data = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
            assert (digest, int(size)) == (f"sha256={expected.decode()}", len(data))
    target = tmp_path / "installed"
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--offline"]
    subprocess.run([*command, "--target", str(target), str(packed)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", "import foveal; print(foveal.__file__, foveal.__version__)"],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(target / "foveal/__init__.py"), foveal.__version__]
    assert (target / "bin/foveal").is_file()


@pytest.fixture(scope="module")
def replayed(tiny_bundle: Bundle) -> Iterator[Replay]:
    """Return what the exported Dockerfile makes; skip where no package index can be reached."""
    # Not below pytest's folder, which only its user may enter.
    with tempfile.TemporaryDirectory(prefix="foveal-image-") as temporary:
        root = Path(temporary)
        root.chmod(0o755)
        try:
            write_as(ExportJob(tiny_bundle), "docker", root / "context")
        except UsageError as error:
            pytest.skip(f"no package index can be reached from here: {error}")
        replay = Replay(root / "context", root / "root")
        replay.root.mkdir()
        replay.build()
        yield replay


@pytest.mark.slow
@pytest.mark.index
def test_the_image_holds_no_torch_and_its_packages_fit_together(replayed: Replay) -> None:
    python = f"{replayed.root}/opt/foveal/bin/python"
    packages = next(replayed.root.glob("opt/foveal/lib/python*/site-packages"))
    found = importlib.metadata.distributions(path=[str(packages)])
    versions = {package.name.lower(): package.version for package in found}
    assert versions["foveal"] == foveal.__version__
    assert versions["onnxruntime"] == importlib.metadata.version("onnxruntime")
    assert not versions.keys() & {"torch", "torchvision", "timm", "tensorboard", "pip", "uv"}
    check = [sys.executable, "-m", "pip", "--python", python, "check"]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.index
def test_the_image_for_a_gpu_has_one_onnx_runtime_and_all_of_cuda(replayed: Replay) -> None:
    (own,) = replayed.context.glob("wheels/*.whl")
    packages = re.findall(r"^([\w-]+)==", locked(own, ("page",), gpu=True), re.MULTILINE)
    assert "onnxruntime-gpu" in packages
    assert "onnxruntime" not in packages
    assert "opencv-python-headless" in packages
    assert any(name.startswith("nvidia-cudnn") for name in packages)


# The root is read-only but for /tmp, and the user is that of the image, as far as we may do that.
_AS_IN_A_CONTAINER = """
mount --make-rprivate / && mount -t tmpfs -o mode=1777 tmpfs {scratch} &&
mount -o bind,remount,ro / && exec setpriv --reuid=10001 --regid=10001 --clear-groups \
--no-new-privs "$@"
"""


def contained(scratch: Path) -> list[str]:
    """Return what stands before a command so that it runs as in a container, where that works."""
    script = _AS_IN_A_CONTAINER.format(scratch=scratch)
    if os.geteuid() == 0:
        prefix = ["unshare", "--mount", "/bin/sh", "-c", script, "sh"]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
        return ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", "--no-new-privs"]
    return []


@pytest.mark.slow
@pytest.mark.index
def test_the_image_serves_vertex_ai_without_root_and_drains(replayed: Replay) -> None:
    port = free_port()
    scratch = replayed.root / "tmp"
    scratch.mkdir()
    scratch.chmod(0o1777)
    environment = replayed.environment() | {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/health",
        "AIP_PREDICT_ROUTE": "/vertex",
    }
    command = [*replayed.command("ENTRYPOINT"), *replayed.command("CMD"), "--drain-delay", "1"]
    server = subprocess.Popen(
        [*contained(scratch), *command],
        cwd="/",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until_ready(server, port)
        status = Path(f"/proc/{server.pid}/status").read_text()
        if os.geteuid() == 0:
            assert re.search(r"^Uid:\s+10001\s+10001", status, re.MULTILINE)
        assert probe(replayed, environment) == 0
        picture = replayed.context / "square.png"
        draw_shape("square", np.random.default_rng(0), 40).save(picture)
        content = {"b64": base64.b64encode(picture.read_bytes()).decode()}
        body = json.dumps({"instances": [content]}).encode()
        code, answer = ask(port, "POST", "/vertex", body)
        assert (code, answer["predictions"][0]["label"]) == (200, "square")
        (path,) = re.findall(
            r"http://127.0.0.1:8000(\S+)", (replayed.context / "README.md").read_text()
        )
        code, plain = ask(port, "POST", path, picture.read_bytes())
        assert (code, plain["label"]) == (200, "square")
        # Half a request is in flight when the container is told to stop.
        late = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        late.putrequest("POST", "/vertex")
        late.putheader("Content-Length", str(len(body)))
        late.endheaders(body[:20])
        server.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 30
        while ask(port, "GET", "/health")[0] == 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert probe(replayed, environment) != 0
        late.send(body[20:])
        response = late.getresponse()
        assert (response.status, json.load(response)["predictions"][0]["label"]) == (200, "square")
        late.close()
        assert server.wait(timeout=60) == 0
    finally:
        server.kill()
        server.communicate()


@pytest.mark.slow
@pytest.mark.index
def test_the_image_refuses_to_answer_everyone(replayed: Replay) -> None:
    command = [*replayed.command("ENTRYPOINT"), *replayed.command("CMD")]
    environment = replayed.environment() | {"HOME": "/nonexistent"}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there are no keys" in done.stderr
    assert "Traceback" not in done.stderr


def probe(replayed: Replay, environment: dict[str, str]) -> int:
    """Return how the health check of the image ends."""
    return subprocess.run(
        replayed.command("HEALTHCHECK"), env=environment, capture_output=True, check=False
    ).returncode


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def wait_until_ready(server: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if server.poll() is not None:
            assert server.stdout is not None
            raise AssertionError(server.stdout.read())
        try:
            if ask(port, "GET", "/health")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("the server is not ready after 120 s")


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text) if text[:1] in b"{[" else text
