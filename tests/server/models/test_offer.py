"""From what is typed after `foveal serve` to what is served, with a real store."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from shelf import until
from stored import write_bundle

from foveal.bundle import Bundle
from foveal.errors import FovealError, UsageError
from foveal.predict import Predictor
from foveal.server import start_in_thread
from foveal.server.models.offer import Wanted, make_offer
from foveal.server.models.served import Canary
from foveal.store.reference import Reference
from foveal.store.store import Store
from foveal.workflow.locate import in_store


def opened(path: str | Path) -> Predictor:
    """Open the bundle at a path."""
    return Predictor(Bundle.open(Path(path)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with two versions of `shapes`; the second names everything the other way."""
    store = Store.open(tmp_path / "models")
    store.push(write_bundle(tmp_path / "one"), "shapes")
    store.push(write_bundle(tmp_path / "two", is_swapped=True), "shapes")
    return store


def test_names_of_one_model_are_served_together(store: Store) -> None:
    wanted = Wanted(["shapes:1", "shapes"], store.location, ["shapes:2=5%"], ["shapes:2"])
    (followed,) = make_offer(wanted, opened, in_store).followed
    assert followed.name == "shapes"
    assert followed.choices == (Reference("shapes", version=1), Reference("shapes"))
    assert (followed.canary, followed.shadow) == (Canary(2, 0.05), 2)


def test_a_path_is_opened_and_without_models_a_whole_store_is_served(
    store: Store, tiny_bundle: Bundle
) -> None:
    offer = make_offer(Wanted([tiny_bundle.path]), opened, in_store)
    assert (list(offer.fixed), offer.store) == (["tiny"], None)
    whole = make_offer(Wanted((), store.location), opened, in_store)
    assert whole.store is not None
    assert whole.store.names() == ("shapes",)


@pytest.mark.parametrize(
    ("canary", "message"),
    [
        ("shapes:2", "Expected NAME:VERSION=SHARE%"),
        ("shapes:2=0%", "Expected NAME:VERSION=SHARE%"),
        ("shapes:2=101%", "Expected NAME:VERSION=SHARE%"),
        ("shapes=5%", "Expected the number of a version"),
        ("shape:2=5%", "Unknown stored model 'shape'"),
    ],
)
def test_a_canary_that_makes_no_sense_is_refused(store: Store, canary: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_offer(Wanted(["shapes"], store.location, [canary]), opened, in_store)
    with pytest.raises(UsageError, match=message):
        make_offer(Wanted((), store.location, [canary]), opened, in_store)


@pytest.mark.parametrize(
    ("canary", "message"),
    [
        ("tiny:2=5%", "tiny:2 is a version in a store, but tiny is served from a path"),
        ("shapes:2=5%", "shapes:2 is a version in a store, but no model is served from one"),
    ],
)
def test_a_canary_beside_a_model_from_a_path_says_how_to_serve_the_stored_one(
    tiny_bundle: Bundle, canary: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        make_offer(Wanted([tiny_bundle.path], canaries=[canary]), opened, in_store)
    assert caught.value.hint == f"foveal serve {canary.split(':')[0]}@live --canary {canary}"
    shadow = canary.removesuffix("=5%")
    with pytest.raises(UsageError, match=message) as caught:
        make_offer(Wanted([tiny_bundle.path], shadows=[shadow]), opened, in_store)
    assert caught.value.hint == f"foveal serve {shadow.split(':')[0]}@live --shadow {shadow}"


def test_a_canary_that_the_store_lacks_ends_the_start(store: Store) -> None:
    offer = make_offer(Wanted(["shapes"], store.location, ["shapes:7=5%"]), opened, in_store)
    with pytest.raises(FovealError, match="shapes"):
        start_in_thread(offer, port=0)


def test_promote_rollback_and_a_new_name_are_followed(
    store: Store, tmp_path: Path, dark_png: bytes
) -> None:
    store.promote("shapes:1")
    offer = make_offer(Wanted((), store.location), opened, in_store)
    with start_in_thread(offer, port=0, poll_s=0.01) as handle:
        models = handle._state.models

        def label() -> str:
            answer = httpx.post(f"{handle.url}/predict/shapes", content=dark_png, timeout=None)
            return str(answer.json()["label"])

        assert label() == "circle"
        store.promote("shapes:2")
        until(lambda: models["shapes"].current == 2)
        assert label() == "square"
        store.rollback("shapes")
        until(lambda: models["shapes"].current == 1)
        assert label() == "circle"
        # A version without the alias changes nothing; another name is served as it comes.
        store.push(write_bundle(tmp_path / "three"), "shapes")
        store.push(write_bundle(tmp_path / "four"), "others")
        until(lambda: "others" in models)
        assert models["shapes"].current == 1


def test_a_version_damaged_on_the_disk_is_never_served(
    store: Store, tmp_path: Path, dark_png: bytes
) -> None:
    offer = make_offer(Wanted(["shapes:1", "shapes"], store.location), opened, in_store)
    with start_in_thread(offer, port=0, poll_s=0.01) as handle:
        models = handle._state.models
        published = store.push(write_bundle(tmp_path / "three"), "others")
        network = tmp_path / "models" / "others" / str(published.version) / "model.onnx"
        network.chmod(0o644)
        network.write_bytes(network.read_bytes()[:-1])
        # As if it had been copied there by hand: whole by its names, damaged by its bytes.
        network.parent.rename(tmp_path / "models" / "shapes" / "3")
        until(lambda: "END" in {status.state for status in models.statuses("shapes")})
        answer = httpx.post(f"{handle.url}/predict/shapes", content=dark_png, timeout=None)
        assert (answer.status_code, answer.headers["x-model-version"]) == (200, "1")
