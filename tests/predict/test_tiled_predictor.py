"""Predictors of tiled pipelines: any raster, at its own size, in parts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from shading import (
    ShadeEngine,
    Untouchable,
    half_light,
    shade_bundle,
)

from foveal.console import NoProgress
from foveal.data.decode import DecodeLimits
from foveal.data.source import Opened, Sample, Source
from foveal.errors import ImageError, ImageTooLargeError, UsageError
from foveal.evaluate.examples import make_examples
from foveal.evaluate.latency import time_single
from foveal.evaluate.measure import measure
from foveal.explain.evidence import explain_evidence, explain_occlusion
from foveal.predict import Predictor, copies
from foveal.predict.copies import small_copy
from foveal.predict.files import answer_pictures
from foveal.predict.inputs import read_each
from foveal.types import Mask, Picture


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(shade_bundle(), engine=ShadeEngine())


def save(path: Path, pixels: np.ndarray) -> str:
    PILImage.fromarray(pixels).save(path)
    return str(path)


def test_a_picture_of_any_size_is_answered_at_its_own_size(predictor: Predictor) -> None:
    pixels = half_light(50, 70)
    (answer,) = predictor.predict([Picture.from_array(pixels)])
    assert np.array_equal(answer.mask, (pixels[..., 0] > 127).astype(np.uint8))
    assert answer.maps is None


def test_arrays_and_rasters_are_answered_alike_and_the_frame_does_not_matter(
    predictor: Predictor,
) -> None:
    pixels = half_light(20, 40)
    frame = predictor.pipeline.frame(20, 40).for_copy(5, 10)
    from_array, from_raster = predictor.predict_inputs(
        [pixels, Untouchable(pixels)], [frame, frame], explain=True
    )
    assert from_array.frame.original == from_raster.frame.original == (20, 40)
    assert np.array_equal(from_array.mask, from_raster.mask)
    assert from_array.maps.shape == (2, 20, 40)


def test_outputs_are_those_of_the_tiles_themselves(predictor: Predictor) -> None:
    tiles = np.stack([half_light(16, 16)] * 3)
    assert predictor.outputs(tiles)["logits"].shape == (3, 2, 16, 16)


def test_an_answer_that_is_drawn_on_a_copy_is_made_once(predictor: Predictor) -> None:
    pixels = half_light(16, 16)
    copy = Picture.from_array(half_light(4, 4))
    frame = predictor.pipeline.frame(16, 16)
    ((answer, drawing),) = predictor.predict_drawn([pixels], [frame], [copy], explain=False)
    assert drawing is answer
    assert answer.maps is None
    assert predictor.engine.batches == [1]  # type: ignore[attr-defined]
    assert drawing.draw(copy)[0, :, 1].tolist() == [0, 0, 255, 255]


def test_a_tiff_is_opened_in_parts_whatever_its_size_and_a_png_falls_under_the_limits(
    tmp_path: Path,
) -> None:
    limits = DecodeLimits(max_bytes=10_000, max_pixels=1000)
    predictor = Predictor(shade_bundle(), engine=ShadeEngine(), limits=limits)
    tiff = predictor.open(save(tmp_path / "large.tiff", half_light(64, 80)))
    assert not isinstance(tiff, Picture)
    assert (tiff.height, tiff.width) == (64, 80)
    assert predictor.predict([tiff])[0].mask.mean() == 0.5
    with pytest.raises(ImageTooLargeError):
        predictor.open(save(tmp_path / "large.png", half_light(64, 80)))


def test_bytes_are_decoded_as_a_whole(predictor: Predictor) -> None:
    buffer = io.BytesIO()
    PILImage.fromarray(half_light(20, 30)).save(buffer, "PNG")
    assert isinstance(predictor.open(buffer.getvalue()), Picture)


def test_files_are_answered_in_order_and_a_broken_one_is_an_error_record(
    predictor: Predictor, tmp_path: Path
) -> None:
    names = [save(tmp_path / f"{i}.png", half_light(20 + i, 30)) for i in range(5)]
    Path(names[2]).write_bytes(b"no picture")
    records = [answered.record for answered in answer_pictures(predictor, read_each(names))]
    assert [record["source"] for record in records] == names
    assert [record.get("size") for record in records] == [
        [20, 30],
        [21, 30],
        None,
        [23, 30],
        [24, 30],
    ]
    assert records[2]["error"]["code"] == "image_format"


@pytest.mark.parametrize("count", [1, 2], ids=["alone", "with another"])
def test_a_part_that_is_damaged_is_an_error_of_its_picture_alone(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    def open_it(self: Predictor, name: str) -> Untouchable:
        return Untouchable(half_light(60, 20), torn_from=40 if name == "torn" else None)

    monkeypatch.setattr(Predictor, "open", open_it)
    answered = list(answer_pictures(predictor, read_each(["torn", "good"][:count])))
    assert answered[0].record["error"]["message"] == "torn in the middle"
    assert [a.record["size"] for a in answered[1:]] == [[60, 20]] * (count - 1)


class MaskSource(Source):
    """Pictures that are half light, and their masks."""

    alive = 0
    most = 0

    def load(self, sample, limits, min_size=None):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def open(self, sample: Sample, limits: DecodeLimits) -> Opened:
        torn = 40 if sample.id == "torn" else None
        return Opened(Untouchable(half_light(60, 20), torn), sample.id.encode())

    @property
    def classes(self) -> tuple[str, ...]:
        return ("dark", "light")

    def mask(self, sample: Sample) -> Mask:
        if sample.id == "lost":
            raise ImageError("There is no mask.")
        width = 21 if sample.id == "wide" else 20
        return (half_light(60, width)[..., 0] > 127).astype(np.uint8)


def masked(*names: str) -> MaskSource:
    samples = tuple(Sample(name, None if name == "bare" else ("dark", "light")) for name in names)
    return MaskSource("memory", "masks", samples, ())


def test_masks_are_measured_and_every_failure_is_listed(predictor: Predictor) -> None:
    source = masked("a", "torn", "bare", "b", "lost", "wide", "c")
    voting = Predictor(
        predictor.bundle, engine=predictor.engine, limits=predictor.limits, others=[predictor]
    )
    measured = measure(voting, source, source.samples, batch_size=32, progress=NoProgress())
    assert [sample.id for sample in measured.samples] == ["a", "b", "c"]
    assert measured.rows.tolist() == [[1200, 1200]] * 3
    assert [failure.sample for failure in measured.failures] == ["torn", "bare", "lost", "wide"]
    assert [failure.code for failure in measured.failures] == [
        "image_unreadable",
        "unlabelled",
        "image_unreadable",
        "mask_size",
    ]
    assert "21 x 60" in measured.failures[3].message


def test_examples_and_timing_take_pictures_in_parts(predictor: Predictor) -> None:
    source = masked("a", "b")
    measured = measure(predictor, source, source.samples, batch_size=2, progress=NoProgress())
    (example,) = make_examples(lambda sample: predictor, source, measured, [1], ["half"] * 2, None)
    ((_, file),) = example.beside
    drawn = np.asarray(PILImage.open(io.BytesIO(file)))
    assert drawn.shape == (60, 20, 3)
    assert drawn[30, :, 1].tolist() == [0] * 10 + [255] * 10
    latency = time_single(predictor, source, source.samples, 2)
    assert latency is not None
    assert latency.pictures == 2


def test_evidence_explains_a_tiled_answer_and_occlusion_refuses(predictor: Predictor) -> None:
    picture = Picture.from_array(half_light(20, 40))
    explanation = explain_evidence(predictor, picture, "light")
    assert explanation.heat[0].tolist() == [0.0] * 20 + [1.0] * 20
    with pytest.raises(UsageError, match="64 predictions") as caught:
        explain_occlusion(predictor, picture)
    assert caught.value.hint == "use --method evidence"


def test_a_small_copy_of_a_raster_is_the_mean_of_its_areas() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 60, 3), np.uint8)
    copy = small_copy(Untouchable(pixels), 30)
    means = pixels.reshape(30, 3, 20, 3, 3).mean(axis=(1, 3))
    assert (copy.height, copy.width) == (30, 20)
    assert np.abs(copy.pixels - means).max() <= 1


def test_parts_of_a_small_copy_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (101, 67, 3), np.uint8)
    # 41 is odd: no pixel lies with its middle on the border between two areas.
    whole = small_copy(Untouchable(pixels), 41).pixels
    monkeypatch.setattr(copies, "_PART_PX", 16)
    parts = small_copy(Untouchable(pixels), 41).pixels
    assert np.abs(whole.astype(int) - parts).max() <= 1


def test_a_picture_that_is_small_already_is_its_own_copy() -> None:
    pixels = half_light(20, 30)
    assert np.array_equal(small_copy(Untouchable(pixels), 64).pixels, pixels)
    assert small_copy(Picture.from_array(pixels), 64).pixels is pixels
