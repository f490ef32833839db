"""A task with masks made by hand, dark and light pixels, for the tests of tiled prediction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
from drawing import tiny_manifest
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.bundle import Manifest
from foveal.errors import ImageError
from foveal.pipeline import Pipeline
from foveal.tasks.base import Baseline, OutputBatch, ReportSection, Rows, TiledTask
from foveal.tasks.prediction import Prediction
from foveal.types import (
    Calibration,
    Frame,
    Image,
    JsonObject,
    Labels,
    Mask,
    Outputs,
    Picture,
    RawTarget,
    TensorSpec,
)

TILE = 16


@dataclass(frozen=True)
class ShadeOptions:
    """None."""


@final
@dataclass(frozen=True)
class Shade(Prediction):
    """The answer: its mask is 1 where light; what the collector saw of it."""

    share: float
    bands: int
    frame: Frame
    maps: NDArray[np.float32] | None

    @property
    def text(self) -> str:
        shares = [f"{name} {100 * self.support(name):.1f} %" for name in ("dark", "light")]
        return ", ".join(shares)

    @property
    def summary(self) -> str:
        return f"light {100 * self.support('light'):.1f} %"

    @property
    def scores(self) -> dict[str, float]:
        return {}

    @property
    def main_label(self) -> str:
        return "light"

    def says(self, text: str) -> bool:
        return text == self.text

    def support(self, label: str) -> float:
        return (1 - self.share, self.share)[("dark", "light").index(label)]

    def heat(self, label: str | None = None) -> NDArray[np.float32]:
        assert self.maps is not None
        return self.maps[("dark", "light").index(label or "light")]

    def draw(self, picture: Picture) -> Image:
        size = (picture.width, picture.height)
        mask = PILImage.fromarray(self.mask).resize(size, PILImage.Resampling.NEAREST)
        drawn = np.zeros((picture.height, picture.width, 3), np.uint8)
        drawn[..., 1] = np.asarray(mask) * 255
        return drawn

    def to_json(self) -> JsonObject:
        classes = [{"name": name, "share": self.support(name)} for name in ("dark", "light")]
        return {"classes": classes, "size": list(self.frame.original)}

    def to_html(self) -> str:
        return ""

    def without_maps(self) -> Shade:
        return replace(self, mask=None, maps=None)


@final
class ShadeCollector:
    """Joins the bands, which must come in order and without a gap."""

    def __init__(self, frame: Frame, explain: bool) -> None:
        self._frame = frame
        self._explain = explain
        self._parts: list[NDArray[np.float32]] = []
        self._rows = 0

    def add(self, top: int, outputs: Outputs) -> None:
        assert top == self._rows
        self._parts.append(outputs["logits"].copy())
        self._rows += outputs["logits"].shape[1]

    def finish(self) -> Shade:
        logits = np.concatenate(self._parts, axis=1)
        assert logits.shape[1:] == self._frame.original
        mask = (logits[1] > logits[0]).astype(np.uint8)
        maps = np.stack([mask == 0, mask == 1]).astype(np.float32) if self._explain else None
        share = float(mask.mean())
        return Shade(1.0, False, share, len(self._parts), self._frame, maps, mask=mask)


@final
@dataclass(frozen=True)
class ShadeTask(TiledTask[Mask, Shade]):
    """Which pixels are light?"""

    name: ClassVar[str] = "shade"
    options_type: ClassVar[type[Any]] = ShadeOptions
    primary_metric: ClassVar[str] = "share"
    target_kind: ClassVar[Any] = "mask"

    @classmethod
    def fit_labels(cls, raws: Iterable[RawTarget]) -> Labels:
        return Labels(("dark", "light"))

    @classmethod
    def choose_options(cls, raws: Iterable[RawTarget]) -> tuple[JsonObject, dict[str, str]]:
        return {}, {}

    def parse_target(self, raw: RawTarget, mask: Mask | None = None) -> Mask:
        assert mask is not None
        return mask

    @property
    def core_outputs(self) -> tuple[str, ...]:
        return ("logits",)

    def output_specs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("logits", "float32", (None, 2, TILE, TILE)),)

    def decode(
        self, outputs: Outputs, frames: Sequence[Frame], calibration: Calibration
    ) -> list[Shade]:
        raise NotImplementedError

    def collect(
        self, frame: Frame, calibration: Calibration, *, explain: bool = False
    ) -> ShadeCollector:
        return ShadeCollector(frame, explain)

    def measure(self, prediction: Shade, target: Mask) -> NDArray[np.float64]:
        return np.array([(prediction.mask == target).sum(), target.size], np.float64)

    def summarise(self, rows: Rows) -> dict[str, float]:
        return {"share": float(rows[:, 0].sum() / rows[:, 1].sum())}

    def is_correct(self, rows: Rows) -> NDArray[np.bool_]:
        return rows[:, 0] == rows[:, 1]

    def fit_calibration(
        self, batches: Iterable[OutputBatch], targets: Sequence[Mask]
    ) -> Calibration:
        return Calibration()

    def baseline(self, raws: Sequence[RawTarget], rows: Rows) -> Baseline:
        return Baseline("dark", rows * np.array([0, 1]))

    def agreement(self, first: Shade, second: Shade) -> tuple[float, float]:
        return float((first.mask == second.mask).mean()), 0.0

    def vote(self, predictions: Sequence[Shade]) -> Shade:
        return predictions[0]

    def draw_target(self, picture: Picture, target: Mask) -> Image:
        return picture.pixels

    def draw_beside(
        self, picture: Picture, prediction: Shade, target: Mask
    ) -> tuple[tuple[str, Image], ...]:
        return (("answer", prediction.draw(picture)),)

    def json_schema(self) -> JsonObject:
        return {"type": "object"}

    def analyse(
        self, predictions: Sequence[Shade], raws: Sequence[RawTarget], rows: Rows
    ) -> JsonObject:
        return {}

    def report_sections(self, details: JsonObject) -> list[ReportSection]:
        return []


def shade_task() -> ShadeTask:
    """Return the task."""
    return ShadeTask(Labels(("dark", "light")), ShadeOptions())


def shade_pipeline(**changes: Any) -> Pipeline:
    """Return tiles of 16 pixels."""
    return replace(Pipeline(TILE, TILE, "tile"), **changes)


@dataclass(frozen=True)
class ShadeBundle:
    """As much of a bundle as a predictor looks at, without files."""

    task: ShadeTask
    manifest: Manifest
    name: str = "shade"
    version: str = "0" * 12
    trained_on: None = None

    @property
    def pipeline(self) -> Pipeline:
        return self.manifest.pipeline


def shade_manifest(**changes: Any) -> Manifest:
    """Return the manifest of `shade_model`."""
    return replace(
        tiny_manifest(TILE, "shade"),
        task="shade",
        labels=("dark", "light"),
        task_options={},
        pipeline=shade_pipeline(**changes),
        outputs=shade_task().output_specs(),
    )


def shade_bundle(**changes: Any) -> Any:
    """Return a bundle whose pipeline has the `changes`; it has no network of its own."""
    return ShadeBundle(shade_task(), shade_manifest(**changes))


class ShadeEngine:
    """Tells light pixels (over 127) from dark ones; remembers the size of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        self.batches.append(len(inputs))
        light = inputs.mean(axis=3, dtype=np.float32) - 127.5
        return {"logits": np.stack([-light, light], axis=1)}


def shade_model() -> bytes:
    """Return the same as an ONNX network by hand."""
    from onnx import TensorProto, helper, numpy_helper

    weight = np.array([[-1.0] * 3, [1.0] * 3], np.float32).reshape(2, 3, 1, 1) / 3.0
    bias = np.array([127.5, -127.5], np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "weight", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shade",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", TILE, TILE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2, TILE, TILE])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


def half_light(height: int, width: int) -> Image:
    """Return a picture that is dark in its left half and light in its right one."""
    pixels = np.full((height, width, 3), 30, np.uint8)
    pixels[:, width // 2 :] = 220
    return pixels


@dataclass
class Untouchable:
    """A raster that gives parts only, of pixels from a function; torn from a row on."""

    pixels: Image
    torn_from: int | None = None

    @property
    def height(self) -> int:
        return len(self.pixels)

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    def read(self, top: int, left: int, height: int, width: int) -> Image:
        if self.torn_from is not None and top + height > self.torn_from:
            raise ImageError("torn in the middle")
        return self.pixels[top : top + height, left : left + width]
