"""Create models, versions and endpoints of Vertex AI for `foveal deploy`.

Everything is looked for before it is made, so that a call that was interrupted, or that is made
twice, goes on where the first one ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from foveal.errors import UsageError
from foveal.jobs.vertex.client import Vertex
from foveal.rest import ServiceError
from foveal.types import JsonObject

_VERSION_LABEL = "foveal-version"
_MACHINE = "n1-standard-2"
# Where the server in the container is asked; it reads them from its variables.
_HEALTH, _PREDICT, _PORT = "/readyz", "/predict-instances", 8080
# The contract of a container: it is reached from outside.
_ANY_HOST = "0.0.0.0"  # noqa: S104
_SPEC = ("machineType", "acceleratorType", "acceleratorCount")
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")


@final
@dataclass(frozen=True, slots=True)
class Served:
    """A bundle in a bucket, and the image that serves it.

    Attributes:
        name: Name of the model.
        version: The bundle's version.
        artifact: URL of the folder that holds it.
        image: Container image of foveal's server.
        aliases: Names by which this version can be asked for.
        labels: Labels of the resource, by which costs are told apart.
    """

    name: str
    version: str
    artifact: str
    image: str
    aliases: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """The machines of an endpoint.

    Attributes:
        machine: Type of machine.
        accelerator: Type of accelerator.
        accelerators: Number of accelerators in each machine.
        replicas: Machines that always run.
        most: Machines that may run.
        service_account: Account that the server acts as.
    """

    machine: str | None = None
    accelerator: str | None = None
    accelerators: int = 1
    replicas: int = 1
    most: int = 1
    service_account: str | None = None


@final
@dataclass(frozen=True, slots=True)
class Deployment:
    """A version of a model at an endpoint.

    Attributes:
        model: Full name of the model on Vertex AI.
        version: Its version there.
        endpoint: Full name of the endpoint.
        url: Where it predicts: what `foveal predict` takes.
    """

    model: str
    version: str
    endpoint: str
    url: str

    def to_json(self) -> JsonObject:
        """Return it as JSON values."""
        return {
            "schema_version": 1,
            "model": self.model,
            "version": self.version,
            "endpoint": self.endpoint,
            "url": self.url,
        }


def deploy(vertex: Vertex, served: Served, endpoint: str, machines: Machines) -> Deployment:
    """Let an endpoint answer with a bundle, and take down what it answered with before.

    Args:
        vertex: Project and region.
        served: The bundle.
        endpoint: Name of the endpoint, shown to people; made where there is none.
        machines: What it runs on.

    Raises:
        FovealError: If Vertex AI refuses something.
    """
    model, version = _version(vertex, served)
    place = _endpoint(vertex, endpoint, served)
    kept = _deployed(vertex, place, model, version, machines, served)
    for other in vertex.get(place).get("deployedModels", ()):
        if other["id"] != kept:
            _undeploy(vertex, place, other["id"])
    return Deployment(model, version, place, f"{vertex.service.url}/{place}:predict")


def model_id(name: str) -> str:
    """Return a name as the identifier of a model may be: lower-case letters, digits, `-`, `_`."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")
    return (plain if plain[:1].isalpha() else f"m-{plain}")[:63].rstrip("-")


def _version(vertex: Vertex, served: Served) -> tuple[str, str]:
    """Return model and version of a bundle, which are made where there are none."""
    for alias in served.aliases:
        if not _ALIAS.fullmatch(alias):
            raise UsageError(
                f"Invalid alias {alias!r} for Vertex AI. Expected a lower-case letter, then "
                "letters, digits and '-'.",
                hint="foveal deploy NAME:VERSION --on vertex:PROJECT/REGION",
            )
    model = f"{vertex.parent}/models/{model_id(served.name)}"
    known = _versions(vertex, model)
    found = _same(known, served)
    if found is None:
        body: dict[str, Any] = {"model": _description(served)}
        body |= {"parentModel": model} if known else {"modelId": model_id(served.name)}
        operation = vertex.create(
            "models", body, lambda: _same(_versions(vertex, model), served), ":upload"
        )
        made = vertex.finished(operation)
        return model, str(made.get("modelVersionId") or made["versionId"])
    missing = [alias for alias in served.aliases if alias not in found.get("versionAliases", ())]
    if missing:
        path = f"/{model}@{found['versionId']}:mergeVersionAliases"
        vertex.service.post(path, {"versionAliases": missing}, repeatable=True)
    return model, str(found["versionId"])


def _versions(vertex: Vertex, model: str) -> list[Any]:
    try:
        return list(vertex.service.get(f"/{model}:listVersions").get("models", ()))
    except ServiceError as error:
        if error.status == 404:
            return []
        raise


def _same(versions: Sequence[Any], served: Served) -> Any | None:
    for version in versions:
        container = version.get("containerSpec", {})
        is_same = version.get("artifactUri") == served.artifact
        if is_same and container.get("imageUri") == served.image:
            return version
    return None


def _description(served: Served) -> dict[str, Any]:
    return {
        "displayName": served.name,
        "versionAliases": list(served.aliases),
        "artifactUri": served.artifact,
        "containerSpec": {
            "imageUri": served.image,
            # Whatever model the image may hold, the server takes the one of the artifact.
            "command": ["foveal", "serve"],
            "args": ["--host", _ANY_HOST],
            "ports": [{"containerPort": _PORT}],
            "healthRoute": _HEALTH,
            "predictRoute": _PREDICT,
        },
        "labels": {**served.labels, _VERSION_LABEL: _label(served.version)},
    }


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:63]


def _endpoint(vertex: Vertex, name: str, served: Served) -> str:
    def find() -> Any | None:
        return next(vertex.listed("endpoints", f'display_name="{name}"'), None)

    found = find()
    if found is None:
        body = {"displayName": name, "labels": dict(served.labels)}
        found = vertex.finished(vertex.create("endpoints", body, find))
    return str(found["name"])


def _deployed(
    vertex: Vertex, endpoint: str, model: str, version: str, machines: Machines, served: Served
) -> str:
    """Return the number of the deployment of a version on machines of this kind.

    It is made where there is none; how many machines it has is changed.
    """
    spec: dict[str, Any] = {"machineType": machines.machine or _MACHINE}
    if machines.accelerator is not None:
        spec["acceleratorType"] = machines.accelerator
        spec["acceleratorCount"] = machines.accelerators
    counts = {
        "minReplicaCount": machines.replicas,
        "maxReplicaCount": max(machines.replicas, machines.most),
    }

    def find() -> Any | None:
        for each in vertex.get(endpoint).get("deployedModels", ()):
            path = each["model"].partition("@")[0]
            there = each.get("dedicatedResources", {}).get("machineSpec", {})
            # The number of the project may stand for its name.
            is_same = path.rpartition("/")[2] == model.rpartition("/")[2]
            is_same = is_same and str(each.get("modelVersionId", "1")) == version
            # What a deployment runs on cannot be changed; another one takes its place.
            is_same = is_same and [there.get(key) or None for key in _SPEC] == [
                spec.get(key) for key in _SPEC
            ]
            if is_same and each.get("serviceAccount") == machines.service_account:
                return {"deployedModel": each}
        return None

    found = find()
    if found is None:
        wanted: dict[str, Any] = {
            "model": f"{model}@{version}",
            "displayName": served.name,
            "dedicatedResources": {"machineSpec": spec, **counts},
        }
        if machines.service_account is not None:
            wanted["serviceAccount"] = machines.service_account
        # 0 stands for what is deployed now: all requests go there once it is ready.
        body = {"deployedModel": wanted, "trafficSplit": {"0": 100}}
        kind = endpoint.removeprefix(f"{vertex.parent}/")
        found = vertex.finished(vertex.create(kind, body, find, ":deployModel"))
    number = str(found["deployedModel"]["id"])
    there = found["deployedModel"].get("dedicatedResources", counts)
    if any(there.get(key) != count for key, count in counts.items()):
        _resize(vertex, endpoint, number, counts)
    return number


def _resize(vertex: Vertex, endpoint: str, number: str, counts: Mapping[str, int]) -> None:
    """Let a deployment run on more or fewer machines.

    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/mutateDeployedModel
    """
    body = {
        "deployedModel": {"id": number, "dedicatedResources": dict(counts)},
        "updateMask": ",".join(f"dedicatedResources.{key}" for key in counts),
    }
    path = f"/{endpoint}:mutateDeployedModel"
    vertex.finished(vertex.service.post(path, body, repeatable=True))


def _undeploy(vertex: Vertex, endpoint: str, number: str) -> None:
    try:
        body = {"deployedModelId": number}
        operation = vertex.service.post(f"/{endpoint}:undeployModel", body, repeatable=True)
    except ServiceError as error:
        # The first of two tries may have arrived although its answer did not.
        if error.status != 404:
            raise
        return
    vertex.finished(operation)
