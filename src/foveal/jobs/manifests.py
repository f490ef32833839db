"""Write manifests of trainings for Kubernetes, Slurm and SkyPilot.

Nothing is sent: the folder that is written holds everything, and the command that sends it is said.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from foveal.atomic import atomic_path
from foveal.destination import check_folder
from foveal.errors import UsageError
from foveal.jobs.options import JobOptions
from foveal.jobs.target import Target
from foveal.jobs.training import Training
from foveal.jobs.work import Work
from foveal.urls import is_url
from foveal.wheel import write_wheel

_RECIPE = "recipe.yaml"
# Another user than root, as in foveal's images; see export/docker.
_USER = 10001
# In the container, which nobody else is in.
_TMP, _SHM = "/tmp", "/dev/shm"  # noqa: S108
_MEMORY, _CORES = "16Gi", "4"


def write_manifest(
    training: Training, target: Target, options: JobOptions, output: str | None, folder: Path
) -> str:
    """Write what a scheduler needs into a new folder, and return the command that sends it.

    Args:
        training: What is trained.
        target: `k8s`, `slurm` or `sky`.
        options: What it runs on.
        output: Folder or URL for runs, there.
        folder: The folder to be.

    Raises:
        UsageError: If the folder is there, or something is missing that only its user knows.
    """
    if folder.exists():
        raise UsageError(
            f"Cannot write {folder}: it already exists.",
            hint=f"rm -r {folder}; or use another --name",
        )
    check_folder(folder)
    work = training.work(target, *training.together(options))
    writer = _WRITERS[target.kind](work, options, output)
    with atomic_path(folder, durable=True) as whole:
        whole.mkdir()
        command: str = writer.write(whole, folder)
    return command


@final
class _Kubernetes:
    """A Job, and a ConfigMap with the recipe.

    https://kubernetes.io/docs/concepts/workloads/controllers/job/
    """

    def __init__(self, work: Work, options: JobOptions, output: str | None) -> None:
        if options.image is None:
            raise UsageError(
                "Kubernetes runs a job in a container image, so --image is required.",
                hint="see docs/scale/containers.md",
            )
        if any(name != _RECIPE for name in work.files):
            raise UsageError(
                "The pods of a cluster cannot access files of this machine. Expected a URL of the "
                "data.",
                hint="foveal train gs://BUCKET/FOLDER --on k8s …",
            )
        if output is None or not is_url(output):
            raise UsageError(
                "The files of a pod are deleted when it ends. Expected a URL for the results.",
                hint="use --out gs://BUCKET/runs",
            )
        self._work, self._options, self._output = work, options, output
        self._image = options.image

    def write(self, folder: Path, named: Path) -> str:
        """Write the manifest, and return the command."""
        import yaml

        name = _dns_name(self._work.name)
        labels = {"app.kubernetes.io/name": "foveal", "app.kubernetes.io/instance": name}
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{name}-recipe", "labels": labels},
            "data": {_RECIPE: _recipe(self._work).decode()},
        }
        spec: dict[str, Any] = {
            # What failed would fail again. A pod that its node lost is started anew, and goes on.
            "backoffLimit": 0,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    }
                ]
            },
            "template": {"metadata": {"labels": labels}, "spec": self._pod(name)},
        }
        if self._options.timeout_s is not None:
            spec["activeDeadlineSeconds"] = int(self._options.timeout_s)
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": labels},
            "spec": spec,
        }
        text = yaml.safe_dump_all([config, job], sort_keys=False, allow_unicode=True)
        (folder / "job.yaml").write_text(text, encoding="utf-8")
        return f"kubectl apply -f {shlex.quote(str(named / 'job.yaml'))}"

    def _pod(self, name: str) -> dict[str, Any]:
        options = self._options
        limits: dict[str, Any] = {"memory": _MEMORY}
        if options.accelerator is not None:
            limits["nvidia.com/gpu"] = options.accelerators
        container = {
            "name": "foveal",
            "image": self._image,
            "workingDir": "/job",
            "command": list(self._work.command(self._output)),
            # HOME, for caches: the file system of the image is read-only.
            "env": [{"name": "HOME", "value": _TMP}, {"name": "PYTHONUNBUFFERED", "value": "1"}],
            "resources": {"requests": {"cpu": _CORES, "memory": _MEMORY}, "limits": limits},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                {"name": "recipe", "mountPath": "/job", "readOnly": True},
                {"name": "tmp", "mountPath": _TMP},
                {"name": "shm", "mountPath": _SHM},
            ],
        }
        pod: dict[str, Any] = {
            "restartPolicy": "Never",
            # A training writes a checkpoint when it is asked to stop.
            "terminationGracePeriodSeconds": 300,
            "automountServiceAccountToken": options.service_account is not None,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [
                {"name": "recipe", "configMap": {"name": f"{name}-recipe"}},
                {"name": "tmp", "emptyDir": {}},
                # Of a container's own there are 64 MB, which loaders of pictures outgrow.
                {"name": "shm", "emptyDir": {"medium": "Memory"}},
            ],
        }
        selector = {
            "node.kubernetes.io/instance-type": options.machine,
            "nvidia.com/gpu.product": options.accelerator,
        }
        if any(selector.values()):
            pod["nodeSelector"] = {key: value for key, value in selector.items() if value}
        if options.service_account is not None:
            pod["serviceAccountName"] = options.service_account
        return pod


@final
class _Slurm:
    """A script for sbatch, on a cluster whose machines share this machine's folders.

    https://slurm.schedmd.com/sbatch.html
    """

    def __init__(self, work: Work, options: JobOptions, output: str | None) -> None:
        self._work, self._options = work, options
        self._output = output or str(Path("runs").absolute())
        if not is_url(self._output):
            self._output = str(Path(self._output).absolute())

    def write(self, folder: Path, named: Path) -> str:
        """Write the script, and return the command."""
        options = self._options
        self._work.write_files(folder)
        lines = [
            f"--job-name={self._work.name}",
            f"--output={named.absolute()}/log-%j.txt",
            "--ntasks=1",
            f"--cpus-per-task={_CORES}",
            "--mem=16G",
            # Before the time is over, to the training itself: it writes a checkpoint.
            "--signal=TERM@300",
            # After a node failed or was needed for others: the training goes on.
            "--requeue",
        ]
        if options.machine is not None:
            lines.append(f"--partition={options.machine}")
        if options.accelerator is not None:
            lines.append(f"--gpus-per-node={options.accelerator}:{options.accelerators}")
        if options.timeout_s is not None:
            minutes, seconds = divmod(int(options.timeout_s), 60)
            lines.append(f"--time={minutes // 60:02}:{minutes % 60:02}:{seconds:02}")
        for line in lines:
            if any(not letter.isprintable() for letter in line):
                raise UsageError(
                    f"Slurm cannot read the option {line!r}. Expected printable characters.",
                    hint="rename the folder, then try again",
                )
        command = shlex.join(self._work.command(self._output))
        script = [
            "#!/bin/bash",
            *(f"#SBATCH {_quoted(line)}" for line in lines),
            "set -euo pipefail",
            f"cd {shlex.quote(str(named.absolute()))}",
            "export PYTHONUNBUFFERED=1",
            # As a step: a signal of Slurm reaches the steps, not the script.
            f"srun {command}",
        ]
        (folder / "job.sh").write_text("\n".join(script) + "\n", encoding="utf-8")
        return f"sbatch {shlex.quote(str(named / 'job.sh'))}"


@final
class _Sky:
    """A task for SkyPilot, which rents the machine and copies folder and data there.

    https://docs.skypilot.co/en/latest/reference/yaml-spec.html
    """

    def __init__(self, work: Work, options: JobOptions, output: str | None) -> None:
        if output is None or not is_url(output):
            raise UsageError(
                "The files of a rented machine are deleted when it ends. Expected a URL for the "
                "results.",
                hint="use --out gs://BUCKET/runs",
            )
        self._work, self._options, self._output = work, options, output

    def write(self, folder: Path, named: Path) -> str:
        """Write the task, and return the command."""
        import yaml

        options = self._options
        wheel = write_wheel(folder)
        (folder / _RECIPE).write_bytes(_recipe(self._work))
        resources: dict[str, Any] = {"disk_size": 100}
        if options.accelerator is not None:
            resources["accelerators"] = f"{options.accelerator}:{options.accelerators}"
        if options.machine is not None:
            resources["instance_type"] = options.machine
        if options.spot:
            resources["use_spot"] = True
        if options.image is not None:
            resources["image_id"] = f"docker:{options.image}"
        # Each is copied to where the command, which runs in the folder, looks for it.
        mounts = {
            f"~/sky_workdir/{name}": str(path.absolute())
            for name, path in self._work.files.items()
            if isinstance(path, Path)
        }
        task: dict[str, Any] = {
            "name": _dns_name(self._work.name),
            "resources": resources,
            "workdir": str(named.absolute()),
            **({"file_mounts": mounts} if mounts else {}),
            "setup": f"python -m pip install './{wheel.name}[train,cloud]'\n",
            "run": shlex.join(self._work.command(self._output)) + "\n",
        }
        text = yaml.safe_dump(task, sort_keys=False, allow_unicode=True)
        (folder / "sky.yaml").write_text(text, encoding="utf-8")
        start = f"sky launch {shlex.quote(str(named / 'sky.yaml'))}"
        minutes = "" if options.timeout_s is None else f" -i {int(options.timeout_s // 60)} --down"
        return start + minutes


_WRITERS: dict[str, Callable[..., Any]] = {"k8s": _Kubernetes, "slurm": _Slurm, "sky": _Sky}


def _recipe(work: Work) -> bytes:
    content = work.files[_RECIPE]
    return content if isinstance(content, bytes) else content.read_bytes()


def _dns_name(name: str) -> str:
    """Return a name as Kubernetes has them: RFC 1123."""
    plain = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    return (f"foveal-{plain}"[:50]).strip("-")


def _quoted(line: str) -> str:
    """Return an option as sbatch reads it: its value in quotes where it has blanks."""
    key, _, value = line.partition("=")
    return f'{key}="{value}"' if " " in value else line
