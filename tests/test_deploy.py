"""The files in deploy/: read by the programs that use them, and held against the server."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
import yaml

from foveal.bundle import Bundle
from foveal.cli.serve import serve
from foveal.export.docker.render import for_store
from foveal.predict import Predictor
from foveal.server import start_in_thread
from foveal.server.access.auth import PUBLIC_PATHS
from foveal.server.app import _ROUTES
from foveal.server.options import ServerOptions

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
OPTIONS = ServerOptions()


def program(name: str) -> str:
    """Return the path of a program, or skip."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def service_arguments() -> list[str]:
    unit = (DEPLOY / "systemd/foveal.service").read_text()
    (line,) = re.findall(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)
    return shlex.split(line)


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["foveal"]


def deployment() -> dict[str, Any]:
    first = next(yaml.safe_load_all((DEPLOY / "kubernetes/foveal.yaml").read_text()))
    return first["spec"]["template"]["spec"]


def commands() -> dict[str, list[str]]:
    """Return the arguments that each way of deploying starts the server with."""
    return {
        "systemd": service_arguments(),
        "compose": compose()["command"],
        "kubernetes": deployment()["containers"][0]["args"],
    }


def drain_delay(arguments: list[str]) -> float:
    if "--drain-delay" not in arguments:
        return OPTIONS.drain_delay_s
    return float(arguments[arguments.index("--drain-delay") + 1])


def test_they_come_from_the_templates_of_the_export() -> None:
    files = runpy.run_path(str(DEPLOY / "render.py"))["FILES"]
    assert len(files) == 2
    for template, name in files.items():
        # Otherwise: python deploy/render.py
        assert (DEPLOY / name).read_text() == for_store(template), name


@pytest.mark.parametrize("way", ["systemd", "compose", "kubernetes"])
def test_the_server_understands_its_arguments(way: str) -> None:
    verb, *arguments = commands()[way]
    application = typer.Typer()
    application.command(verb)(serve)
    context = typer.main.get_command(application).make_context(verb, arguments)
    assert context.params["keys"] is not None
    assert context.params["store"] is not None


def test_stopping_waits_longer_than_the_drain() -> None:
    started = commands()
    unit = (DEPLOY / "systemd/foveal.service").read_text()
    graces = {
        "systemd": float(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0]),
        "compose": float(compose()["stop_grace_period"].removesuffix("s")),
        "kubernetes": float(deployment()["terminationGracePeriodSeconds"]),
    }
    for way, grace in graces.items():
        # The supervisor ends workers that are 5 s late.
        assert grace > drain_delay(started[way]) + OPTIONS.drain_s + 5, way


def test_probes_ask_routes_that_need_no_key() -> None:
    (container,) = deployment()["containers"]
    probes = {
        kind: container[kind]["httpGet"]["path"]
        for kind in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert probes == {
        "startupProbe": "/readyz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/healthz",
    }
    assert {*probes.values()} <= PUBLIC_PATHS & {route.path for route in _ROUTES}
    # Not ready must be noticed before the server stops accepting.
    probe = container["readinessProbe"]
    noticed = probe["periodSeconds"] * probe["failureThreshold"]
    assert noticed < drain_delay(commands()["kubernetes"])


def test_proxies_close_idle_connections_before_the_server_does() -> None:
    for name in ("nginx.conf", "Caddyfile"):
        text = (DEPLOY / "proxy" / name).read_text()
        (idle,) = re.findall(r"^\s*(?:keepalive|keepalive_timeout) (\d+)s", text, re.MULTILINE)
        assert float(idle) < OPTIONS.keep_alive_s, name


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in ("foveal.socket", "foveal.service"):
        text = (DEPLOY / "systemd" / name).read_text()
        # The program and the user are not on this machine.
        text = text.replace("/opt/foveal/bin/foveal", "/bin/true").replace("=foveal\n", "=root\n")
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", tmp_path / "foveal.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_docker_takes_the_compose_file() -> None:
    docker = program("docker")
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no compose here")
    command = [docker, "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def nginx(tmp_path: Path, tiny_bundle: Bundle) -> Iterator[tuple[list[str | Path], int]]:
    """Return a command of nginx with its recipe, in front of a server, and its port."""
    nginx, openssl = program("nginx"), program("openssl")
    subject = ["-subj", "/CN=photos.example.org", "-nodes", "-days", "1"]
    files = ["-keyout", str(tmp_path / "foveal.key"), "-out", str(tmp_path / "foveal.pem")]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", *subject, *files],
        capture_output=True,
        check=True,
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {"trusted_proxies": ("127.0.0.1",), "allowed_hosts": ("photos.example.org",)}
    models = {"tiny": Predictor(tiny_bundle, threads=1)}
    with start_in_thread(models, port=0, **options) as handle:
        site = (DEPLOY / "proxy/nginx.conf").read_text().replace("/etc/ssl/", f"{tmp_path}/")
        site = site.replace("listen 443", f"listen 127.0.0.1:{port}")
        site = site.replace("127.0.0.1:8000", handle.url.removeprefix("http://"))
        paths = "".join(
            f"{name}_temp_path {tmp_path}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        inside = f"http {{\naccess_log off;\n{paths}{site}\n}}\n"
        whole = f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n{inside}"
        (tmp_path / "nginx.conf").write_text(whole)
        yield [nginx, "-e", "stderr", "-c", tmp_path / "nginx.conf", "-p", tmp_path], port


def test_nginx_takes_its_recipe(nginx: tuple[list[str | Path], int]) -> None:
    command, _ = nginx
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pages_may_post_through_nginx_on_any_port(nginx: tuple[list[str | Path], int]) -> None:
    command, port = nginx
    own = f"https://photos.example.org:{port}"
    with subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.PIPE) as process:
        transport = httpx.HTTPTransport(verify=False, retries=5)
        with httpx.Client(transport=transport, base_url=f"https://127.0.0.1:{port}") as client:
            statuses = [
                client.post(
                    "/predict/tiny",
                    content=b"no picture",
                    headers={"host": f"photos.example.org:{port}", "origin": origin},
                ).status_code
                for origin in (own, "https://elsewhere.example.org")
            ]
        process.terminate()
    assert statuses == [415, 403]


def test_caddy_takes_its_recipe() -> None:
    command = [program("caddy"), "validate", "--config", str(DEPLOY / "proxy/Caddyfile")]
    done = subprocess.run(
        [*command, "--adapter", "caddyfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
