"""A network that says how familiar pictures are: what its answers make of it."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
from discs import draw_discs, scatter
from drawing import brightness_model, tiny_manifest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image as PILImage
from tinted import draw_tints, tint_manifest, tint_model

from foveal.bundle import Bundle, Manifest
from foveal.cli.main import run
from foveal.data.layouts import open_source
from foveal.evaluate import MeasureOptions, evaluate_bundle
from foveal.model import Model
from foveal.predict import Predictor
from foveal.types import UNFAMILIARITY, Picture, TensorSpec


def with_judgement(model: bytes) -> bytes:
    """Return a network that also judges: by the brightest green, in units of 100."""
    graph = onnx.ModelProto.FromString(model)
    graph.graph.node.extend(
        [
            helper.make_node("Cast", ["image"], ["own float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["own float", "over"], ["brightest"], keepdims=0),
            helper.make_node("Gather", ["brightest", "green"], ["brightest green"], axis=1),
            helper.make_node("Div", ["brightest green", "hundred"], [UNFAMILIARITY]),
        ]
    )
    graph.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "over"),
            numpy_helper.from_array(np.array(1, np.int64), "green"),
            numpy_helper.from_array(np.array(100, np.float32), "hundred"),
        ]
    )
    output = helper.make_tensor_value_info(UNFAMILIARITY, TensorProto.FLOAT, ["n"])
    graph.graph.output.append(output)
    return graph.SerializeToString()


def judging(path: Path, manifest: Manifest, model: bytes) -> Predictor:
    outputs = (*manifest.outputs, TensorSpec(UNFAMILIARITY, "float32", (None,)))
    bundle = Bundle.write(
        path, replace(manifest, outputs=outputs), {"model.onnx": with_judgement(model)}
    )
    return Predictor(bundle, threads=1)


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    return judging(tmp_path / "judging", tiny_manifest(), brightness_model())


def plain(red: int, green: int, blue: int) -> Picture:
    return Picture.from_array(np.full((16, 16, 3), (red, green, blue), np.uint8))


FAMILIAR, UNFAMILIAR, DOUBTFUL, BOTH = (
    plain(10, 40, 10),
    plain(10, 120, 10),
    plain(240, 100, 44),
    plain(140, 128, 116),
)


def test_an_answer_says_why_it_is_unsure(predictor: Predictor) -> None:
    answers = predictor.predict([FAMILIAR, UNFAMILIAR, DOUBTFUL, BOTH])

    assert [answer.reasons for answer in answers] == [
        (),
        ("unfamiliar",),
        ("confidence",),
        ("confidence", "unfamiliar"),
    ]
    assert [answer.unsure for answer in answers] == [False, True, True, True]
    assert [answer.unfamiliarity for answer in answers] == pytest.approx([0.4, 1.2, 1.0, 1.28])
    assert answers[0].headline.startswith("circle ")
    assert answers[1].headline.startswith("unsure (unfamiliar): circle ")
    assert answers[2].headline.startswith("unsure: ")


def test_an_evaluation_counts_unfamiliar_pictures(predictor: Predictor, tmp_path: Path) -> None:
    pictures = {"circle/1": FAMILIAR, "circle/2": UNFAMILIAR, "square/1": DOUBTFUL}
    for name, picture in pictures.items():
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        PILImage.fromarray(picture.pixels).save(path)

    options = MeasureOptions(resamples=100, timed=1)
    evaluation = evaluate_bundle(predictor, open_source(tmp_path), options=options)

    found = next(f for f in evaluation.findings if f.id == "evaluate.unfamiliar")
    assert (found.severity, found.count, found.samples) == ("warning", 1, ("circle/2.png",))
    assert found.message.startswith(
        "1 of 3 pictures are unlike those that the model was trained on"
    )
    assert found.message in evaluation.to_html()
    assert evaluation.to_json()["unfamiliar"] == 1


def test_the_command_line_says_why(
    predictor: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Model, "predictor", predictor)
    for name, picture in (("familiar", FAMILIAR), ("other", UNFAMILIAR)):
        PILImage.fromarray(picture.pixels).save(tmp_path / f"{name}.png")
    words = ["predict", str(predictor.bundle.path), str(tmp_path / "*.png")]

    assert run(words) == 0
    familiar, other = capsys.readouterr().out.splitlines()[-2:]
    assert "unsure" not in familiar
    assert "unsure (unfamiliar)" in other

    assert run([*words, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["reasons"] for row in rows] == ["", "unfamiliar"]
    assert [float(row["unfamiliarity"]) for row in rows] == pytest.approx([0.4, 1.2])


def test_its_json_and_the_schema_of_it_say_so_too(predictor: Predictor) -> None:
    sure, unfamiliar = predictor.predict([FAMILIAR, UNFAMILIAR])

    records = [predictor.answer_json(answer) for answer in (sure, unfamiliar)]
    assert "reasons" not in records[0]
    assert records[0]["unfamiliarity"] == 0.4
    assert records[1]["unsure"] is True
    assert records[1]["reasons"] == ["unfamiliar"]
    schema = {**predictor.answer_schema(), "additionalProperties": False}
    for record in records:
        jsonschema.validate(record, schema)


def test_explanations_are_judged_too(predictor: Predictor) -> None:
    (answer,) = predictor.predict([UNFAMILIAR], explain=True)
    assert answer.reasons == ("unfamiliar",)
    assert answer.without_maps().reasons == ("unfamiliar",)


def test_a_bundle_without_the_judgement_is_silent(tiny_bundle: Bundle) -> None:
    predictor = Predictor(tiny_bundle, threads=1)
    (answer,) = predictor.predict([UNFAMILIAR])
    assert answer.unfamiliarity is None
    assert not answer.unsure
    assert not {"reasons", "unfamiliarity"} & set(predictor.answer_json(answer))


def test_most_bundles_decide_what_is_unfamiliar(predictor: Predictor) -> None:
    familiar, unfamiliar, both = predictor.predict([FAMILIAR, UNFAMILIAR, BOTH])

    sure = predictor.task.vote([familiar, familiar, unfamiliar])
    unsure = predictor.task.vote([unfamiliar, familiar, both])

    assert (sure.unsure, sure.reasons, sure.unfamiliarity) == (False, (), pytest.approx(0.4))
    assert unsure.reasons == ("confidence", "unfamiliar")
    assert unsure.unfamiliarity == pytest.approx(1.2)


def test_what_is_not_a_number_is_not_familiar(predictor: Predictor) -> None:
    (answer,) = predictor.predict([FAMILIAR])
    assert answer.judged(float("nan")).reasons == ("unfamiliar",)


@pytest.mark.parametrize(("foreign", "reasons"), [(0, ()), (1, ()), (4, ("unfamiliar",))])
def test_a_tiled_picture_is_unfamiliar_when_half_of_it_is(
    tmp_path: Path, foreign: int, reasons: tuple[str, ...]
) -> None:
    manifest = tint_manifest()
    manifest = replace(manifest, pipeline=replace(manifest.pipeline, overlap=0.0))
    predictor = judging(tmp_path / "tiled", manifest, tint_model())
    # Eight tiles of 16 pixels beside each other.
    pixels = draw_tints(*["1" * 16 * 8] * 16)
    pixels[:, 128 - 16 * foreign :, 1] = 160

    (answer,) = predictor.predict([Picture.from_array(pixels)])

    assert answer.reasons == reasons


def test_a_trained_segmenter_knows_its_kind(tiny_masks: Bundle) -> None:
    predictor = Predictor(tiny_masks, threads=1)
    rng = np.random.default_rng(100)
    size = (128, 192)
    discs = [draw_discs(scatter(rng, size), size, seed)[0] for seed in range(200, 240)]
    stripes = np.where(np.indices(size)[0] % 4 < 2, 230, 30).astype(np.uint8)
    half = discs[0].copy()
    half[:, :96] = 255
    foreign = [
        rng.integers(0, 256, (*size, 3), np.uint8),
        np.full((*size, 3), 255, np.uint8),
        np.zeros((*size, 3), np.uint8),
        np.ascontiguousarray(stripes[..., None].repeat(3, axis=2)),
        half,
    ]
    assert "max_unfamiliarity_difference" in tiny_masks.manifest.parity

    familiar, others = (
        predictor.predict([Picture.from_array(pixels) for pixels in pictures])
        for pictures in (discs, foreign)
    )

    assert sum("unfamiliar" in answer.reasons for answer in familiar) <= 2
    assert all("unfamiliar" in answer.reasons for answer in others)
