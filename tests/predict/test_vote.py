"""Several bundles that vote: through the predictor, files, the server and `Model`."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from drawing import brightness_model, tiny_manifest
from PIL import Image

import foveal
from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.errors import UsageError
from foveal.predict import Predictor
from foveal.server.run import start_in_thread
from foveal.types import Picture


@pytest.fixture
def small(tmp_path: Path) -> Bundle:
    """Return a bundle of other input size and calibration than `tiny_bundle`."""
    manifest = tiny_manifest(8, "small")
    manifest = replace(manifest, calibration=replace(manifest.calibration, temperature=3.0))
    return Bundle.write(tmp_path / "small", manifest, {"model.onnx": brightness_model(8)})


@pytest.fixture
def together(tiny_bundle: Bundle, small: Bundle) -> str:
    return f"{tiny_bundle.path},{small.path}"


def picture(brightness: int) -> Picture:
    return Picture.from_array(np.full((30, 40, 3), brightness, np.uint8))


def test_the_answer_is_the_vote_of_each_bundles_own(tiny_bundle: Bundle, small: Bundle) -> None:
    alone = [Predictor(bundle) for bundle in (tiny_bundle, small)]
    vote = Predictor(tiny_bundle, others=[alone[1]])
    pictures = [picture(90), picture(135)]
    answers = vote.predict(pictures)
    for number, answer in enumerate(answers):
        own = [predictor.predict(pictures)[number].scores for predictor in alone]
        assert own[0] != own[1]
        mean = {name: (own[0][name] + own[1][name]) / 2 for name in own[0]}
        assert answer.scores == pytest.approx(mean, abs=1e-6)
    record = vote.record(answers[0], "a.png", 1.0)
    assert record["model"] == "tiny,small"
    assert record["version"] == f"{tiny_bundle.version},{small.version}"


def test_what_is_drawn_says_what_is_answered(tiny_bundle: Bundle, small: Bundle) -> None:
    vote = Predictor(tiny_bundle, others=[Predictor(small)])
    given, frame = vote.prepare_raster(picture(90))
    ((answer, drawing),) = vote.predict_drawn([given], [frame], [picture(90)])
    assert answer.to_json() == drawing.to_json() == vote.predict([picture(90)])[0].to_json()
    assert drawing.draw(picture(90)).shape == (30, 40, 3)


def test_pictures_are_decoded_large_enough_for_all(tiny_bundle: Bundle, small: Bundle) -> None:
    assert Predictor(small, others=[Predictor(tiny_bundle)]).decode_size == (16, 16)


def test_other_labels_cannot_vote(tiny_bundle: Bundle, tiny_reader: Bundle) -> None:
    with pytest.raises(UsageError, match="cannot vote with"):
        Predictor(tiny_bundle, others=[Predictor(tiny_reader)])


def test_a_vote_predicts_explains_and_is_pickled(together: str) -> None:
    model = foveal.load(together)
    dark = np.full((30, 40, 3), 20, np.uint8)
    assert model(dark).label == "circle"
    assert model.explain(dark).label == "circle"
    assert "'tiny', 'small' vote" in repr(model)
    assert pickle.loads(pickle.dumps(model))(dark).scores == model(dark).scores
    with pytest.raises(UsageError, match="Several models that vote cannot be"):
        model.export("onnx")
    with pytest.raises(UsageError, match="several models that vote"):
        model.explain(dark, method="occlusion")


def test_a_vote_is_predicted_by_the_command_line(
    together: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "dark.png"
    Image.fromarray(np.full((30, 40, 3), 20, np.uint8)).save(file)
    out = str(tmp_path / "out")
    assert run(["predict", together, str(file), "--json", "--quiet", "--out", out]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["label"], record["model"]) == ("circle", "tiny,small")
    assert Path(record["overlay"]["path"]).is_file()


def test_a_vote_is_served(together: str, tiny_bundle: Bundle, tmp_path: Path) -> None:
    model = foveal.load(together)
    file = tmp_path / "grey.png"
    Image.fromarray(np.full((30, 40, 3), 110, np.uint8)).save(file)
    handle = start_in_thread({"tiny": model.predictor}, port=0)
    try:
        reply = httpx.post(
            f"{handle.url}/predict/tiny?explain=true",
            content=file.read_bytes(),
            timeout=None,
            trust_env=False,
        )
    finally:
        handle.stop()
    answer = reply.json()
    assert reply.status_code == 200
    assert answer["scores"] == pytest.approx(model(file).to_json()["scores"], abs=1e-5)
    assert answer["scores"] != Predictor(tiny_bundle).predict([picture(110)])[0].to_json()["scores"]
    assert answer["model"] == "tiny,small"
