"""A Ray dashboard for tests: its Jobs API, which unpacks packages and runs what it is told.

As Ray 2.60 does: a package has to be uploaded before a job names it, a submission id is taken once,
a job that runs cannot be deleted, and a token is asked for. It fails on demand.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

TOKEN = "a" * 64
FIELDS = {"entrypoint", "submission_id", "runtime_env", "metadata"}


class FakeRay:
    """What the dashboard knows; `failures` are the statuses of the next answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.failures: list[int] = []
        self.requests: list[str] = []
        # Answers that are lost although the request arrived.
        self.lost = 0
        self.address = ""

    def start(self, body: dict[str, Any]) -> None:
        """Run an entry point in its unpacked package."""
        name = body["submission_id"]
        place = Path(tempfile.mkdtemp(dir=self.folder))
        uri = body["runtime_env"]["working_dir"].removeprefix("gcs://")
        with zipfile.ZipFile(io.BytesIO(self.packages[uri])) as archive:
            archive.extractall(place)
        # The interpreter of the tests stands for that of the cluster.
        bin_folder = self.folder / "bin"
        bin_folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (bin_folder / "python").symlink_to(sys.executable)
        env = {**os.environ, **body["runtime_env"].get("env_vars", {}), "PYTHONPATH": str(place)}
        env["PATH"] = f"{bin_folder}:{env['PATH']}"
        # What a symlink to the interpreter of a virtual environment does not find by itself.
        env["PYTHONPATH"] += os.pathsep + os.pathsep.join(p for p in sys.path if "site-pack" in p)
        log = (place / "log.txt").open("wb")
        process = subprocess.Popen(
            ["bash", "-c", body["entrypoint"]],
            cwd=place,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        log.close()
        self.jobs[name] = {"process": process, "log": place / "log.txt", "stopped": False} | body

    def about(self, name: str) -> dict[str, Any]:
        job = self.jobs[name]
        status = job["process"].poll()
        states = {None: "RUNNING", 0: "SUCCEEDED"}
        said = "STOPPED" if job["stopped"] and status is not None else states.get(status, "FAILED")
        return {
            "type": "SUBMISSION",
            "submission_id": name,
            "status": said,
            "message": f"Job entrypoint command failed with exit code {status}, last available "
            "logs (truncated to 20,000 chars):\n" + job["log"].read_text(errors="replace"),
            "entrypoint": job["entrypoint"],
        }


class _Handler(BaseHTTPRequestHandler):
    ray: FakeRay

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle_one(self) -> tuple[int, Any]:
        ray, parts = self.ray, self.path.strip("/").split("/")
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        ray.requests.append(f"{self.command} {self.path}")
        if ray.failures:
            return ray.failures.pop(0), "not now"
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, "Unauthorized: Missing authentication token"
        if parts[:2] == ["api", "version"]:
            return 200, {"version": "4", "ray_version": "2.60.0"}
        if parts[:3] == ["api", "packages", "gcs"]:
            if self.command == "PUT":
                if size > 100 * 1024**2:
                    return 413, "Maximum request body size exceeded"
                ray.packages[parts[3]] = body
                return 200, None
            return (200, None) if parts[3] in ray.packages else (404, "does not exist")
        return self._jobs(parts[2:], body)

    def _jobs(self, rest: list[str], body: bytes) -> tuple[int, Any]:
        ray = self.ray
        if not rest:
            given = json.loads(body)
            unknown = set(given) - FIELDS
            if unknown:
                return 400, f"unexpected keyword argument {unknown}"
            if given["submission_id"] in ray.jobs:
                said = f"Job with submission_id {given['submission_id']} already exists."
                return 400, f"Traceback (most recent call last):\n  File x\nValueError: {said}"
            if given["runtime_env"]["working_dir"].removeprefix("gcs://") not in ray.packages:
                return 500, "package not found"
            ray.start(given)
            return 200, {"submission_id": given["submission_id"]}
        name = rest[0]
        if name not in ray.jobs:
            return 404, f"Job {name} does not exist"
        job = ray.jobs[name]
        if rest[1:] == ["stop"]:
            job["stopped"] = True
            os.killpg(job["process"].pid, 15)
            return 200, {"stopped": True}
        if rest[1:] == ["logs"]:
            return 200, {"logs": job["log"].read_text()}
        if self.command == "DELETE":
            if job["process"].poll() is None:
                return 500, "non-terminal state"
            del ray.jobs[name]
            return 200, {"deleted": True}
        return 200, ray.about(name)

    def do_GET(self) -> None:
        """Answer."""
        status, value = self.handle_one()
        if self.ray.lost:
            self.ray.lost -= 1
            self.close_connection = True
            return
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_PUT = do_POST = do_DELETE = do_GET


@contextlib.contextmanager
def fake_ray(folder: Path) -> Iterator[FakeRay]:
    """Give a dashboard that ends, with what it runs, at the end of the block."""
    ray = FakeRay(folder)
    # It answers one request after the other, so that nothing changes what it knows any more when
    # its thread has ended.
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"ray": ray}))
    ray.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield ray
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for job in ray.jobs.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job["process"].pid, 9)
            job["process"].wait()
