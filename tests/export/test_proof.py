"""The proof of an export, with the network of the bundle and with others in its place."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.bundle.bundle import Bundle
from foveal.data.decode import DEFAULT_LIMITS, DecodeLimits
from foveal.data.source import Loaded, Sample, Source, TargetKind
from foveal.errors import ParityError, UsageError
from foveal.export.description import describe
from foveal.export.job import ExportJob, Pictures
from foveal.export.lossy import prove_described
from foveal.export.proof import Proof, TargetAnswer, prove_engine, prove_target
from foveal.predict.engine import Engine, OnnxEngine
from foveal.predict.predictor import Predictor
from foveal.types import Outputs, Picture


class Drawn(Source):
    """Coloured noise, which is in no file."""

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        seed = int(sample.id)
        rng = np.random.default_rng(seed)
        pixels = rng.integers(0, 256, (20 + seed, 30, 3), np.uint8)
        return Loaded(Picture.from_array(pixels), bytes(16))


def pictures(count: int) -> Pictures:
    samples = tuple(Sample(str(i), ("a",)) for i in range(count))
    return Pictures(Drawn("drawn", "drawn", samples, ()), samples, samples, DEFAULT_LIMITS)


class Moved:
    """A network whose outputs are not those of the bundle."""

    def __init__(self, engine: Engine, by: float) -> None:
        self._engine, self._by = engine, by

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        outputs = dict(self._engine.run(inputs, names))
        outputs["logits"] = outputs["logits"].copy()
        outputs["logits"][:, 0] += self._by
        return outputs


class FromBytes:
    """Foveal itself as the runtime of an export."""

    runtime = "foveal 1"

    def __init__(self, bundle: Bundle, *, lighter: int = 0, headline: str | None = None) -> None:
        self._predictor = Predictor(bundle)
        self._lighter, self._headline = lighter, headline

    def answer(self, files: Sequence[bytes]) -> Sequence[TargetAnswer]:
        answers = []
        for data in files:
            pixels, _ = self._predictor.prepare(self._predictor.decode(data))
            outputs = self._predictor.outputs(pixels[None])
            answers.append(TargetAnswer(outputs, pixels + np.uint8(self._lighter), self._headline))
        return answers


def test_the_same_network_is_proven(tiny_bundle: Bundle) -> None:
    proof = prove_engine(
        ExportJob(tiny_bundle), pictures(20), OnnxEngine(tiny_bundle.model_bytes()), "a runtime"
    )
    assert proof.to_json() == {
        "runtime": "a runtime",
        "samples": 20,
        "label_agreement": 1.0,
        "max_probability_difference": 0.0,
    }


@pytest.mark.parametrize("by", [0.5, float("nan")])
def test_another_network_is_refused(tiny_bundle: Bundle, by: float) -> None:
    engine = Moved(OnnxEngine(tiny_bundle.model_bytes()), by)
    with pytest.raises(ParityError) as error:
        prove_engine(ExportJob(tiny_bundle), pictures(3), engine, "a runtime")
    assert "a runtime" in str(error.value)


def test_a_target_is_given_files_and_its_inputs_are_compared(tiny_bundle: Bundle) -> None:
    job = ExportJob(tiny_bundle)
    proof = prove_target(job, pictures(3), FromBytes(tiny_bundle))
    assert proof.identical_inputs == 1.0
    proof = prove_target(job, pictures(3), FromBytes(tiny_bundle, lighter=1))
    assert proof.identical_inputs == 0.0


def test_a_target_that_says_something_else_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(ParityError, match=r"became walrus\b"):
        prove_target(ExportJob(tiny_bundle), pictures(3), FromBytes(tiny_bundle, headline="walrus"))


class Lines(Source):
    """White pictures, each as wide as its name says."""

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        return Loaded(Picture.from_array(np.full((8, int(sample.id), 3), 255, np.uint8)), bytes(16))


def test_a_picture_that_the_bundle_refuses_proves_nothing(tiny_reader: Bundle) -> None:
    samples = tuple(Sample(str(width), ("A",)) for width in (30, 20_000, 40))
    lines = Pictures(Lines("lines", "drawn", samples, ()), samples, samples, DEFAULT_LIMITS)
    job, engine = ExportJob(tiny_reader), OnnxEngine(tiny_reader.model_bytes())
    assert prove_engine(job, lines, engine, "a runtime").samples == 2
    assert prove_target(job, lines, FromBytes(tiny_reader)).samples == 2
    too_wide = Pictures(lines.source, samples[1:2], samples, DEFAULT_LIMITS)
    with pytest.raises(ParityError, match="none of the validation pictures can be read"):
        prove_target(job, too_wide, FromBytes(tiny_reader))


def test_an_export_of_another_model_is_refused(tiny_bundle: Bundle, tiny_reader: Bundle) -> None:
    job = ExportJob(tiny_bundle, find_pictures=lambda: pictures(3))
    engine = OnnxEngine(tiny_reader.model_bytes())
    with pytest.raises(UsageError, match="another task or other labels") as caught:
        prove_described(job, engine, describe(tiny_reader), "a runtime", has_ranges=False)
    assert "--against" in str(caught.value.hint)


def test_without_readable_pictures_there_is_no_proof(tiny_bundle: Bundle) -> None:
    with pytest.raises(ParityError, match="none of the validation pictures"):
        prove_target(ExportJob(tiny_bundle), pictures(0), FromBytes(tiny_bundle))


def test_pictures_that_are_not_files_become_png() -> None:
    (first, *_) = pictures(2).files(pictures(2).val)
    assert first[0] == "0"
    assert PILImage.open(io.BytesIO(first[1])).size == (30, 20)


def test_a_job_without_pictures_says_how_to_name_some(tiny_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="is proven on validation pictures") as error:
        ExportJob(tiny_bundle).needed_pictures("A SavedModel is proven")
    assert error.value.hint is not None and "--data" in error.value.hint


@pytest.mark.parametrize(
    ("agreement", "samples", "target", "said"),
    [
        (1.0, 70, "labels", "100.00 % of 70 pictures"),
        (1.0, 1, "text", "100.00 % of 1 picture"),
        # Two pixels of a million: not all of them.
        (0.999998, 4, "mask", "99.99 % of the pixels of 4 pictures"),
    ],
)
def test_a_proof_says_of_what_its_share_is(
    agreement: float, samples: int, target: TargetKind, said: str
) -> None:
    assert Proof("LiteRT", samples, agreement, 0.0).agreement(target) == said
