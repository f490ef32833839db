"""Check that the task, `bundle.json` and the graph of a bundle agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from foveal.bundle.manifest import Manifest
from foveal.bundle.onnx_check import Graph, GraphValue
from foveal.errors import BundleError
from foveal.pipeline import Pipeline
from foveal.types import UNFAMILIARITY, TensorSpec

INPUT_NAME = "image"
# Numbers of the types in onnx.proto.
_TYPES = {"float32": 1, "uint8": 2}
_FAMILIAR = TensorSpec(UNFAMILIARITY, "float32", (None,))


def check_outputs(manifest: Manifest, specs: Sequence[TensorSpec]) -> None:
    """Raise unless the manifest lists the outputs of its task, each of the shape that it needs.

    Args:
        manifest: What `bundle.json` says.
        specs: The task's `output_specs`, for the labels of the manifest.

    Raises:
        BundleError: `bundle_invalid`.
    """
    given = {spec.name: spec for spec in manifest.outputs}
    expected = {spec.name: spec for spec in specs}
    if set(expected) != set(given) - {UNFAMILIARITY}:
        raise BundleError(
            f"The outputs of the bundle do not match its task. Expected {sorted(expected)}. "
            f"Received: {sorted(set(given) - {UNFAMILIARITY})}."
        )
    for name, spec in given.items():
        wanted = expected.get(name, _FAMILIAR)
        if spec.dtype != wanted.dtype or not fits(spec.shape, wanted.shape):
            raise _mismatch("bundle.json", wanted, spec.shape, len(manifest.labels))


def check_graph(manifest: Manifest, graph: Graph) -> None:
    """Raise unless the graph takes what the pipeline makes and gives what the manifest lists.

    Sizes that the graph leaves open are known when the network runs, see
    `foveal.predict.engine.CheckedEngine`.

    Raises:
        BundleError: `bundle_invalid`.
    """
    taken = TensorSpec(INPUT_NAME, "uint8", _input_shape(manifest.pipeline))
    image = _find(graph.inputs, taken)
    if image.shape is not None:
        free = [axis for axis, size in enumerate(taken.shape) if size is None]
        if not fits(image.shape, taken.shape) or any(image.shape[i] is not None for i in free):
            raise _mismatch("model.onnx", taken, image.shape, len(manifest.labels))
    for spec in manifest.outputs:
        output = _find(graph.outputs, spec)
        if output.shape is not None and not fits(output.shape, spec.shape):
            raise _mismatch("model.onnx", spec, output.shape, len(manifest.labels))


def fits(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Return whether a tensor of this shape may be what is wanted; None is any size."""
    return len(shape) == len(wanted) and all(
        a == b or a is None or b is None for a, b in zip(shape, wanted, strict=True)
    )


def _input_shape(pipeline: Pipeline) -> tuple[int | None, ...]:
    return None, pipeline.height, None if pipeline.is_ragged else pipeline.width, 3


def _find(values: Iterable[GraphValue], spec: TensorSpec) -> GraphValue:
    for value in values:
        if value.name == spec.name:
            if value.element not in (0, _TYPES[spec.dtype]):
                raise BundleError(
                    f"{spec.name!r} in model.onnx has the wrong data type. Expected {spec.dtype}."
                )
            return value
    raise BundleError(f"model.onnx has no input or output {spec.name!r}, which bundle.json lists.")


def _mismatch(
    where: str, spec: TensorSpec, shape: Sequence[int | None], classes: int
) -> BundleError:
    return BundleError(
        f"{spec.name} in {where} does not match a bundle with {classes} labels. Expected the "
        f"shape {_shown(spec.shape)}. Received: {_shown(shape)}.",
        hint="copy the bundle again, or train again",
    )


def _shown(shape: Sequence[int | None]) -> str:
    return " x ".join("any" if size is None else str(size) for size in shape)
