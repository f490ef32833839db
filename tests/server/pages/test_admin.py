"""Promoting and rolling back over HTTP, and what the page of versions is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from shelf import until
from stored import answers, write_bundle

from foveal.access import KeyFile, audit_path
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread
from foveal.server.models.follow import Followed
from foveal.server.models.loader import Offer
from foveal.store.reference import Reference
from foveal.store.state import TestSet
from foveal.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with two versions of `shapes`; the first is live."""
    store = Store.open(tmp_path / "models")
    store.push(write_bundle(tmp_path / "one"), "shapes", answers=answers("1100"))
    store.promote("shapes:1", who="anna")
    store.push(write_bundle(tmp_path / "two", is_swapped=True), "shapes", answers=answers("1110"))
    return store


@dataclass(frozen=True)
class Keys:
    """A file of keys, and the keys of an administrator and of a user."""

    path: Path
    texts: Mapping[str, str]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Return keys."""
    file = KeyFile(tmp_path / "keys.json")
    texts = {name: file.create(name, scopes=(name,))[0] for name in ("admin", "predict")}
    return Keys(file.path, texts)


@pytest.fixture
def handle(store: Store, keys: Keys) -> Iterator[ServerHandle]:
    """Return a server of `shapes` that asks for keys."""
    offer = Offer(followed=(Followed(store, "shapes", (Reference("shapes"),)),))
    with start_in_thread(offer, port=0, keys=keys.path, poll_s=3600.0) as handle:
        yield handle


def client_of(handle: ServerHandle, keys: Keys, name: str) -> httpx.Client:
    """Return a client with a key."""
    headers = {"authorization": f"Bearer {keys.texts[name]}"}
    return httpx.Client(base_url=handle.url, headers=headers, timeout=None)


def test_an_administrator_promotes_and_rolls_back(
    handle: ServerHandle, keys: Keys, store: Store
) -> None:
    models = handle._state.models
    with client_of(handle, keys, "admin") as client:
        moved = client.post("/admin/models/shapes/promote", json={"version": 2})
        assert moved.status_code == 200, moved.text
        move = moved.json()
        assert datetime.fromisoformat(move.pop("when")).tzinfo == UTC
        assert move == {
            "schema_version": 1,
            "alias": "live",
            "before": 1,
            "version": 2,
            "action": "promote",
            "who": "admin",
            "forced": False,
            "test": None,
        }
        # At once: it does not wait for the next look at the store.
        until(lambda: models["shapes"].current == 2)
        back = client.post("/admin/models/shapes/rollback", json={})
        assert (back.json()["version"], store.state("shapes").aliases) == (1, {"live": 1})
        until(lambda: models["shapes"].current == 1)
    lines = [json.loads(line) for line in audit_path(keys.path).read_text().splitlines()]
    acts = [(line["act"], line["model"]) for line in lines if line.get("model")]
    assert acts == [("promote", "shapes"), ("rollback", "shapes")]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("models/shapes/promote", {"version": 7}, 404),
        ("models/shapes/promote", {"version": "2"}, 400),
        ("models/shapes/promote", {"version": True}, 400),
        ("models/shapes/promote", {"version": 2, "alias": "../x"}, 400),
        ("models/shapes/promote", {"version": 2, "wrong": 1}, 400),
        ("models/shapes/promote", [2], 400),
        ("models/none/promote", {"version": 2}, 404),
        ("models/shapes/rollback", {"alias": "never"}, 404),
    ],
)
def test_acts_that_make_no_sense_are_refused_and_change_nothing(
    handle: ServerHandle, keys: Keys, store: Store, path: str, body: object, status: int
) -> None:
    with client_of(handle, keys, "admin") as client:
        answer = client.post(f"/admin/{path}", json=body)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert str(Path(store.location).parent) not in answer.text
    assert store.state("shapes").aliases == {"live": 1}


@pytest.mark.parametrize(
    ("alias", "status", "reason"),
    [
        ("never", 404, "'shapes' has no alias 'never'."),
        ("live", 409, "shapes@live has no earlier version."),
    ],
)
def test_a_rollback_that_is_impossible_says_why(
    handle: ServerHandle, keys: Keys, alias: str, status: int, reason: str
) -> None:
    with client_of(handle, keys, "admin") as client:
        answer = client.post("/admin/models/shapes/rollback", json={"alias": alias})
    assert (answer.status_code, answer.json()) == (status, {"error": reason})
    last = json.loads(audit_path(keys.path).read_text().splitlines()[-1])
    assert (last["outcome"], last["why"]) == ("failed", reason)


def test_a_version_that_nobody_measured_is_refused_unless_forced(
    handle: ServerHandle, keys: Keys, store: Store
) -> None:
    pinned = TestSet("/pictures/test", None, None, "0" * 64, 40, 0.0, "2026-11-28", "anna")
    store.pin("shapes", pinned)
    with client_of(handle, keys, "admin") as client:
        refused = client.post("/admin/models/shapes/promote", json={"version": 2})
        assert refused.status_code == 409
        assert refused.json()["error"] == (
            "shapes:2 has not been measured on the pinned test set, which a server cannot do. "
            "Promote it on a machine that has the pictures: foveal models promote shapes:2"
        )
        assert store.state("shapes").aliases == {"live": 1}
        body = {"version": 2, "force": True}
        forced = client.post("/admin/models/shapes/promote", json=body)
    assert (forced.status_code, forced.json()["forced"]) == (200, True)
    assert store.state("shapes").aliases == {"live": 2}


def test_without_the_scope_or_without_keys_nobody_promotes(
    handle: ServerHandle, keys: Keys, store: Store
) -> None:
    with client_of(handle, keys, "predict") as client:
        answer = client.post("/admin/models/shapes/promote", json={"version": 2})
        assert answer.status_code == 403
        assert client.get("/models/shapes").json()["can_change"] is True
    offer = Offer(followed=(Followed(store, "shapes", (Reference("shapes"),)),))
    with start_in_thread(offer, port=0) as open_to_all:
        url = f"{open_to_all.url}/admin/models/shapes/promote"
        assert httpx.post(url, json={"version": 2}, timeout=None).status_code == 403
        about = httpx.get(f"{open_to_all.url}/models/shapes", timeout=None).json()
        assert about["can_change"] is False
    assert store.state("shapes").aliases == {"live": 1}


def test_a_reload_loads_what_was_published(handle: ServerHandle, keys: Keys, store: Store) -> None:
    models = handle._state.models
    store.promote("shapes:2")
    with client_of(handle, keys, "admin") as client:
        assert client.post("/admin/reload").status_code == 202
    until(lambda: models["shapes"].current == 2)


def test_versions_are_described_with_metrics_parent_and_difference(
    handle: ServerHandle, keys: Keys
) -> None:
    with client_of(handle, keys, "predict") as client:
        about = client.get("/models/shapes").json()
    newest, oldest = about["versions"]
    assert (newest["version"], newest["state"], newest["parent"]) == (2, None, 1)
    assert newest["difference"].startswith("accuracy +25.00 points")
    assert (oldest["roles"], oldest["aliases"]) == (["current"], ["live"])
    assert oldest["metrics"]["accuracy"]["value"] == 0.9
    assert [(move["who"], move["version"]) for move in about["history"]] == [("anna", 1)]


def test_a_model_at_a_path_has_one_version_and_cannot_be_promoted(
    predictor: Predictor, keys: Keys
) -> None:
    with (
        start_in_thread({"tiny": predictor}, port=0, keys=keys.path) as handle,
        client_of(handle, keys, "admin") as client,
    ):
        about = client.get("/models/tiny").json()
        assert (about["is_stored"], [v["version"] for v in about["versions"]]) == (False, [1])
        answer = client.post("/admin/models/tiny/promote", json={"version": 1})
        assert (answer.status_code, "from a path" in answer.json()["error"]) == (409, True)
