"""Models that follow a store: swaps, failures, canaries, and memory."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from drawing import brightness_model, tiny_manifest
from shelf import Choice, Shelf, State, until

from foveal.bundle import Bundle
from foveal.errors import BundleError, UsageError
from foveal.predict import Engine, Predictor
from foveal.predict.facts import ChosenEngine, EngineFacts
from foveal.server import ServerHandle, start_in_thread
from foveal.server.models.follow import Followed
from foveal.server.models.loader import Loader, Offer
from foveal.server.models.served import Canary, ModelSet, Served, VersionStatus
from foveal.server.options import ServerOptions

FAST = {"poll_s": 0.01}


def loader_of(offer: Offer) -> tuple[Loader, ModelSet]:
    """Return a loader that has loaded its models, and the models."""
    models = ModelSet()
    loader = Loader(offer, models, ServerOptions(), lambda *_: None)
    loader.load()
    return loader, models


def serving(shelf: Shelf, *choices: Choice) -> Offer:
    """Return an offer of the shelf's one name."""
    return Offer(followed=(Followed(shelf, "tiny", choices or (Choice(),)),))


@pytest.fixture
def followed(shelf: Shelf) -> Iterator[ServerHandle]:
    """Return a server that follows the shelf."""
    with start_in_thread(serving(shelf), port=0, **FAST) as handle:
        yield handle


def label_of(url: str, picture: bytes, path: str = "predict/tiny") -> str:
    """Return the label that a server answers with."""
    answer = httpx.post(f"{url}/{path}", content=picture, timeout=None)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["label"])


def test_a_new_version_answers_and_the_old_one_is_freed(
    shelf: Shelf, versions: list[Bundle], followed: ServerHandle, dark_png: bytes
) -> None:
    models = followed._state.models
    old = weakref.ref(models["tiny"].loaded[1])
    assert label_of(followed.url, dark_png) == "a1"
    shelf.bundles[2] = versions[1]
    until(lambda: models["tiny"].current == 2)
    assert label_of(followed.url, dark_png) == "a2"
    # By reference counts alone: a network must not wait for a collection that may come late.
    gc.disable()
    try:
        until(lambda: old() is None)
    finally:
        gc.enable()
    until(lambda: models.statuses("tiny") == [VersionStatus(2, "AVAILABLE")])


def test_an_alias_decides_over_the_newest(shelf: Shelf, versions: list[Bundle]) -> None:
    shelf.bundles |= {2: versions[1], 3: versions[2]}
    shelf.aliases["live"] = 2
    loader, models = loader_of(serving(shelf))
    assert models["tiny"].current == 2
    assert models["tiny"].aliases == {"live": 2}
    assert shelf.opened == [2]
    shelf.aliases["live"] = 3
    loader._look(again=False)
    assert models["tiny"].current == 3


def test_two_aliases_of_one_version_share_a_network(shelf: Shelf) -> None:
    shelf.aliases |= {"live": 1, "staging": 1}
    _, models = loader_of(serving(shelf, Choice(alias="live"), Choice(alias="staging")))
    assert models["tiny"].find(alias="live") is models["tiny"].find(alias="staging")
    assert shelf.opened == [1]


def test_a_damaged_version_leaves_the_old_one_serving_and_is_tried_again_when_asked(
    shelf: Shelf,
    versions: list[Bundle],
    followed: ServerHandle,
    dark_png: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    models = followed._state.models
    shelf.bundles[2] = BundleError("model.onnx was changed")
    until(lambda: 2 in shelf.opened)
    failed = [VersionStatus(2, "END", "bundle_invalid"), VersionStatus(1, "AVAILABLE")]
    until(lambda: models.statuses("tiny") == failed)
    assert label_of(followed.url, dark_png) == "a1"
    assert httpx.get(f"{followed.url}/readyz", timeout=None).status_code == 200
    metrics = httpx.get(f"{followed.url}/metrics", timeout=None).text
    assert 'foveal_version_loads_total{model="tiny",outcome="failed"} 1.0' in metrics
    assert "tiny:2 cannot be loaded: model.onnx was changed" in caplog.text

    # Mended in place: the store's state is the same, so only a reload finds it before its time.
    shelf.bundles[2] = versions[1]
    followed._state.reload()
    until(lambda: models["tiny"].current == 2)


def test_an_alias_of_a_damaged_version_stays_where_it_was(
    shelf: Shelf, versions: list[Bundle]
) -> None:
    shelf.aliases |= {"live": 1, "staging": 1}
    loader, models = loader_of(serving(shelf, Choice(alias="live"), Choice(alias="staging")))
    shelf.bundles[2] = BundleError("damaged")
    shelf.aliases["staging"] = 2
    loader._look(again=False)
    assert models["tiny"].aliases == {"live": 1, "staging": 1}


def test_what_vanishes_from_the_store_goes_on_being_served(shelf: Shelf) -> None:
    loader, models = loader_of(serving(shelf))
    shelf.bundles.clear()
    loader._look(again=False)
    assert models["tiny"].current == 1


def test_a_store_that_cannot_be_read_is_said_once_and_changes_nothing(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loader, models = loader_of(serving(shelf))

    def fail(_: str) -> State:
        raise OSError("the disk is gone")

    monkeypatch.setattr(shelf, "state", fail)
    loader._look(again=False)
    loader._look(again=False)
    assert caplog.text.count("tiny cannot be followed: the disk is gone") == 1
    assert models["tiny"].current == 1


def test_a_version_that_was_named_and_is_damaged_ends_the_start(shelf: Shelf) -> None:
    shelf.bundles[1] = BundleError("damaged")
    with pytest.raises(BundleError, match="damaged"):
        loader_of(serving(shelf))


def test_an_alias_that_is_not_there_ends_the_start(shelf: Shelf) -> None:
    with pytest.raises(UsageError, match="requested version of 'tiny' is not in the store"):
        loader_of(serving(shelf, Choice(alias="staging")))


def test_a_whole_store_is_served_without_its_damaged_names(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Shelf({1: BundleError("damaged")})
    monkeypatch.setattr(shelf, "names", lambda: ("broken", "tiny"))
    state, bundle = shelf.state, shelf.bundle
    monkeypatch.setattr(shelf, "state", lambda n: (broken.state if n == "broken" else state)(n))
    monkeypatch.setattr(
        shelf, "bundle", lambda n, v: (broken.bundle if n == "broken" else bundle)(n, v)
    )
    _, models = loader_of(Offer(store=shelf))
    assert list(models) == ["tiny"]
    assert models.statuses("broken") == [VersionStatus(1, "END", "bundle_invalid")]


def test_a_canary_answers_its_share_of_requests_that_ask_for_no_version(
    shelf: Shelf, versions: list[Bundle]
) -> None:
    shelf.bundles[2] = versions[1]
    offer = Offer(
        followed=(Followed(shelf, "tiny", (Choice(version=1),), Canary(2, 0.25), shadow=None),)
    )
    _, models = loader_of(offer)
    chosen = [models.request("tiny").version for _ in range(2000)]
    # Five standard deviations of a binomial share about 0.25.
    assert 0.25 - 0.05 < chosen.count(2) / 2000 < 0.25 + 0.05
    assert {models.request("tiny", version=1).version for _ in range(100)} == {1}
    # Who describes the model describes the one that answers most.
    assert models["tiny"].find() is models["tiny"].loaded[1]


def test_a_bundle_at_a_path_is_replaced_on_reload(tmp_path: Path, dark_png: bytes) -> None:
    path = tmp_path / "bundle"
    model = {"model.onnx": brightness_model()}
    bundle = Bundle.write(path, tiny_manifest(), model)
    with start_in_thread({"tiny": Predictor(bundle)}, port=0, **FAST) as handle:
        Bundle.write(path, replace(tiny_manifest(), labels=("round", "square")), model)
        assert label_of(handle.url, dark_png) == "circle"
        handle._state.reload()
        until(lambda: handle._state.models["tiny"].current == 2)
        assert label_of(handle.url, dark_png) == "round"


def test_swaps_under_load_fail_no_request_and_mix_no_answer(
    shelf: Shelf, versions: list[Bundle], followed: ServerHandle, dark_png: bytes
) -> None:
    """Each request is answered by one version; versions differ in their labels and digests."""
    models = followed._state.models
    digests = {bundle.version: f"a{i}" for i, bundle in enumerate(versions, 1)}
    problems: list[object] = []
    seen: set[str] = set()
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=followed.url, timeout=None) as client:
            while not ended.is_set():
                answer = client.post("/predict/tiny", content=dark_png)
                said = answer.json()
                if answer.status_code != 200 or digests[said["version"]] != said["label"]:
                    problems.append(answer.text)
                seen.add(said["label"])

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    for swap in range(40):
        number = 10 + swap
        shelf.bundles[number] = BundleError("damaged") if swap % 10 == 5 else versions[swap % 4]
        if swap % 10 == 5:
            until(lambda number=number: number in shelf.opened)
        else:
            until(lambda number=number: models["tiny"].current == number)
        if swap % 10 == 7:
            # Its folder is deleted while it answers.
            shelf.bundles = {number: versions[swap % 4]}
    ended.set()
    for asker in askers:
        asker.join()
    assert problems == []
    assert len(seen) > 1


def test_the_engine_of_the_server_runs_what_is_loaded_later_too(
    shelf: Shelf, versions: list[Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def choose(predictor: Predictor, name: str, shared: Path | None = None) -> Engine:
        asked.append((predictor.bundle.version, name))
        return predictor.engine

    monkeypatch.setattr("foveal.server.models.served.choose", choose)
    shelf.bundles = {1: versions[0]}
    with start_in_thread(serving(shelf), port=0, engine="auto", **FAST) as server:
        shelf.bundles = {1: versions[0], 2: versions[1]}
        until(lambda: server._state.models["tiny"].current == 2)
    assert [name for _, name in asked] == ["auto", "auto"]
    assert len({version for version, _ in asked}) == 2


def test_a_reload_keeps_the_engine_that_a_model_was_opened_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny"
    Bundle.write(path, tiny_manifest(), {"model.onnx": brightness_model()})
    first = Predictor(Bundle.open(path))
    engine = ChosenEngine(first.engine, EngineFacts("openvino", 1, asked="auto"))
    loader, models = loader_of(Offer({"tiny": Predictor(first.bundle, engine=engine)}))
    asked: list[str] = []
    monkeypatch.setattr(
        "foveal.server.models.loader.choose",
        lambda predictor, name: asked.append(name) or predictor.engine,
    )
    manifest = replace(tiny_manifest(), created="2026-02-02T00:00:00+00:00")
    Bundle.write(path, manifest, {"model.onnx": brightness_model()})
    loader._reopen("tiny")
    assert asked == ["auto"]
    assert models["tiny"].current == 2


def test_models_that_vote_are_all_run_by_the_engine_of_the_server(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "foveal.server.models.served.choose",
        lambda predictor, name, shared: asked.append(name) or predictor.engine,
    )
    voters = Predictor(tiny_bundle, others=[Predictor(tiny_bundle), Predictor(tiny_bundle)])
    Served("tiny", 1, voters, ServerOptions(engine="openvino"))
    assert asked == ["openvino"] * 3
