"""`--on k8s|slurm|sky`: what is written, and what those who know the formats say of it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from foveal.api.jobs import write_manifest
from foveal.cli.main import run
from foveal.errors import UsageError
from foveal.recipe import Recipe

Write = Callable[..., tuple[Path, str]]

K8S = {"image": "registry.example/foveal:1", "out": "gs://b/runs"}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes the file of a training in an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my photos").mkdir()
    (tmp_path / "my photos" / "a.png").write_bytes(b"a")

    def write(on: str, data: str = "my photos", **settings: object) -> tuple[Path, str]:
        return write_manifest(data, on, {"epochs": 3, **settings})

    return write


def program(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_a_job_of_kubernetes(write: Write) -> None:
    folder, command = write(
        "k8s",
        data="gs://b/My_Photos",
        accelerator="Tesla-T4",
        accelerators=2,
        machine="n1-standard-8",
        timeout_s=3600.0,
        service_account="trainer",
        **K8S,
    )
    assert command == "kubectl apply -f My_Photos-k8s/job.yaml"
    config, job = yaml.safe_load_all((folder / "job.yaml").read_text())
    assert yaml.safe_load(config["data"]["recipe.yaml"])["train"]["epochs"] == 3
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    *first, key, many, devices = container["command"]
    assert first == [
        *("python", "-m", "foveal", "train", "gs://b/My_Photos", "--recipe", "recipe.yaml"),
        *("--name", "My_Photos", "--out", "gs://b/runs", "--resume-key"),
    ]
    # A pod that its node lost begins anew with the key of this training alone.
    assert (len(key), many, devices) == (32, "--devices", "2")
    assert job["spec"]["backoffLimit"] == 0
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert rule["action"] == "Ignore"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert pod["nodeSelector"] == {
        "node.kubernetes.io/instance-type": "n1-standard-8",
        "nvidia.com/gpu.product": "Tesla-T4",
    }
    assert (pod["serviceAccountName"], job["spec"]["activeDeadlineSeconds"]) == ("trainer", 3600)
    assert job["metadata"]["name"] == "foveal-my-photos"


def test_a_number_of_processes_is_not_changed(write: Write) -> None:
    folder, _ = write("slurm", data="gs://b/photos", accelerator="a100", accelerators=4, devices=2)
    assert "--devices" not in (folder / "job.sh").read_text()
    assert yaml.safe_load((folder / "recipe.yaml").read_text())["train"]["devices"] == 2


def test_kubernetes_would_take_it(write: Write) -> None:
    folder, _ = write("k8s", data="gs://b/photos", **K8S)
    linted = [program("kubernetes-validate"), "--strict", str(folder / "job.yaml")]
    done = subprocess.run(linted, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    path = folder / "job.yaml"
    path.write_text(path.read_text().replace("backoffLimit", "backoffLimt"))
    assert subprocess.run(linted, capture_output=True, check=False).returncode != 0


def test_a_script_of_slurm(write: Write, tmp_path: Path) -> None:
    settings = {"accelerator": "a100", "timeout_s": 5400.0, "machine": "gpu", "name": "first"}
    folder, command = write("slurm", **settings)
    assert command == "sbatch first-slurm/job.sh"
    script = (folder / "job.sh").read_text()
    for line in (
        "#SBATCH --job-name=first",
        "#SBATCH --gpus-per-node=a100:1",
        "#SBATCH --time=01:30:00",
        "#SBATCH --partition=gpu",
        "#SBATCH --signal=TERM@300",
        "#SBATCH --requeue",
    ):
        assert f"{line}\n" in script
    # Options are read up to the first command.
    assert script.index("set -euo") > script.rindex("#SBATCH")
    subprocess.run(["bash", "-n", folder / "job.sh"], check=True)
    # Run by a shell whose srun and python say what they get.
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "srun").write_text('#!/bin/bash\nprintf "%s\\n" "$PWD" "$@"\n')
    (bin_folder / "srun").chmod(0o755)
    done = subprocess.run(
        ["bash", folder / "job.sh"],
        env={"PATH": f"{bin_folder}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    *said, option, key = done.stdout.splitlines()
    assert said == [
        str(tmp_path / "first-slurm"),
        *("python", "-m", "foveal", "train", str(tmp_path / "my photos")),
        *("--recipe", "recipe.yaml", "--name", "first", "--out", str(tmp_path / "runs")),
    ]
    assert (option, len(key)) == ("--resume-key", 32)
    assert Recipe.load(folder / "recipe.yaml").train.epochs == 3


def test_shellcheck_finds_nothing(write: Write) -> None:
    folder, _ = write("slurm")
    subprocess.run([program("shellcheck"), folder / "job.sh"], check=True)


def test_a_task_of_skypilot(write: Write, tmp_path: Path) -> None:
    folder, command = write(
        "sky", accelerator="T4", spot=True, image="i:1", timeout_s=7200.0, out="gs://b/runs"
    )
    assert command == "sky launch my-photos-sky/sky.yaml -i 120 --down"
    task = yaml.safe_load((folder / "sky.yaml").read_text())
    assert task["resources"] == {
        "disk_size": 100,
        "accelerators": "T4:1",
        "use_spot": True,
        "image_id": "docker:i:1",
    }
    assert task["file_mounts"] == {"~/sky_workdir/data/my photos": str(tmp_path / "my photos")}
    assert "'data/my photos'" in task["run"]
    (wheel,) = folder.glob("foveal-*.whl")
    assert wheel.name in task["setup"]


@pytest.mark.parametrize(
    ("on", "settings", "said"),
    [
        ("k8s", {"out": "gs://b/r"}, "--image is required"),
        ("k8s", {"image": "i", "out": "gs://b/r"}, "cannot access files of this machine"),
        ("k8s", {"image": "i", "data": "gs://b/p"}, "are deleted when it ends"),
        ("sky", {}, "are deleted when it ends"),
        ("slurm", {"spot": True}, "--spot has no effect on slurm"),
        ("slurm", {"accelerators": 2}, "--accelerators needs the type of accelerator"),
        ("k8s", {"workers": 2, **K8S}, "--workers has no effect on k8s"),
    ],
)
def test_what_is_missing_is_said(
    write: Write, on: str, settings: dict[str, object], said: str, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=said):
        write(on, **settings)
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_says_what_to_type(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "my photos", "--on", "slurm", "--epochs", "1"]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (
        "sbatch my-photos-slurm/job.sh\n",
        "written  my-photos-slurm\n",
    )
    assert run(["train", "my photos", "--on", "slurm"]) == 2
    assert "it already exists" in capsys.readouterr().err
    assert run(["train", "my photos", "--on", "slurm", "--name", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["command"] == "sbatch b-slurm/job.sh"
