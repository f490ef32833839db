"""Vertex AI and Cloud Logging for tests: their REST interfaces, with what they keep.

Requests are held to the documented shapes: an unknown or missing field, or one of another type, is
an INVALID_ARGUMENT, as it is there. Jobs run as processes of this machine, which stands for the
container. It fails on demand. The official SDK is tested against it too (test_vertex_sdk.py), so
that it is not only honest to foveal's own client.

Shapes: https://cloud.google.com/vertex-ai/docs/reference/rest/v1
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

# An enumeration is its name, or its number, which the SDK sends.
ENUM = (str, int)
INT64 = (str, int)
DURATION = re.compile(r"\d+(\.\d+)?s")
ENV = [{"name!": str, "value!": str}]
MACHINE = {"machineType": str, "acceleratorType": ENUM, "acceleratorCount": int}
CONTAINER = {"imageUri!": str, "command": [str], "args": [str], "env": ENV}
PACKAGE = {
    "executorImageUri!": str,
    "packageUris!": [str],
    "pythonModule!": str,
    "args": [str],
    "env": ENV,
}
POOL = {
    "machineSpec!": MACHINE,
    "replicaCount": INT64,
    "diskSpec": {"bootDiskType": str, "bootDiskSizeGb": int},
    "containerSpec": CONTAINER,
    "pythonPackageSpec": PACKAGE,
}
CUSTOM_JOB = {
    "displayName!": str,
    "jobSpec!": {
        "workerPoolSpecs!": [POOL],
        "scheduling": {
            "timeout": DURATION,
            "strategy": ENUM,
            "restartJobOnWorkerRestart": bool,
            "maxWaitDuration": DURATION,
            "disableRetries": bool,
        },
        "serviceAccount": str,
        "network": str,
        "baseOutputDirectory": {"outputUriPrefix!": str},
        "enableWebAccess": bool,
    },
    "labels": {str: str},
}
MODEL = {
    "displayName!": str,
    "description": str,
    "versionAliases": [str],
    "versionDescription": str,
    "containerSpec": {
        "imageUri!": str,
        "command": [str],
        "args": [str],
        "env": ENV,
        "ports": [{"containerPort": int}],
        "predictRoute": str,
        "healthRoute": str,
        "deploymentTimeout": DURATION,
    },
    "artifactUri": str,
    "labels": {str: str},
}
UPLOAD = {"parent": str, "modelId": str, "parentModel": str, "model!": MODEL}
ENDPOINT = {"displayName!": str, "description": str, "labels": {str: str}}
DEDICATED = {"machineSpec!": MACHINE, "minReplicaCount!": int, "maxReplicaCount": int}
DEPLOY = {
    "endpoint": str,
    "deployedModel!": {
        "id": str,
        "model!": str,
        "displayName": str,
        "dedicatedResources": DEDICATED,
        "serviceAccount": str,
    },
    "trafficSplit": {str: int},
}
# The counts alone can be changed: the type of the machines cannot.
MUTATE = {
    "deployedModel!": {
        "id!": str,
        "dedicatedResources": {"minReplicaCount": int, "maxReplicaCount": int},
    },
    "updateMask!": str,
}
BATCH = {
    "displayName!": str,
    "model!": str,
    "inputConfig!": {"instancesFormat!": str, "gcsSource": {"uris!": [str]}},
    "outputConfig!": {
        "predictionsFormat!": str,
        "gcsDestination": {"outputUriPrefix!": str},
    },
    "dedicatedResources": {
        "machineSpec!": MACHINE,
        "startingReplicaCount": int,
        "maxReplicaCount": int,
    },
    "manualBatchTuningParameters": {"batchSize": int},
    "generateExplanation": bool,
    "serviceAccount": str,
    "labels": {str: str},
}
ENTRIES = {
    "resourceNames!": [str],
    "filter": str,
    "orderBy": str,
    "pageSize": int,
    "pageToken": str,
}
TYPE = "type.googleapis.com/google.cloud.aiplatform.v1"
# The SDK asks for operations below /ui, which the interface has too.
RESOURCE = r"/(?:v1|ui)/(projects/([a-z0-9-]+)/locations/([a-z0-9-]+))"


class Refused(Exception):
    """An error of the interface."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code, self.status, self.message = code, status, message


def check(value: Any, shape: Any, where: str = "request") -> None:
    """Raise unless a value has a shape; keys that end with ! must be there."""
    if isinstance(shape, dict) and str in shape:
        _check_type(value, dict, where)
        for key, each in value.items():
            check(each, shape[str], f"{where}.{key}")
    elif isinstance(shape, dict):
        _check_type(value, dict, where)
        known = {key.rstrip("!"): (key.endswith("!"), each) for key, each in shape.items()}
        for key, each in value.items():
            if key not in known:
                raise _invalid(f'Unknown name "{key}" at {where}: Cannot find field.')
            check(each, known[key][1], f"{where}.{key}")
        for key, (is_needed, _) in known.items():
            if is_needed and value.get(key) in (None, "", [], {}):
                raise _invalid(f"{where}.{key} is required.")
    elif isinstance(shape, list):
        _check_type(value, list, where)
        for i, each in enumerate(value):
            check(each, shape[0], f"{where}[{i}]")
    elif isinstance(shape, re.Pattern):
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise _invalid(f"Invalid value at {where}: {value!r}")
    else:
        _check_type(value, shape, where)


def _check_type(value: Any, kind: Any, where: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _invalid(f"Invalid value at {where}: {value!r}")


def _invalid(message: str) -> Refused:
    return Refused(400, "INVALID_ARGUMENT", message)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class FakeVertex:
    """What the cloud knows.

    Attributes:
        failures: Statuses of the next answers, 0 for a request that arrives and is not answered.
        runs_jobs: Whether jobs run; otherwise they wait until `states` says otherwise.
        predict: Answers the instances of a request.
        polls: How often an operation is asked for before it is done.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.resources: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.failures: list[int] = []
        self.requests: list[str] = []
        self.runs_jobs = True
        self.polls = 1
        self.predict: Callable[[list[Any]], list[Any]] = lambda instances: instances
        self.url = ""
        self._lock = threading.Lock()
        self._count = 1000

    # What is asked

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        """Return the answer to a request.

        Raises:
            Refused: As the interface would.
        """
        if path == "/v2/entries:list":
            check(body, ENTRIES)
            return self._entries(body)
        match = re.fullmatch(RESOURCE + r"/(.+)", path)
        if match is None:
            raise Refused(404, "NOT_FOUND", f"no such method: {method} {path}")
        parent, rest = match[1], match[4]
        with self._lock:
            return self._dispatch(method, parent, rest, query, body)

    def _dispatch(
        self, method: str, parent: str, rest: str, query: dict[str, str], body: Any
    ) -> Any:
        name, _, verb = rest.partition(":")
        if method == "GET" and "operations/" in name:
            return self._operation(f"{parent}/{name}")
        if method == "POST" and not verb and name in _MAKERS:
            return _MAKERS[name](self, parent, body)
        if method == "POST" and rest == "models:upload":
            return self._upload(parent, body)
        if method == "GET" and "/" not in name:
            return self._listed(f"{parent}/{name}", name, query)
        full = f"{parent}/{name}"
        if method == "GET" and verb == "listVersions":
            versions = [self._version(full, v) for v in self._of(full)["versions"]]
            return {"models": versions}
        if method == "POST" and verb == "mergeVersionAliases":
            return self._merge_aliases(full, body)
        if method == "POST" and verb in _VERBS:
            return _VERBS[verb](self, full, body)
        if method == "GET" and not verb:
            return self._shown(full)
        if method == "DELETE" and not verb:
            del self.resources[self._named(full)]
            return self._started({"@type": "type.googleapis.com/google.protobuf.Empty"}, parent)
        raise Refused(404, "NOT_FOUND", f"no such method: {method} {rest}")

    # Jobs

    def _custom_job(self, parent: str, body: Any) -> Any:
        check(body, CUSTOM_JOB)
        for pool in body["jobSpec"]["workerPoolSpecs"]:
            if ("containerSpec" in pool) == ("pythonPackageSpec" in pool):
                raise _invalid("exactly one of containerSpec and pythonPackageSpec is required")
            machine = pool["machineSpec"]
            if ("acceleratorType" in machine) != ("acceleratorCount" in machine):
                raise _invalid("acceleratorType and acceleratorCount belong together")
        if int(body["jobSpec"]["workerPoolSpecs"][0].get("replicaCount", 1)) != 1:
            raise _invalid("the first pool must have one replica")
        base = body["jobSpec"].get("baseOutputDirectory", {}).get("outputUriPrefix", "gs://b/c")
        if not base.startswith("gs://"):
            raise _invalid("baseOutputDirectory must be in Cloud Storage")
        job = self._kept(f"{parent}/customJobs", body, state="JOB_STATE_PENDING")
        if self.runs_jobs:
            self._run(job)
        return job

    def lose_machine(self, name: str) -> None:
        """Take the machine of a job away, and start its worker again on another one."""
        os.killpg(self.processes[name].pid, 9)
        self.processes[name].wait()
        self._run(self.resources[name])

    def _run(self, job: dict[str, Any]) -> None:
        spec = job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
        place = Path(tempfile.mkdtemp(dir=self.folder))
        command = [*spec.get("command", ()), *spec.get("args", ())]
        command[0] = sys.executable if command[0] == "python" else command[0]
        given = {entry["name"]: entry["value"] for entry in spec.get("env", ())}
        environment = {**os.environ, **given, "CLOUD_ML_JOB_ID": job["name"].rpartition("/")[2]}
        # The container has the packages, not the code of the checkout.
        environment["PYTHONPATH"] = ""
        path = Path(job.get("_log", place / "log.txt"))
        with path.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=place,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self.processes[job["name"]] = process
        job["state"] = "JOB_STATE_RUNNING"
        job["_log"] = str(path)

    def _cancel(self, name: str, body: Any) -> Any:
        check(body or {}, {"name": str})
        job = self._of(name)
        if name in self.processes and self.processes[name].poll() is None:
            os.killpg(self.processes[name].pid, 15)
            self.processes[name].wait()
        job["state"] = "JOB_STATE_CANCELLED"
        return {}

    def _entries(self, body: Any) -> Any:
        match = re.fullmatch(
            r'resource\.type="ml_job" AND resource\.labels\.job_id="(\d+)" '
            r'AND timestamp>="([^"]+)"',
            body["filter"],
        )
        if match is None:
            raise _invalid(f"Unparseable filter: {body['filter']}")
        jobs = [job for name, job in self.resources.items() if name.endswith(f"/{match[1]}")]
        lines = Path(jobs[0]["_log"]).read_text().splitlines() if jobs and "_log" in jobs[0] else []
        first = int(body.get("pageToken") or 0)
        size = min(body.get("pageSize", 50), 7)
        entries = [
            {
                "insertId": f"{match[1]}-{i}",
                "timestamp": f"2099-01-01T00:00:{i // 60:02}.{i % 60:02}Z",
                "jsonPayload": {"message": line},
            }
            for i, line in enumerate(lines)
        ]
        entries = [entry for entry in entries if entry["timestamp"] >= match[2]]
        more = first + size < len(entries)
        page = {"entries": entries[first : first + size]}
        return page | ({"nextPageToken": str(first + size)} if more else {})

    # Models and endpoints

    def _upload(self, parent: str, body: Any) -> Any:
        check(body, UPLOAD)
        model = body["model"]
        if "containerSpec" not in model:
            raise _invalid("model.containerSpec is required")
        if "parentModel" in body:
            full = body["parentModel"]
            known = self._of(full)
        else:
            number = body.get("modelId") or self._number()
            full = f"{parent}/models/{number}"
            if full in self.resources:
                raise Refused(409, "ALREADY_EXISTS", f"{full} exists")
            known = self.resources[full] = {"name": full, "versions": {}, "createTime": _now()}
        version = str(len(known["versions"]) + 1)
        aliases = list(model.get("versionAliases", ()))
        if not known["versions"] and "default" not in aliases:
            aliases.append("default")
        for other in known["versions"].values():
            other["versionAliases"] = [a for a in other["versionAliases"] if a not in aliases]
        known["versions"][version] = {**model, "versionAliases": aliases}
        kind = f"{TYPE}.UploadModelResponse"
        return self._started({"@type": kind, "model": full, "modelVersionId": version}, parent)

    def _version(self, full: str, version: str) -> dict[str, Any]:
        known = self._of(full)
        about = {"name": full, "versionId": version, "createTime": known["createTime"]}
        return {**known["versions"][version], **about, "updateTime": known["createTime"]}

    def _merge_aliases(self, full: str, body: Any) -> Any:
        check(body, {"name": str, "versionAliases!": [str]})
        path, _, version = full.partition("@")
        known = self._of(path)
        for number, about in known["versions"].items():
            kept = [a for a in about["versionAliases"] if a not in body["versionAliases"]]
            about["versionAliases"] = kept + (body["versionAliases"] if number == version else [])
        return self._version(path, version)

    def _endpoint(self, parent: str, body: Any) -> Any:
        check(body, ENDPOINT)
        made = self._kept(f"{parent}/endpoints", body, deployedModels=[], trafficSplit={})
        return self._started({"@type": f"{TYPE}.Endpoint", **made}, parent)

    def _deploy(self, name: str, body: Any) -> Any:
        check(body, DEPLOY)
        endpoint, deployed = self._of(name), dict(body["deployedModel"])
        path, _, version = deployed["model"].partition("@")
        self._shown(deployed["model"])
        deployed["id"] = self._number()
        # What the interface gives back: the model without its version, which stands beside it.
        deployed["model"] = path
        deployed["modelVersionId"] = version or self._default(path)
        split = body.get("trafficSplit") or {"0": 100}
        split = {deployed["id"] if key == "0" else key: share for key, share in split.items()}
        if sum(split.values()) != 100:
            raise _invalid("the traffic split must add up to 100")
        endpoint["deployedModels"].append(deployed)
        endpoint["trafficSplit"] = split
        kind = f"{TYPE}.DeployModelResponse"
        return self._started({"@type": kind, "deployedModel": deployed}, name)

    def _mutate(self, name: str, body: Any) -> Any:
        check(body, MUTATE)
        wanted = body["deployedModel"]
        found = [each for each in self._of(name)["deployedModels"] if each["id"] == wanted["id"]]
        if not found:
            raise Refused(404, "NOT_FOUND", f"{wanted['id']} is not deployed")
        for path in body["updateMask"].split(","):
            section, _, key = path.partition(".")
            if section != "dedicatedResources" or key not in wanted["dedicatedResources"]:
                raise _invalid(f"update_mask: {path}")
            found[0][section][key] = wanted[section][key]
        kind = f"{TYPE}.MutateDeployedModelResponse"
        return self._started({"@type": kind, "deployedModel": found[0]}, name)

    def _undeploy(self, name: str, body: Any) -> Any:
        check(body, {"deployedModelId!": str, "trafficSplit": {str: int}})
        endpoint, gone = self._of(name), body["deployedModelId"]
        split = body.get("trafficSplit", endpoint["trafficSplit"])
        if len(endpoint["deployedModels"]) == 1:
            split = {}
        if split.get(gone):
            raise _invalid(f"{gone} still has traffic")
        endpoint["trafficSplit"] = {key: share for key, share in split.items() if key != gone}
        kept = [each for each in endpoint["deployedModels"] if each["id"] != gone]
        if len(kept) == len(endpoint["deployedModels"]):
            raise Refused(404, "NOT_FOUND", f"{gone} is not deployed")
        endpoint["deployedModels"] = kept
        kind = f"{TYPE}.UndeployModelResponse"
        return self._started({"@type": kind}, name)

    def _predict(self, name: str, body: Any) -> Any:
        check({key: body[key] for key in body if key != "instances"}, {"parameters": dict})
        endpoint = self._of(name)
        if not endpoint["deployedModels"]:
            raise Refused(404, "NOT_FOUND", f"No model is deployed to {name}")
        model = endpoint["deployedModels"][-1]
        return {
            "predictions": self.predict(body["instances"]),
            "deployedModelId": model["id"],
            "model": model["model"],
            "modelVersionId": model["modelVersionId"],
            "modelDisplayName": model.get("displayName", ""),
        }

    def _batch(self, parent: str, body: Any) -> Any:
        check(body, BATCH)
        self._shown(body["model"])
        return self._kept(f"{parent}/batchPredictionJobs", body, state="JOB_STATE_SUCCEEDED")

    # What is kept

    def _kept(self, kind: str, body: Any, **more: Any) -> dict[str, Any]:
        name = f"{kind}/{self._number()}"
        self.resources[name] = {**body, "name": name, "createTime": _now(), **more}
        return self.resources[name]

    def _number(self) -> str:
        self._count += 1
        return str(self._count)

    def _named(self, name: str) -> str:
        if name.partition("@")[0] not in self.resources:
            raise Refused(404, "NOT_FOUND", f"{name} is not found")
        return name.partition("@")[0]

    def _of(self, name: str) -> dict[str, Any]:
        return self.resources[self._named(name)]

    def _default(self, name: str) -> str:
        versions = self._of(name)["versions"]
        return next(v for v, about in versions.items() if "default" in about["versionAliases"])

    def _shown(self, name: str) -> dict[str, Any]:
        found = self._of(name)
        if "versions" in found:
            path, _, wanted = name.partition("@")
            versions = found["versions"]
            by_alias = {a: v for v, about in versions.items() for a in about["versionAliases"]}
            version = by_alias.get(wanted or "default", wanted)
            if version not in versions:
                raise Refused(404, "NOT_FOUND", f"{name} is not found")
            return self._version(path, version)
        process = self.processes.get(name)
        if process is not None and found["state"] == "JOB_STATE_RUNNING":
            status = process.poll()
            if status is not None:
                found["state"] = "JOB_STATE_FAILED" if status else "JOB_STATE_SUCCEEDED"
            if status:
                said = f"The replica workerpool0-0 exited with a non-zero status of {status}."
                found["error"] = {"code": 9, "message": said}
        return {key: value for key, value in found.items() if not key.startswith("_")}

    def _listed(self, prefix: str, kind: str, query: dict[str, str]) -> Any:
        found = [self._shown(n) for n in self.resources if n.startswith(f"{prefix}/")]
        wanted = query.get("filter", "")
        by_label = re.fullmatch(r'labels\.([a-z0-9_-]+)="([^"]*)"', wanted)
        by_name = re.fullmatch(r'display_?[nN]ame="([^"]*)"', wanted)
        if by_label:
            found = [r for r in found if r.get("labels", {}).get(by_label[1]) == by_label[2]]
        elif by_name:
            found = [r for r in found if r["displayName"] == by_name[1]]
        elif wanted:
            raise _invalid(f"Unparseable filter: {wanted}")
        first = int(query.get("pageToken") or 0)
        page = {kind: found[first : first + 2]}
        return page | ({"nextPageToken": str(first + 2)} if first + 2 < len(found) else {})

    def _started(self, response: dict[str, Any], parent: str) -> Any:
        name = f"{parent}/operations/{self._number()}"
        self.operations[name] = {"left": self.polls, "response": response}
        return {"name": name}

    def _operation(self, name: str) -> Any:
        if name not in self.operations:
            raise Refused(404, "NOT_FOUND", f"{name} is not found")
        operation = self.operations[name]
        operation["left"] -= 1
        if operation["left"] > 0:
            return {"name": name}
        if "error" in operation:
            return {"name": name, "done": True, "error": operation["error"]}
        return {"name": name, "done": True, "response": operation["response"]}


_MAKERS = {
    "customJobs": FakeVertex._custom_job,
    "endpoints": FakeVertex._endpoint,
    "batchPredictionJobs": FakeVertex._batch,
}
_VERBS = {
    "cancel": FakeVertex._cancel,
    "deployModel": FakeVertex._deploy,
    "mutateDeployedModel": FakeVertex._mutate,
    "undeployModel": FakeVertex._undeploy,
    "predict": FakeVertex._predict,
}


class _Handler(BaseHTTPRequestHandler):
    vertex: FakeVertex
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer, or fail as was asked for."""
        size = int(self.headers.get("Content-Length", 0))
        data = self.rfile.read(size)
        parts = urlsplit(self.path)
        self.vertex.requests.append(f"{self.command} {parts.path}")
        failure = self.vertex.failures.pop(0) if self.vertex.failures else None
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        try:
            if failure:
                status = {429: "RESOURCE_EXHAUSTED", 403: "PERMISSION_DENIED"}
                raise Refused(failure, status.get(failure, "INTERNAL"), "as asked for")
            body = json.loads(data) if data else None
            code, value = 200, self.vertex.answer(self.command, unquote(parts.path), query, body)
        except Refused as error:
            about = {"code": error.code, "message": error.message, "status": error.status}
            code, value = error.code, {"error": about}
        if failure == 0:
            # It arrived, and the answer is lost.
            self.close_connection = True
            return
        text = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_DELETE = do_GET


@contextlib.contextmanager
def fake_vertex(folder: Path, port: int = 0) -> Iterator[FakeVertex]:
    """Give a cloud that ends, with what it runs, at the end of the block."""
    vertex = FakeVertex(folder)
    handler = type("Handler", (_Handler,), {"vertex": vertex})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    vertex.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield vertex
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for process in vertex.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


if __name__ == "__main__":
    # For trying things by hand: python fake_vertex.py FOLDER PORT
    with fake_vertex(Path(sys.argv[1]), int(sys.argv[2])) as _running:
        sys.stdout.write(f"{_running.url}\n")
        sys.stdout.flush()
        while True:
            time.sleep(3600)
