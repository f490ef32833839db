"""The wheel by itself: built, installed without extras, and used as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import httpx
import numpy as np
import pytest
from drawing import draw_shape
from tinted import tint_manifest, tint_model, tints_png

from foveal.bundle import Bundle
from foveal.types import Calibration

pytestmark = [pytest.mark.slow, pytest.mark.index]

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "foveal"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program away from the sources, and return what it prints."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder outside the repository; skip where no package index can be reached."""
    folder = tmp_path_factory.mktemp("wheel")
    probe = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--retries=0"]
    if subprocess.run([*probe, "hatchling"], cwd=folder, capture_output=True).returncode:
        pytest.skip("no package index can be reached from here")
    return folder


@pytest.fixture(scope="module")
def wheel(away: Path) -> Path:
    """Return the built wheel."""
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", away / "dist", ROOT, cwd=away)
    (built,) = (away / "dist").glob("foveal-*.whl")
    return built


@pytest.fixture(scope="module")
def bin_folder(away: Path, wheel: Path) -> Path:
    """Return the programs of an environment that holds the wheel and what it needs, no more."""
    venv.create(away / "venv", with_pip=True)
    programs = away / "venv" / "bin"
    pip = (programs / "python", "-m", "pip", "install", "--quiet", "--no-compile")
    run(*pip, "-c", ROOT / "constraints.txt", wheel, cwd=away)
    return programs


@pytest.fixture(scope="module")
def picture(away: Path) -> Path:
    """Return a drawn square, as a file in a class folder."""
    path = away / "data" / "square" / "a.png"
    path.parent.mkdir(parents=True)
    draw_shape("square", np.random.default_rng(0), 40).save(path)
    circle = away / "data" / "circle" / "b.png"
    circle.parent.mkdir()
    draw_shape("circle", np.random.default_rng(1), 40).save(circle)
    return path


@pytest.fixture(scope="module")
def server(away: Path, bin_folder: Path, tiny_bundle: Bundle) -> Iterator[httpx.Client]:
    """Return a client of `foveal serve`, started from the wheel."""
    command = [bin_folder / "foveal", "serve", tiny_bundle.path, "--port", "0"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        list(map(str, command)), cwd=away, env=env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), url
        with httpx.Client(base_url=url, timeout=None, trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.communicate()


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/foveal"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = {f.removeprefix("src/") for f in listed.stdout.splitlines() if (ROOT / f).is_file()}
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("foveal/")}
    assert packed == expected


def test_nothing_of_training_is_installed(bin_folder: Path, away: Path) -> None:
    installed = json.loads(
        run(bin_folder / "python", "-m", "pip", "list", "--format=json", cwd=away)
    )
    names = {package["name"].lower() for package in installed}
    assert "foveal" in names
    assert not names & {"torch", "torchvision", "timm", "onnx", "matplotlib", "tensorboard"}
    run(bin_folder / "python", "-m", "pip", "check", cwd=away)


def test_the_version_is_that_of_the_sources(bin_folder: Path, away: Path, wheel: Path) -> None:
    printed = run(bin_folder / "foveal", "--version", cwd=away)
    assert wheel.name.split("-")[1] in printed


def test_it_predicts(bin_folder: Path, away: Path, picture: Path, tiny_bundle: Bundle) -> None:
    printed = run(bin_folder / "foveal", "predict", tiny_bundle.path, picture, "--json", cwd=away)
    assert json.loads(printed)["label"] == "square"


def test_it_clears_patches_out_of_masks(bin_folder: Path, away: Path) -> None:
    manifest = replace(tint_manifest(), calibration=Calibration(smallest=(0, 0, 16)))
    bundle = Bundle.write(away / "tints", manifest, {"model.onnx": tint_model()})
    (away / "specks.png").write_bytes(tints_png("0011", "0211", "0011"))
    printed = run(bin_folder / "foveal", "predict", bundle.path, "specks.png", "--json", cwd=away)
    shares = {found["name"]: found["share"] for found in json.loads(printed)["classes"]}
    assert shares == {"background": 0.5, "blue": 0.5, "red": 0.0}


def test_it_evaluates_and_writes_the_report(
    bin_folder: Path, away: Path, picture: Path, tiny_bundle: Bundle
) -> None:
    data = picture.parents[1]
    run(
        bin_folder / "foveal", "evaluate", tiny_bundle.path, data, "--out", away / "report",
        cwd=away,
    )  # fmt: skip
    assert "square" in (away / "report" / "report.html").read_text()


def test_training_is_refused_with_the_extra_to_install(
    bin_folder: Path, away: Path, picture: Path
) -> None:
    done = subprocess.run(
        [bin_folder / "foveal", "train", picture.parents[1]],
        cwd=away,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "pip install 'foveal[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_serves_its_page_and_every_static_file(server: httpx.Client) -> None:
    page = server.get("/")
    assert page.status_code == 200
    assert "<title>" in page.text
    assert server.get("/docs").status_code == 200
    static = PACKAGE / "server" / "pages" / "static"
    files = [path for path in static.rglob("*") if path.is_file()]
    names = sorted(path.relative_to(static).as_posix() for path in files)
    assert "app.js" in names
    for name in names:
        response = server.get(f"/static/{name}")
        assert response.status_code == 200, name
        assert response.content == (static / name).read_bytes(), name


def test_it_answers_over_http(server: httpx.Client, picture: Path) -> None:
    answer = server.post("/predict/tiny", content=picture.read_bytes())
    assert (answer.status_code, answer.json()["label"]) == (200, "square")
    drawn = server.post("/predict/tiny?explain=true", content=picture.read_bytes())
    assert drawn.json()["explanation"]["png_b64"]
    assert server.get("/openapi.json").json()["openapi"].startswith("3.1")
    assert server.get("/models").json()["models"][0]["name"] == "tiny"
