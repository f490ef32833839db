"""`proof.npz`: inputs and outputs by which a network is verified on any machine.

The inputs are drawn, see `foveal.predict.proof_inputs`: a bundle is handed on, and the pictures
that it was trained on are not foveal's to hand on with it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.agreement import INPUT_NAME, fits
from foveal.bundle.container import PROOF_NAME
from foveal.errors import BundleError
from foveal.pipeline import Pipeline
from foveal.types import Outputs, TensorSpec


@final
@dataclass(frozen=True, slots=True)
class ProofInputs:
    """Model inputs, and the outputs of the network when the bundle was written.

    Attributes:
        inputs: (N, H, W, 3) uint8 RGB.
        outputs: Name → what ONNX Runtime gave, first axis the input.
    """

    inputs: NDArray[np.uint8]
    outputs: Outputs

    def to_bytes(self) -> bytes:
        """Return the file: a NumPy archive that is not compressed."""
        file = io.BytesIO()
        np.savez(file, **{INPUT_NAME: self.inputs, **self.outputs})  # type: ignore[arg-type]
        return file.getvalue()

    @classmethod
    def from_bytes(
        cls, data: bytes, pipeline: Pipeline, specs: Sequence[TensorSpec]
    ) -> ProofInputs:
        """Read what `to_bytes` returned.

        Args:
            data: The file.
            pipeline: The bundle's: gives the size of the inputs.
            specs: The bundle's outputs; those that only explain may be missing.

        Raises:
            BundleError: If it is anything else.
        """
        try:
            arrays = _arrays(data)
            inputs = arrays.pop(INPUT_NAME)
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise BundleError(f"{PROOF_NAME} cannot be read: {error}") from error
        width = None if pipeline.is_ragged else pipeline.width
        known = {spec.name: spec for spec in specs}
        is_whole = (
            inputs.dtype == np.uint8
            and len(inputs) > 0
            and fits(inputs.shape, (None, pipeline.height, width, 3))
            and 0 < len(arrays)
            and set(arrays) <= set(known)
            and all(
                values.dtype == known[name].dtype
                and fits(values.shape, (len(inputs), *known[name].shape[1:]))
                for name, values in arrays.items()
            )
        )
        if not is_whole:
            raise BundleError(f"{PROOF_NAME} does not match the network of the bundle.")
        return cls(inputs, arrays)


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    file = io.BytesIO(data)
    with zipfile.ZipFile(file) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            # What is not compressed cannot unpack to more than was read.
            raise ValueError("it is compressed")
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)
