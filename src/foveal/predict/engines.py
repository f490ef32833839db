"""The registry of engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from foveal.bundle.bundle import Bundle
from foveal.destination import cache_directory
from foveal.errors import MissingExtraError, UsageError, unknown_name
from foveal.predict.engine import ONNX_RUNTIME, Engine, OnnxEngine, Provider
from foveal.predict.openvino_engine import OpenVinoEngine

AUTO = "auto"
"""Stands for the fastest engine here that answers as ONNX Runtime does."""

_CUDA = "CUDAExecutionProvider"
_TENSORRT = "TensorrtExecutionProvider"
# Both packages bring the same modules: the one that is installed last is there.
_INSTALL_GPU = "pip uninstall -y onnxruntime; pip install 'onnxruntime-gpu[cuda,cudnn]'"
# Runs of TensorRT may have so many pictures; it makes a plan for these sizes in advance.
_LARGEST_RUN = 64


@final
@dataclass(frozen=True, slots=True)
class EngineKind:
    """A kind of engine.

    Attributes:
        summary: Description in a few words.
        open: Opens the network of a bundle with a number of threads; raises FovealError if the
            engine is not installed, cannot run on this machine, or rejects the network.
        packages: Packages that may contain it, most likely first.
        precision: Number format of the computation.
    """

    summary: str
    open: Callable[[Bundle, int | None], Engine]
    packages: tuple[str, ...]
    precision: str = "f32"

    @property
    def runtime(self) -> str:
        """Name and version of the installed package, or ""."""
        # Imported late: reading what is installed takes longer than a small network.
        from importlib import metadata

        for package in self.packages:
            try:
                return f"{package} {metadata.version(package)}"
            except metadata.PackageNotFoundError:
                continue
        return ""


def check_engine(name: str) -> None:
    """Raise unless an engine of that name exists.

    Raises:
        UsageError: If there is none; the message suggests the closest name.
    """
    if name != AUTO and name not in ENGINES:
        raise UsageError(unknown_name("engine", name, (*ENGINES, AUTO)))


def _open_onnx_runtime(bundle: Bundle, threads: int | None) -> Engine:
    return OnnxEngine(bundle.model_bytes(), threads=threads)


def _open_openvino(bundle: Bundle, threads: int | None) -> Engine:
    return OpenVinoEngine(bundle.model_bytes(), threads=threads)


def _open_openvino_bf16(bundle: Bundle, threads: int | None) -> Engine:
    return OpenVinoEngine(bundle.model_bytes(), threads=threads, precision="bf16")


def _open_cuda(bundle: Bundle, threads: int | None) -> Engine:
    check_providers("cuda", _CUDA)
    return OnnxEngine(bundle.model_bytes(), threads=threads, providers=[_cuda()])


def _open_tensorrt(bundle: Bundle, threads: int | None) -> Engine:
    check_providers("tensorrt", _TENSORRT)
    providers = [Provider(_TENSORRT, _tensorrt_options(bundle)), _cuda()]
    return OnnxEngine(bundle.model_bytes(), threads=threads, providers=providers)


def check_providers(name: str, provider: str) -> None:
    """Raise unless the installed ONNX Runtime supports a provider.

    Raises:
        MissingExtraError: If it does not; the hint installs the package that does.
    """
    # Imported late: it starts a thread, and the supervisor of a server's workers forks.
    import onnxruntime as ort

    if provider not in ort.get_available_providers():
        raise MissingExtraError(
            f"The engine {name} needs the package onnxruntime-gpu instead of onnxruntime.",
            hint=_INSTALL_GPU,
        )
    # Loads the libraries of CUDA that pip installed, if there are any.
    ort.preload_dlls()


def _cuda() -> Provider:
    # TF32 keeps 10 bits of a number, and moves answers as bf16 does.
    return Provider(_CUDA, {"use_tf32": "0"})


def _tensorrt_options(bundle: Bundle) -> dict[str, str]:
    """Return the options of TensorRT, which caches its plans because they take minutes to build."""
    height, width = bundle.pipeline.example_size
    # Readers' lines have any width from one step on.
    narrow = bundle.pipeline.width_step if bundle.pipeline.is_ragged else width
    wide = bundle.pipeline.width if bundle.pipeline.is_ragged else width
    # Plans are machine code: nobody else may write here.
    folder = cache_directory() / "tensorrt" / bundle.manifest.files["model.onnx"]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
        "trt_profile_min_shapes": f"image:1x{height}x{narrow}x3",
        "trt_profile_opt_shapes": f"image:8x{height}x{width}x3",
        "trt_profile_max_shapes": f"image:{_LARGEST_RUN}x{height}x{wide}x3",
    }


ENGINES: dict[str, EngineKind] = {
    ONNX_RUNTIME: EngineKind(
        "ONNX Runtime", _open_onnx_runtime, ("onnxruntime", "onnxruntime-gpu")
    ),
    "openvino": EngineKind("OpenVINO", _open_openvino, ("openvino",)),
    "openvino-bf16": EngineKind("OpenVINO in 16 bits", _open_openvino_bf16, ("openvino",), "bf16"),
    "cuda": EngineKind("ONNX Runtime on a GPU", _open_cuda, ("onnxruntime-gpu",)),
    "tensorrt": EngineKind("TensorRT on a GPU", _open_tensorrt, ("onnxruntime-gpu",)),
}
