"""A package adds one of everything to foveal, beside one in which nothing works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from PIL import Image as PILImage

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
pytestmark = pytest.mark.slow

CONTRACTS = """
import sys
from foveal.testing import check_backbone, check_check, check_export, check_synth, check_task
check_backbone("toy_net")
check_check("toy.crowded")
check_synth("dots")
check_task("count", raws=[("0",), ("2",), ("10",), ("2",), ("0",), ("2",)])
check_export("labels", sys.argv[1])
"""

WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "timm", "onnx"):
    sys.modules[name] = None
from foveal.__main__ import main
main()
"""


class Installed:
    """A folder into which the packages are installed, and a run of the toy task."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("toy", "broken"):
            # A copy: building a package writes into its folder.
            shutil.copytree(HERE / name, root / name)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", root / "site"]
        subprocess.run([*pip, *offline, root / "toy", root / "broken"], check=True)
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{root / 'site'}:{SOURCE}",
            # Nothing of the help is wrapped.
            "COLUMNS": "300",
        }

    def python(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, words)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.root,
            env=self.environment,
        )

    def foveal(self, *words: str | Path, torch: bool = True) -> str:
        """Return what a command prints; it must succeed."""
        done = self.python(*(("-m", "foveal") if torch else ("-c", WITHOUT_TORCH)), *words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def run(installed: Installed) -> str:
    small = [
        "--epochs",
        "25",
        "--lr",
        "0.01",
        "--image-size",
        "32",
        "--set",
        "data.fresh_every=0",
        "--json",
    ]
    fixed = ["--set", "train.augment.enabled=false", "--set", "train.batch_size=32"]
    words = ["train", "synth:dots?count=600&most=3", "--backbone", "toy_net", *small, *fixed]
    return str(json.loads(installed.foveal(*words))["run"])


def test_doctor_lists_what_works_and_what_does_not(installed: Installed) -> None:
    found = json.loads(installed.foveal("doctor", "--json"))
    plugins = found["environment"]["plugins"]
    works = {(p["group"], p["name"]) for p in plugins if p["error"] is None}
    assert works == {
        ("foveal.tasks", "count"),
        ("foveal.backbones", "toy_net"),
        ("foveal.checks", "toy.crowded"),
        ("foveal.synth", "dots"),
        ("foveal.exports", "labels"),
    }
    broken = {p["name"]: p["error"] for p in plugins if p["error"] is not None}
    assert set(broken) == {"hopeless", "fovea", "broken.check", "paper"}
    assert "the name is already used by foveal" in broken.pop("fovea")
    assert all("RuntimeError: this package is broken on purpose" in e for e in broken.values())
    assert {p["package"] for p in plugins if p["error"]} == {"foveal-broken"}
    assert [f["id"] for f in found["findings"]].count("plugin.broken") == 4


def test_the_contracts_hold(installed: Installed, run: str) -> None:
    done = installed.python("-c", CONTRACTS, run)
    assert done.returncode == 0, done.stderr


def test_a_task_is_learnt_and_measured(installed: Installed, run: str) -> None:
    found = json.loads(
        installed.foveal(
            "evaluate", run, "synth:dots?count=80&seed=7&most=3", "--json", torch=False
        )
    )
    assert found["task"] == "count"
    # One in four by chance.
    assert found["metrics"]["exact"]["value"] > 0.9
    findings = json.loads((installed.root / run / "findings.json").read_text())["findings"]
    assert "toy.crowded" not in {finding["id"] for finding in findings}


def test_a_picture_is_answered_and_explained_without_torch(installed: Installed, run: str) -> None:
    installed.foveal("synth", "dots", "--out", "drawn", "--count", "8", "--seed", "9")
    picture = next((installed.root / "drawn").glob("*/*.png"))
    answer = json.loads(installed.foveal("predict", run, picture, "--json", torch=False))
    assert set(answer) >= {"count", "confidence", "unsure", "source", "model", "ms"}
    installed.foveal("explain", run, picture, "--out", "why.png", torch=False)
    with PILImage.open(installed.root / "why.png") as drawn:
        assert min(drawn.size) >= 32


def test_the_server_answers(installed: Installed, run: str) -> None:
    installed.foveal("synth", "dots", "--out", "served", "--count", "2", "--seed", "9")
    picture = next((installed.root / "served").glob("*/*.png"))
    command = [sys.executable, "-m", "foveal", "serve", run, "--port", "0", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=installed.root, env=installed.environment
    ) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            name = Path(run).name
            request = urllib.request.Request(f"{url}/predict/{name}", picture.read_bytes())
            with urllib.request.urlopen(request) as response:
                assert json.load(response)["count"] in range(4)
        finally:
            server.terminate()


def test_a_format_is_written_and_in_the_help(installed: Installed, run: str) -> None:
    assert "the labels, one a line" in installed.foveal("export", "--help")
    installed.foveal("export", run, "--to", "labels", "--out", "labels.txt")
    assert (installed.root / "labels.txt").read_text() == "0\n1\n2\n3\n"


@pytest.mark.parametrize(
    "words",
    [
        ("train", "synth:dots?count=40", "--task", "hopeless"),
        ("export", "imagenet", "--to", "paper"),
    ],
)
def test_asking_for_what_is_broken_says_why(words: tuple[str, ...], installed: Installed) -> None:
    done = installed.python("-m", "foveal", *words)
    assert done.returncode == 1
    assert "error: The" in done.stderr
    assert "foveal-broken 0.2" in done.stderr
    assert "RuntimeError: this package is broken on purpose" in done.stderr
    assert "Traceback" not in done.stderr


def test_plugins_are_not_looked_for_unless_asked_for(installed: Installed) -> None:
    code = (
        "import sys; from foveal.cli.main import run; run(['--help']); run(['predict', '--help'])\n"
        "found = {m.partition('.')[0] for m in sys.modules} & {'foveal_toy', 'foveal_broken'}\n"
        "assert not found, found\n"
        "from foveal.tasks import TASKS, get_task; get_task('classify')\n"
        "assert 'plugins' not in vars(TASKS)"
    )
    done = installed.python("-c", code)
    assert done.returncode == 0, done.stderr


def test_without_the_package_a_bundle_says_what_it_needs(installed: Installed, run: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-m", "foveal", "predict", run, "x.png"],
        capture_output=True,
        text=True,
        check=False,
        cwd=installed.root,
        env=environment,
    )
    assert done.returncode == 2
    assert "Unknown task 'count'" in done.stderr
