"""A custom job as Vertex AI describes it.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/CustomJobSpec
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foveal.errors import UsageError
from foveal.jobs import start
from foveal.jobs.options import JobOptions
from foveal.jobs.sdist import MODULE

_MACHINE = "n1-standard-4"
# Images of Google's that take a package, and install it.
_EXECUTORS = "-docker.pkg.dev/vertex-ai/training/"
JOB_LABEL = "foveal-job"


def custom_job(
    name: str,
    label: str,
    package: str,
    args: Sequence[str],
    options: JobOptions,
    *,
    base: str,
    variables: Mapping[str, str],
) -> dict[str, Any]:
    """Return the custom job of some work.

    Args:
        name: Shown to people.
        label: Names this one job among all.
        package: URL of its source archive.
        args: What follows `python` in its command.
        options: Machines, account and the like.
        base: URL of the folder of everything that the job writes.
        variables: For the process.

    Raises:
        UsageError: Without an image.
    """
    if options.image is None:
        raise UsageError(
            "Vertex AI runs a job in a container image, so --image is required.",
            hint="see docs/scale/containers.md: build the image for training, push it, and give "
            "--image REGION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE",
        )
    machine: dict[str, Any] = {"machineType": options.machine or _MACHINE}
    if options.accelerator is not None:
        machine["acceleratorType"] = options.accelerator
        machine["acceleratorCount"] = options.accelerators
    pool: dict[str, Any] = {"machineSpec": machine, "replicaCount": "1"}
    environment = [{"name": key, "value": value} for key, value in variables.items()]
    if _EXECUTORS in options.image:
        pool["pythonPackageSpec"] = {
            "executorImageUri": options.image,
            "packageUris": [package],
            "pythonModule": MODULE,
            "args": list(args),
            "env": environment,
        }
    else:
        program = Path(str(start.__file__)).read_text(encoding="utf-8")
        pool["containerSpec"] = {
            "imageUri": options.image,
            "command": ["python", "-c", program],
            "args": [package, *args],
            "env": environment,
        }
    spec: dict[str, Any] = {
        "workerPoolSpecs": [pool],
        "baseOutputDirectory": {"outputUriPrefix": base},
    }
    scheduling: dict[str, Any] = {}
    if options.timeout_s is not None:
        scheduling["timeout"] = f"{options.timeout_s:.0f}s"
    if options.spot:
        scheduling["strategy"] = "SPOT"
    if scheduling:
        spec["scheduling"] = scheduling
    if options.service_account is not None:
        spec["serviceAccount"] = options.service_account
    labels = {**options.label_values, JOB_LABEL: label}
    return {"displayName": name, "jobSpec": spec, "labels": labels}
