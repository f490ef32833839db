"""Repeat the proof of a bundle: its drawn inputs, and the answers when it was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from foveal.bundle.bundle import Bundle
from foveal.bundle.proof import ProofInputs
from foveal.errors import ParityError
from foveal.machine import processor
from foveal.predict.engine import OnnxEngine
from foveal.tasks.agreement import LEAST_SHARE, TOLERANCE
from foveal.types import JsonObject


@final
@dataclass(frozen=True, slots=True)
class OwnProof:
    """How a bundle answers its own drawn inputs on this machine.

    Attributes:
        inputs: Number of inputs.
        same: Number of inputs that are answered as when the bundle was written.
        probability: Largest difference of a probability.
        output: Largest difference of an output of the network.
    """

    inputs: int
    same: int
    probability: float
    output: float

    @property
    def passed(self) -> bool:
        """Whether all answers are the same, and no probability differs by more than 0.01."""
        return self.same == self.inputs and self.probability <= TOLERANCE

    @property
    def words(self) -> str:
        """The result as a sentence."""
        return (
            f"On this processor ({processor()['name']}), {self.same} of {self.inputs} drawn inputs "
            "are answered as where the bundle was written; probabilities differ by at most "
            f"{self.probability:.1e}."
        )

    def to_json(self) -> JsonObject:
        """Return the figures, with the processor, as JSON values."""
        return {
            "inputs": self.inputs,
            "same_answers": self.same,
            "max_probability_difference": self.probability,
            "max_output_difference": self.output,
            "processor": processor(),
        }


def repeat_proof(bundle: Bundle, proof: ProofInputs) -> OwnProof:
    """Run the inputs of a proof, and compare the answers with those that it contains.

    Args:
        bundle: The bundle.
        proof: Its proof.
    """
    given = OnnxEngine(bundle.model_bytes()).run(proof.inputs, tuple(proof.outputs))
    height, width = proof.inputs.shape[1:3]
    frames = [bundle.pipeline.frame(height, width)] * len(proof.inputs)
    calibration = bundle.manifest.calibration
    written, here = (bundle.task.decode(o, frames, calibration) for o in (proof.outputs, given))
    pairs = [bundle.task.agreement(a, b) for a, b in zip(written, here, strict=True)]
    return OwnProof(
        inputs=len(pairs),
        same=sum(share >= LEAST_SHARE for share, _ in pairs),
        probability=max(difference for _, difference in pairs),
        output=max(float(np.abs(given[n] - values).max()) for n, values in proof.outputs.items()),
    )


def check_own_proof(bundle: Bundle) -> None:
    """Raise if a bundle no longer answers its own inputs as when it was written.

    The checksums of a bundle do not show that its network was replaced if they were computed again.
    Bundles of older versions contain no proof.

    Raises:
        ParityError: If an answer differs.
    """
    if bundle.proof is None:
        return
    found = repeat_proof(bundle, bundle.proof)
    if not found.passed:
        raise ParityError(
            f"The network of {bundle.name} is not the one that its proof was made with, or "
            f"computes differently here. {found.words} Nothing was written.",
            hint="copy the bundle again, or train again",
        )
