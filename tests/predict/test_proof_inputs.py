"""Drawn inputs in a bundle, and what is refused in their place."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foveal.bundle.bundle import Bundle
from foveal.bundle.container import PROOF_NAME
from foveal.bundle.proof import ProofInputs
from foveal.errors import BundleError
from foveal.pipeline import Pipeline
from foveal.predict.engine import OnnxEngine
from foveal.predict.proof_inputs import draw_inputs, prove_inputs


def with_proof(bundle: Bundle, path: Path, proof: bytes) -> Bundle:
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    return Bundle.write(path, replace(bundle.manifest, files={}), {**files, PROOF_NAME: proof})


def proof_of(bundle: Bundle) -> ProofInputs:
    engine = OnnxEngine(bundle.model_bytes())
    return prove_inputs(engine, bundle.task, bundle.pipeline, ("logits",))


def test_a_bundle_keeps_its_proof(tiny_bundle: Bundle, tmp_path: Path) -> None:
    proof = proof_of(tiny_bundle)
    packed = with_proof(tiny_bundle, tmp_path / "b", proof.to_bytes()).pack(tmp_path / "b.foveal")
    read = Bundle.open(packed).proof
    assert read is not None
    np.testing.assert_array_equal(read.inputs, proof.inputs)
    assert list(read.outputs) == ["logits"]
    np.testing.assert_array_equal(read.outputs["logits"], proof.outputs["logits"])


def test_a_bundle_without_a_proof_has_none(tiny_bundle: Bundle) -> None:
    assert tiny_bundle.proof is None


def test_the_same_seed_draws_the_same_and_no_two_inputs_are_alike(tiny_bundle: Bundle) -> None:
    first, second = (draw_inputs(tiny_bundle.task, tiny_bundle.pipeline, 4) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (4, *tiny_bundle.pipeline.example_size, 3)
    assert len(np.unique(first.reshape(4, -1), axis=0)) == 4
    assert (draw_inputs(tiny_bundle.task, tiny_bundle.pipeline, 4, seed=1) != first).any()


def test_a_reader_gets_ink_on_paper(tiny_reader: Bundle) -> None:
    (line,) = draw_inputs(tiny_reader.task, Pipeline(48, 200, "line"), 1)
    assert line.shape == (48, 224, 3)
    assert np.median(line) > 150
    assert (line < 120).any()


def test_large_inputs_are_fewer(tiny_bundle: Bundle) -> None:
    assert len(proof_of(tiny_bundle).inputs) == 16

    class Large:
        def run(self, inputs: np.ndarray, names: object = None) -> dict[str, np.ndarray]:
            return {"logits": np.zeros((len(inputs), 100_000), np.float32)}

    few = prove_inputs(Large(), tiny_bundle.task, tiny_bundle.pipeline, ("logits",))
    assert 2 <= len(few.inputs) <= 5


def archive(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def compressed() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, image=np.zeros((2, 8, 8, 3), np.uint8))
    return file.getvalue()


def image(bundle: Bundle, count: int = 2) -> np.ndarray:
    return np.zeros((count, *bundle.pipeline.example_size, 3), np.uint8)


def test_what_is_no_proof_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    inputs = image(tiny_bundle)
    logits = np.zeros((2, len(tiny_bundle.task.labels)), np.float32)
    damaged = [
        b"",
        b"not an archive",
        compressed(),
        archive(image=inputs)[:-30],
        archive(logits=logits),
        archive(image=inputs),
        archive(image=inputs, other=logits),
        archive(image=inputs, logits=logits[:1]),
        archive(image=inputs, logits=logits.astype(np.float64)),
        archive(image=inputs[:, 1:], logits=logits),
        archive(image=inputs.astype(np.float32), logits=logits),
        archive(image=image(tiny_bundle, 0), logits=logits[:0]),
        archive(image=np.array([{}], object), logits=logits),
    ]
    for number, proof in enumerate(damaged):
        bundle = with_proof(tiny_bundle, tmp_path / str(number), proof)
        with pytest.raises(BundleError, match=PROOF_NAME):
            _ = bundle.proof
