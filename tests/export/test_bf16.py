"""`foveal export --to foveal --bf16`: a bundle that is calibrated for 16 bits too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import DrawFolder
from numpy.typing import NDArray

from foveal.bundle.bundle import Bundle
from foveal.bundle.container import TRAINED_ON_NAME
from foveal.bundle.measured import measured_engine
from foveal.bundle.trained_on import TrainedOn
from foveal.data.source import digest_of
from foveal.errors import ParityError, UsageError
from foveal.export import bf16, lossy
from foveal.export.formats import write_as
from foveal.export.held_out import held_out
from foveal.export.job import ExportJob, ExportOptions, Pictures, options_of
from foveal.export.lossy import Ratio
from foveal.predict.engine import OnnxEngine
from foveal.predict.engines import EngineKind
from foveal.types import Outputs
from foveal.workflow.exports import pictures_of


class Rounded:
    """ONNX Runtime whose logits are noisy."""

    def __init__(self, bundle: Bundle, noise: float) -> None:
        self._engine = OnnxEngine(bundle.model_bytes(), threads=1)
        self._noise = noise

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        outputs = dict(self._engine.run(inputs, names))
        logits = outputs["logits"]
        signs = np.where(np.arange(logits.size).reshape(logits.shape) % 2, 1, -1)
        return outputs | {"logits": logits + np.float32(self._noise) * signs.astype(np.float32)}


@pytest.fixture
def job(draw_folder: DrawFolder, tiny_bundle: Bundle, tmp_path: Path) -> ExportJob:
    photos = draw_folder(tmp_path / "photos", n=6)

    def find() -> Pictures | None:
        return pictures_of(tiny_bundle, None, photos)

    return ExportJob(tiny_bundle, ExportOptions("bf16"), find)


def computing(monkeypatch: pytest.MonkeyPatch, noise: float) -> None:
    kind = EngineKind("rounded", lambda bundle, threads: Rounded(bundle, noise), ("numpy",), "bf16")
    monkeypatch.setattr(bf16, "ENGINES", {bf16.ENGINE: kind})
    monkeypatch.setattr(bf16, "version", lambda _: "1")
    ratio = Ratio(1.0, 0.5, 2.0, 1.9, 2.1)
    monkeypatch.setattr(bf16, "times_as_fast", lambda before, after: ratio)
    # Twelve pictures cannot show that nothing is lost.
    monkeypatch.setattr(lossy, "MOST_LOST", 0.9)


def test_the_bundle_states_how_16_bits_answer_and_keeps_its_own_calibration(
    job: ExportJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computing(monkeypatch, 0.05)
    proof = write_as(job, "foveal", tmp_path / "photos.foveal")
    assert proof is not None and proof.samples == 12 and proof.label_agreement == 1.0
    written = Bundle.open(tmp_path / "photos.foveal")
    assert written.manifest.calibration == job.bundle.manifest.calibration
    assert written.model_bytes() == job.bundle.model_bytes()
    measured = measured_engine(written.manifest, bf16.ENGINE)
    assert measured is not None and measured.proof == proof.to_json()
    assert measured.proof["speed"]["times_as_fast"] == 2.0
    assert 0 < measured.max_probability_difference < 1
    assert "also calibrated for the engine `openvino-bf16`" in written.read("README.md").decode()


def test_16_bits_that_lose_too_much_are_refused(
    job: ExportJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computing(monkeypatch, 1000.0)
    with pytest.raises(ParityError, match="not accepted in the lower precision"):
        write_as(job, "foveal", tmp_path / "photos.foveal")
    assert not (tmp_path / "photos.foveal").exists()


def test_pictures_that_were_trained_on_prove_nothing(job: ExportJob, tmp_path: Path) -> None:
    pictures = job.needed_pictures("A test needs them")
    digests = [digest_of(data) for _, data in pictures.files(pictures.val)]
    content = np.sort(np.array([int.from_bytes(d[:8], "little") for d in digests], np.uint64))
    seen = TrainedOn(content[:-2], np.zeros(len(content) - 2, np.uint64))
    files = {name: job.bundle.read(name) for name in job.bundle.manifest.files}
    bundle = Bundle.write(
        tmp_path / "seen",
        replace(job.bundle.manifest, files={}),
        {**files, TRAINED_ON_NAME: seen.to_bytes()},
    )
    assert len(held_out(bundle, pictures).val) == 2
    everything = TrainedOn(content, np.zeros(len(content), np.uint64))
    bundle = Bundle.write(
        tmp_path / "seen",
        replace(job.bundle.manifest, files={}),
        {**files, TRAINED_ON_NAME: everything.to_bytes()},
    )
    with pytest.raises(UsageError, match="None of the labelled pictures is left"):
        held_out(bundle, pictures)


def test_only_one_precision_is_taken() -> None:
    with pytest.raises(UsageError, match="Received: int8 and bf16"):
        options_of(int8=True, fp16=False, bf16=True, with_app=False, gpu=False)
