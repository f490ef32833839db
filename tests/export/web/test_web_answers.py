"""The app turns a network's outputs into the very answers that foveal gives."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from webcalls import Call, raster, tensor

from foveal.pipeline import Pipeline
from foveal.predict.tiles import Tiler, TileValues
from foveal.tasks.classify.task import ClassifyOptions, ClassifyTask
from foveal.tasks.read.expression import value_of
from foveal.tasks.read.task import ReadOptions, ReadTask
from foveal.tasks.segment.collecting import MaskCollector
from foveal.tasks.segment.patches import tidy
from foveal.types import Calibration, Frame, Labels, Outputs, Picture

ALPHABET = Labels.of("01+-*/()=;x")


def bundle_of(task: Any, calibration: Calibration) -> dict[str, Any]:
    return {
        "task": task.name,
        "labels": list(task.labels.names),
        "task_options": asdict(task.options),
        "calibration": asdict(calibration),
    }


def frame_json(frame: Frame) -> dict[str, Any]:
    return {k: getattr(frame, k) for k in ("original", "input", "scale", "offset")}


READERS = {
    "greedy": ReadOptions(),
    "beam": ReadOptions(decoder="beam", beam_width=4),
    "words": ReadOptions(words=("1+1", "0", "x=1;x", "10*1")),
    "arithmetic": ReadOptions(grammar="arithmetic"),
    "formula": ReadOptions(grammar="formula", decoder="beam"),
    "positions": ReadOptions(head="positions", length=6),
    "positions with words": ReadOptions(head="positions", length=6, words=("10", "x", "1+0")),
}


@pytest.mark.parametrize("name", READERS)
def test_texts_are_read_alike(name: str, call: Call) -> None:
    rng = np.random.default_rng(sum(map(ord, name)))
    task = ReadTask(ALPHABET, READERS[name])
    calibration = Calibration(temperature=1.3, unsure_below=0.2)
    calls, expected = [], []
    for i in range(30):
        columns = 6 if task.options.head == "positions" else int(rng.integers(0, 14))
        logits = rng.normal(0, 3, (1, columns, len(ALPHABET) + 1)).astype(np.float32)
        logits[..., 0] += i % 4
        outputs: Outputs = {"logits": logits}
        if task.options.head == "positions":
            looked = rng.random((1, columns, 20)).astype(np.float32)
            outputs["attention"] = looked / looked.sum(axis=2, keepdims=True)
        frame = Pipeline(8, 64, "pad").frame(11 + i, 90)
        (answer,) = task.decode(outputs, [frame], calibration)
        expected.append(answer)
        given = {key: tensor(values) for key, values in outputs.items()}
        bundle = bundle_of(task, calibration)
        calls.append({"call": "read", "bundle": bundle, "frame": frame_json(frame), **given})
    said = call(calls)
    assert [s["text"] for s in said] == [a.text for a in expected]
    assert [bool(s["reasons"]) for s in said] == [a.unsure for a in expected]
    assert [s["value"] for s in said] == [a.value for a in expected]
    for found, answer in zip(said, expected, strict=True):
        assert found["confidence"] == pytest.approx(answer.confidence, abs=1e-6)
        edges = [(c["x0"], c["x1"], c["confidence"]) for c in found["characters"]]
        wanted = [(c.x0, c.x1, c.confidence) for c in answer.characters]
        assert np.allclose(np.array(edges).ravel(), np.array(wanted).ravel(), atol=1e-4)


def test_expressions_have_the_same_value(call: Call) -> None:
    texts = [
        "1+2*3",
        "(1-2)/4",
        "x=42;x/6",
        "7/0",
        "01",
        "1+",
        "((2))",
        "",
        "x=1;x=2;x",
        "−3",
        "8÷4×3",
    ]
    said = call([{"call": "value", "text": text} for text in texts])
    assert [s["value"] for s in said] == [value_of(text)[0] for text in texts]
    assert [s["error"] is None for s in said] == [value_of(text)[1] is None for text in texts]


@pytest.mark.parametrize("multi", [False, True])
def test_classes_are_answered_alike_and_so_is_their_evidence(multi: bool, call: Call) -> None:
    rng = np.random.default_rng(5)
    task = ClassifyTask(Labels.of(["a", "b", "c"]), ClassifyOptions(multi_label=multi))
    thresholds = (0.3, 0.6, 0.5) if multi else ()
    calibration = Calibration(temperature=0.7, unsure_below=0.6, thresholds=thresholds)
    bundle = bundle_of(task, calibration)
    frame = Pipeline(12, 20, "crop").frame(31, 33)
    for _ in range(10):
        evidence = rng.normal(0, 2, (1, 3, 4, 5)).astype(np.float32)
        logits = evidence.mean(axis=(2, 3))
        (answer,) = task.decode({"logits": logits, "evidence": evidence}, [frame], calibration)
        label = task.labels.position(answer.main_label)
        said, heat = call(
            [
                {"call": "classify", "bundle": bundle, "logits": tensor(logits)},
                {
                    "call": "evidence",
                    "bundle": bundle,
                    "evidence": tensor(evidence),
                    "frame": frame_json(frame),
                    "label": label,
                },
            ]
        )
        assert (said["text"], bool(said["reasons"])) == (answer.text, answer.unsure)
        assert said["confidence"] == pytest.approx(answer.confidence, abs=1e-6)
        assert [name for name, _ in said["scores"]] == list(answer.scores)
        assert np.allclose(np.reshape(heat, answer.heat().shape), answer.heat(), atol=1e-5)


def test_a_model_that_is_never_sure_says_so_rather_than_blaming_the_confidence(call: Call) -> None:
    usable = asdict(Calibration(temperature=1.0, unsure_below=0.9))
    unusable = asdict(Calibration(unsure_below=2.0, not_usable="18 pictures are too few."))
    said = call(
        [
            {"call": "doubt", "reasons": [], "calibration": usable},
            {"call": "doubt", "reasons": ["confidence"], "calibration": usable},
            {"call": "doubt", "reasons": ["confidence", "unfamiliar"], "calibration": unusable},
        ]
    )
    assert said == [
        "",
        "Unsure: the confidence is below the limit of this model.",
        "Unsure: this model is not usable yet and marks every answer unsure; "
        "the picture is unlike the training pictures.",
    ]


def test_small_patches_and_holes_are_cleared_alike(call: Call) -> None:
    rng = np.random.default_rng(6)
    calls, expected = [], []
    for i in range(25):
        mask = rng.integers(0, 3, (12 + i, 19), np.uint8)
        mask[3:9, 2:14] = i % 3
        limits = {"smallest": [2 + i % 5, 6, 0], "holes": [4, 0, 9]}
        calls.append({"call": "tidy", "mask": raster(mask), "classes": 3, "limits": limits})
        tidy(mask, limits["smallest"], limits["holes"], 3)
        expected.append(mask.ravel().tolist())
    assert call(calls) == expected


class Echo:
    """A network that gives its own input back, each channel a label."""

    def run(self, inputs: Any, names: Any = None) -> Outputs:
        logits = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2).astype(np.float32) / 16)
        return {"logits": logits, "unfamiliarity": inputs[:, 0, 0, 0].astype(np.float32)}


@pytest.mark.parametrize(
    ("height", "width", "scale", "flips"),
    [
        (20, 50, 1.0, "none"),
        (70, 33, 1.0, "all"),
        (90, 121, 0.37, "horizontal"),
        (9, 8, 0.5, "none"),
    ],
)
def test_tiles_are_joined_alike(
    height: int, width: int, scale: float, flips: Any, call: Call
) -> None:
    rng = np.random.default_rng(height)
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    pipeline = Pipeline(32, 24, "tile", scale=scale, flips=flips)
    labels = ("background", "a", "b")
    calibration = Calibration(temperature=2.0)
    collector = MaskCollector((height, width), labels, calibration)
    values = TileValues("unfamiliarity")
    maps = []
    for top, outputs in Tiler(Echo(), pipeline).bands(
        Picture.from_array(pixels), ["logits"], each=values
    ):
        collector.add(top, outputs)
        maps.append(outputs["logits"].copy())
    answer = collector.finish()
    bundle = {"labels": labels, "calibration": asdict(calibration)}
    (said,) = call(
        [
            {
                "call": "tiles",
                "pipeline": pipeline.to_json(),
                "pixels": raster(pixels),
                "bundle": bundle,
            }
        ]
    )
    logits = np.frombuffer(base64.b64decode(said["logits"]), "<f4").reshape(3, height, width)
    assert np.allclose(logits, np.concatenate(maps, axis=1), atol=1e-4)
    assert said["each"] == values.values
    assert said["confidence"] == pytest.approx(answer.confidence, abs=1e-5)
    assert np.mean(np.reshape(said["mask"], (height, width)) == answer.mask) > 0.999


@pytest.mark.parametrize("offsets", [(), (0.0, 0.75), (-0.5, 1.25, 0.0)])
def test_pixels_are_decided_alike_with_offsets_and_without(
    offsets: tuple[float, ...], call: Call
) -> None:
    labels = ("background", "a", "b")[: len(offsets) or 2]
    logits = np.random.default_rng(7).normal(0, 2, (len(labels), 40, 50)).astype(np.float32)
    calibration = Calibration(temperature=1.4, offsets=offsets)
    collector = MaskCollector((40, 50), labels, calibration)
    collector.add(0, {"logits": logits})
    answer = collector.finish()
    bundle = {"labels": labels, "calibration": asdict(calibration)}
    (said,) = call([{"call": "segment", "bundle": bundle, "logits": tensor(logits)}])
    assert np.array_equal(np.reshape(said["mask"], (40, 50)), answer.known_mask())
    assert said["confidence"] == pytest.approx(answer.confidence, abs=1e-6)
