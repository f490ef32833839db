"""Keys on the routes: who is let in, where, and how often; and acts of administration."""

from __future__ import annotations

import html
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from foveal.access import KeyFile, Rate, audit_path
from foveal.bundle import Bundle
from foveal.errors import BundleError, UsageError
from foveal.predict import Predictor
from foveal.server import ServerHandle, ServerOptions, create_app, start_in_thread
from foveal.server.access.auth import PUBLIC_PATHS, Access, admin_act, scopes_for
from foveal.server.access.sender import Head
from foveal.server.request.limits import RequestError

SCOPES = {
    "asker": ("predict",),
    "editor": ("feedback",),
    "ops": ("admin",),
    "prometheus": ("metrics",),
}


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    """Return an empty file of keys."""
    return KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def keys(keys_file: KeyFile) -> dict[str, str]:
    """Return a key for each scope."""
    return {name: keys_file.create(name, scopes=scopes)[0] for name, scopes in SCOPES.items()}


@pytest.fixture(scope="module")
def locked(
    predictor: Predictor, keys_file: KeyFile, keys: dict[str, str]
) -> Iterator[ServerHandle]:
    """Return a server that asks for keys."""
    with start_in_thread({"tiny": predictor}, port=0, keys=keys_file.path) as handle:
        yield handle


@pytest.fixture
def visitor(locked: ServerHandle) -> Iterator[httpx.Client]:
    """Return a client without a key."""
    with httpx.Client(base_url=locked.url, trust_env=False, timeout=None) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    """Return the headers with a key."""
    return {"authorization": f"Bearer {key}"}


def test_a_key_is_sent_in_either_header(
    visitor: httpx.Client, keys: dict[str, str], dark_png: bytes
) -> None:
    for headers in (
        bearer(keys["asker"]),
        {"authorization": f"bearer  {keys['asker']}"},
        {"x-api-key": keys["asker"]},
        # A proxy's own log-in, beside the key.
        {"x-api-key": keys["asker"], "authorization": "Basic dXNlcjpwYXNz"},
    ):
        answer = visitor.post("/predict/tiny", content=dark_png, headers=headers)
        assert answer.json()["label"] == "circle", headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": "Bearer fvl_aaaaaaaa_nothing"},
        {"x-api-key": ""},
        {"x-api-key": "secret"},
        {"cookie": "key=fvl"},
    ],
)
def test_without_a_valid_key_nothing_is_answered(
    visitor: httpx.Client, headers: dict[str, str], dark_png: bytes
) -> None:
    answer = visitor.post("/predict/tiny", content=dark_png, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="foveal"')
    assert list(answer.json()) == ["error"]
    assert "set-cookie" not in answer.headers


def test_clients_of_torchserve_are_refused_in_the_form_of_its_errors(
    visitor: httpx.Client, dark_png: bytes
) -> None:
    answer = visitor.put("/predictions/tiny", content=dark_png)
    message = "This server requires a key: Authorization: Bearer KEY."
    assert answer.status_code == 401
    assert answer.json() == {
        "code": 401,
        "type": "InvalidKeyException",
        "message": message,
        "error": message,
    }


def test_a_key_in_the_address_is_none(
    visitor: httpx.Client, keys: dict[str, str], dark_png: bytes
) -> None:
    key = keys["asker"]
    for query in (f"api_key={key}", f"key={key}", f"access_token={key}"):
        assert visitor.post(f"/predict/tiny?{query}", content=dark_png).status_code == 401


def test_a_key_that_differs_in_one_character_is_unknown(
    visitor: httpx.Client, keys: dict[str, str], keys_file: KeyFile
) -> None:
    other, _ = KeyFile(keys_file.path.with_name("others.json")).create("shop")
    key = keys["asker"]
    changed = key[:-1] + ("a" if key[-1] != "a" else "b")
    for wrong in (other, changed, key + "a", key[:-1], key.upper()):
        answer = visitor.get("/models", headers=bearer(wrong))
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("path", sorted(PUBLIC_PATHS - {"/ping", "/favicon.ico"}))
def test_pages_and_probes_need_no_key(visitor: httpx.Client, path: str) -> None:
    assert visitor.get(path).status_code not in (401, 403)


def test_static_files_need_no_key(visitor: httpx.Client) -> None:
    assert visitor.get("/static/app.js").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/models",
        "/metrics",
        "/predict/tiny",
        "/v1/models/tiny",
        "/V1/models/tiny",
        "/v1/models/tiny/metadata",
        "/v2/models/tiny",
        "/v2",
        "/admin/promote",
        "/feedback",
        "/nothing",
        "//",
        "/docs/",
        "/%64ocs/..%2fmodels",
        "/healthz/../models",
        "/static",
    ],
)
def test_everything_else_needs_one(locked: ServerHandle, path: str) -> None:
    # By hand: a client would tidy the path up.
    address = urlsplit(locked.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/models", {"asker", "editor", "ops"}),
        ("/v1/models/tiny", {"asker"}),
        ("/metrics", {"prometheus", "ops"}),
        ("/admin/models", {"ops"}),
        ("/v2/repository/index", {"ops"}),
        ("/feedback", {"editor"}),
        ("/nothing", {"asker"}),
    ],
)
def test_scopes(visitor: httpx.Client, keys: dict[str, str], path: str, allowed: set[str]) -> None:
    answers = {name: visitor.get(path, headers=bearer(key)) for name, key in keys.items()}
    assert {name for name, answer in answers.items() if answer.status_code != 403} == allowed
    refused = next(answer for answer in answers.values() if answer.status_code == 403)
    assert "scope" in refused.json()["error"]


def test_no_letter_case_leads_around_a_scope() -> None:
    assert scopes_for("/ADMIN/promote") == frozenset({"admin"})
    assert scopes_for("/V2/Repository/models/m/load") == frozenset({"admin"})
    assert scopes_for("/Docs") is not None


def test_a_refused_body_is_not_read(locked: ServerHandle) -> None:
    address = urlsplit(locked.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(
            b"POST /predict/tiny HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        )
        # Answered although not a byte of the body has come.
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def head_with(key: str) -> Head:
    """Return the head of a request with a key."""
    return Head("GET", {"x-api-key": key})


def status_of(access: Access, key: str, address: str = "192.0.2.1") -> int:
    """Return 200, or the status that a request with a key is refused with."""
    try:
        with access.admitted(head_with(key), "/models", address):
            return 200
    except RequestError as error:
        return error.status


def test_keys_come_and_go_while_the_server_runs(tmp_path: Path) -> None:
    file, clock = KeyFile(tmp_path / "keys.json"), Clock()
    first, _ = file.create("first")
    access = Access(ServerOptions(keys=file.path), clock)
    second, key = file.create("second")
    assert (status_of(access, first), status_of(access, second)) == (200, 401)
    clock.now += 1
    assert (status_of(access, first), status_of(access, second)) == (200, 200)
    file.revoke(key.id)
    clock.now += 1
    assert (status_of(access, first), status_of(access, second)) == (200, 401)


def test_a_damaged_file_leaves_the_keys_and_no_file_leaves_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = KeyFile(tmp_path / "keys.json"), Clock()
    text, _ = file.create("shop")
    access = Access(ServerOptions(keys=file.path), clock)
    file.path.write_text("{")
    clock.now += 1
    assert status_of(access, text) == 200
    assert "the keys were not reloaded" in caplog.text
    file.path.unlink()
    clock.now += 1
    assert status_of(access, text) == 401


def test_an_expired_key_is_refused(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    text, key = file.create("shop")
    document = json.loads(file.path.read_text())
    document["keys"][0]["expires"] = key.to_json()["created"]
    file.path.write_text(json.dumps(document))
    assert status_of(Access(ServerOptions(keys=file.path)), text) == 401


def test_a_rate_is_kept_and_says_when_to_come_back(tmp_path: Path) -> None:
    file, clock = KeyFile(tmp_path / "keys.json"), Clock()
    text, _ = file.create("shop", rate=Rate(3, "min"))
    other, _ = file.create("other")
    access = Access(ServerOptions(keys=file.path), clock)
    assert [status_of(access, text) for _ in range(4)] == [200, 200, 200, 429]
    with (
        pytest.raises(RequestError, match="This key may send 3/min") as refused,
        access.admitted(head_with(text), "/models", ""),
    ):
        pass
    assert refused.value.headers["retry-after"] == "20"
    assert status_of(access, other) == 200
    clock.now += 19
    assert status_of(access, text) == 429
    clock.now += 1
    assert [status_of(access, text) for _ in range(2)] == [200, 429]


def test_as_many_as_allowed_are_in_work_at_once(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    text, _ = file.create("shop", concurrent=2)
    access = Access(ServerOptions(keys=file.path))
    with access.admitted(head_with(text), "/models", ""):
        with access.admitted(head_with(text), "/models", ""):
            assert status_of(access, text) == 429
        assert status_of(access, text) == 200
    # One that fails is counted out too.
    with pytest.raises(ZeroDivisionError), access.admitted(head_with(text), "/models", ""):
        _ = 1 / 0
    with (
        access.admitted(head_with(text), "/models", ""),
        access.admitted(head_with(text), "/models", ""),
    ):
        pass


def test_who_tries_keys_is_slowed_down_and_locks_nobody_out(tmp_path: Path) -> None:
    file, clock = KeyFile(tmp_path / "keys.json"), Clock()
    text, _ = file.create("shop")
    access = Access(ServerOptions(keys=file.path), clock)
    tried = [status_of(access, f"guess-{i}") for i in range(40)]
    assert tried == [401] * 30 + [429] * 10
    assert status_of(access, text) == 200
    assert status_of(access, "guess", "192.0.2.2") == 401
    # An IPv6 user has 2^64 addresses.
    tried = [status_of(access, "guess", f"2001:db8::{i:x}") for i in range(40)]
    assert tried == [401] * 30 + [429] * 10
    assert status_of(access, "guess", "2001:db8:0:1::1") == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "photos.example.org", ""])
def test_a_public_address_without_keys_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no keys") as refused:
        ServerOptions(host=host)
    assert refused.value.hint is not None
    assert "foveal keys create" in refused.value.hint
    assert "--insecure" in refused.value.hint
    assert ServerOptions(host=host, insecure=True).host == host
    assert ServerOptions(host=host, keys=tmp_path / "keys.json").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_this_machine_needs_no_keys(host: str) -> None:
    assert ServerOptions(host=host).keys is None


def test_keys_and_no_keys_are_not_both(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be combined"):
        ServerOptions(keys=tmp_path / "keys.json", insecure=True)


def administered(predictor: Predictor, options: ServerOptions) -> Starlette:
    """Return a server with a route that changes something."""

    async def promote(request: Request) -> Response:
        version = int(request.query_params["version"])
        with admin_act(request, "promote", model="tiny", version=version, alias="live"):
            if version > 3:
                raise BundleError("There is no version 4.")
        return JSONResponse({"promoted": version})

    app = create_app({"tiny": predictor}, options)
    app.router.routes.insert(0, Route("/admin/promote", promote, methods=["POST"]))
    return app


def promote(
    predictor: Predictor, options: ServerOptions, headers: dict[str, str], version: int = 3
) -> httpx.Response:
    """Ask the server to promote a version."""
    with TestClient(
        administered(predictor, options), base_url="http://localhost", raise_server_exceptions=False
    ) as client:
        return client.post(f"/admin/promote?version={version}", headers=headers)


def test_an_act_is_written_down_with_who_what_and_from_where(
    predictor: Predictor, tmp_path: Path
) -> None:
    file = KeyFile(tmp_path / "keys.json")
    text, key = file.create("ops", scopes=("admin",))
    options = ServerOptions(keys=file.path)
    headers = {**bearer(text), "x-request-id": "abc"}
    assert promote(predictor, options, headers).json() == {"promoted": 3}
    assert promote(predictor, options, headers, 4).status_code == 500

    log = audit_path(file.path).read_text()
    done, failed = [json.loads(line) for line in log.splitlines()]
    assert done.pop("time").endswith("Z")
    assert done == {
        "act": "promote",
        "by": {"key": key.id, "name": "ops"},
        "from": "testclient",
        "request": "abc",
        "model": "tiny",
        "version": 3,
        "alias": "live",
        "outcome": "done",
    }
    assert (failed["outcome"], failed["why"]) == ("failed", "There is no version 4.")
    assert text not in log


def test_an_act_needs_the_scope_an_own_page_and_a_log(predictor: Predictor, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    text, _ = file.create("ops", scopes=("admin",))
    asker, _ = file.create("asker")
    friendly = ServerOptions(keys=file.path, allowed_origins=("https://app.example",))
    page = {"origin": "https://app.example", "sec-fetch-site": "cross-site"}
    assert promote(predictor, friendly, bearer(asker)).status_code == 403
    assert promote(predictor, friendly, bearer(text) | page).status_code == 403
    own = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
    assert promote(predictor, friendly, bearer(text) | own).status_code == 200
    # Without keys nobody is an administrator, on this machine neither.
    assert promote(predictor, ServerOptions(), {}).status_code == 403

    (tmp_path / "log").mkdir()
    unwritable = ServerOptions(keys=file.path, audit_log=tmp_path / "log")
    answer = promote(predictor, unwritable, bearer(text))
    assert (answer.status_code, answer.json()["error"]) == (
        503,
        "The audit log cannot be written.",
    )


def test_the_description_says_what_needs_a_key(visitor: httpx.Client) -> None:
    document = visitor.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    asked = document["paths"]["/predict/{model}"]["post"]
    assert asked["security"] == [{"bearer": []}, {"header": []}]
    assert set(asked["responses"]) == {
        *("200", "400", "404", "408", "413", "415", "503", "504"),
        *("401", "403", "429"),
    }
    assert document["paths"]["/healthz"]["get"]["security"] == []
    described = html.unescape(visitor.get("/docs").text)
    assert 'curl -H "Authorization: Bearer $KEY" ' in described


def test_without_keys_the_description_does_not_speak_of_them(client: httpx.Client) -> None:
    assert "securitySchemes" not in client.get("/openapi.json").json()["components"]
    assert "Bearer" not in client.get("/docs").text


def test_two_workers_share_the_quota_of_a_key(tiny_bundle: Bundle, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    text, _ = file.create("shop", rate=Rate(10, "day"))
    command = [sys.executable, "-m", "foveal", "serve", str(tiny_bundle.path), "--port", "0"]
    options = ["--workers", "2", "--keys", str(file.path), "--drain-delay", "0"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        # A connection each: the system spreads them over the workers.
        statuses = [
            httpx.get(f"{url}/models", headers=bearer(text), timeout=None).status_code
            for _ in range(30)
        ]
        process.send_signal(signal.SIGTERM)
    assert sorted(statuses) == [200] * 10 + [429] * 20
