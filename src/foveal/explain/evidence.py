"""Explain answers by evidence maps, and by occlusion as an independent check. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import TargetError, UsageError
from foveal.pipeline import resample_to_original
from foveal.predict.predictor import Predictor
from foveal.render import heat_overlay
from foveal.tasks.prediction import Prediction
from foveal.types import Image, Picture

# Pictures in one run of the network while occluding.
_BATCH = 32


@final
@dataclass(frozen=True, repr=False)
class Explanation:
    """The explanation of an answer.

    Attributes:
        prediction: The answer.
        label: The explained label; "" for an empty answer.
        heat: (H, W) float32 in [0, 1], in original pixels; 1 is the strongest evidence.
        overlay: (H', W', 3) uint8 RGB: the picture with the heat map on it, or, if no label was
            given, the answer as its task draws it (such as a text with its alignment), which may
            differ from the picture in size.
    """

    prediction: Prediction
    label: str
    heat: NDArray[np.float32]
    overlay: Image

    def __repr__(self) -> str:
        """Return one line, without the maps."""
        return f"Explanation({self.label!r}, {self.prediction.headline!r})"


def explain_evidence(
    predictor: Predictor, picture: Picture, label: str | None = None
) -> Explanation:
    """Explain an answer by the evidence map of the model.

    Args:
        predictor: Answers the picture.
        picture: The picture.
        label: Label to explain; None explains the whole answer.

    Raises:
        TargetError: If the model does not know the label.
    """
    prediction = predictor.predict([picture], explain=True)[0]
    if label is not None:
        heat = prediction.heat(label)
        return Explanation(prediction, label, heat, heat_overlay(picture, heat))
    shown = prediction.main_label
    if shown is None:
        # An answer that says nothing is explained too: the drawing shows why there is nothing.
        heat = np.zeros((picture.height, picture.width), np.float32)
    else:
        heat = prediction.heat(shown)
    return Explanation(prediction, shown or "", heat, prediction.draw(picture))


def explain_occlusion(
    predictor: Predictor, picture: Picture, label: str | None = None, *, patches: int = 8
) -> Explanation:
    """Explain an answer by covering patches of the picture and measuring the drop in confidence.

    Visualizing and Understanding Convolutional Networks, 2013, https://arxiv.org/abs/1311.2901.
    Slower than the evidence map (patches squared predictions) and independent of it.

    Args:
        predictor: Answers the picture.
        picture: The picture.
        label: Label to explain; None takes the main label of the answer.
        patches: Number of patches along each side of the model input.

    Raises:
        TargetError: If the model does not know the label, or the answer is empty.
        UsageError: If the model answers tile by tile, where each patch would cost a whole picture,
            or several models vote.
    """
    if predictor.pipeline.is_tiled:
        raise UsageError(
            f"{predictor.bundle.name} predicts tile by tile, so occlusion would need "
            f"{patches * patches} predictions of the whole picture.",
            hint="use --method evidence",
        )
    if predictor.others:
        raise UsageError(
            "Occlusion works on the input of a single model, not on several models that vote.",
            hint="use --method evidence, or one of the models alone",
        )
    pixels, frame = predictor.prepare(picture)
    prediction = predictor.predict_inputs([pixels], [frame])[0]
    shown = prediction.main_label if label is None else label
    if shown is None:
        raise TargetError("The answer is empty, so there is nothing to explain.")
    base = prediction.support(shown)
    height, width = pixels.shape[:2]
    rows = np.linspace(0, height, patches + 1).astype(int)
    columns = np.linspace(0, width, patches + 1).astype(int)
    cover = np.asarray(predictor.pipeline.pad_color, np.uint8)
    covered = []
    for i in range(patches):
        for j in range(patches):
            copy = pixels.copy()
            copy[rows[i] : rows[i + 1], columns[j] : columns[j + 1]] = cover
            covered.append(copy)
    support: list[float] = []
    for start in range(0, len(covered), _BATCH):
        batch = covered[start : start + _BATCH]
        answers = predictor.predict_inputs(batch, [frame] * len(batch))
        support += [answer.support(shown) for answer in answers]
    loss = np.maximum(base - np.array(support, np.float32), 0.0).reshape(patches, patches)
    heat = resample_to_original(loss.astype(np.float32), frame)
    peak = float(heat.max())
    heat = heat / np.float32(peak) if peak > 0 else heat
    return Explanation(prediction, shown, heat, heat_overlay(picture, heat))
