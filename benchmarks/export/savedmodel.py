"""SavedModels beside ONNX Runtime: the same numbers, and how long the network takes.

python benchmarks/export/savedmodel.py networks   all backbones, heads and decoders, random weights
python benchmarks/export/savedmodel.py inputs BUNDLE [COUNT [FIRST]]   model inputs of drawn files
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image as PILImage

from foveal.bundle.bundle import Bundle
from foveal.export.process import pack_files, working
from foveal.predict.engine import OnnxEngine
from foveal.predict.predictor import Predictor

BACKBONES = {
    "fovea": 64,
    "cnn3": 64,
    "efficientnet_lite0": 160,
    "efficientnet_b0": 160,
    "mobilenetv3_large_100": 160,
    "mobilenetv4_conv_small": 160,
    "resnet18": 160,
    "convnext_tiny": 160,
}
ROUNDS = 40
MODES = ("RGB", "L", "RGBA", "LA", "P", "1", "I;16", "JPEG", "JPEG grey")


def models() -> dict[str, tuple[Any, Any, str, Any]]:
    """Return task, training, backbone and pipeline of each network."""
    from foveal.pipeline import Pipeline
    from foveal.tasks.classify.task import ClassifyTask
    from foveal.tasks.classify.training import TRAINING as CLASSIFY
    from foveal.tasks.read.task import ReadTask
    from foveal.tasks.read.training import TRAINING as READ
    from foveal.tasks.segment.task import SegmentTask
    from foveal.tasks.segment.training import TRAINING as SEGMENT
    from foveal.types import Labels

    labels = Labels(tuple("abcde"))
    found: dict[str, tuple[Any, Any, str, Any]] = {}
    for name, size in BACKBONES.items():
        found[name] = (ClassifyTask.bind(labels, {}), CLASSIFY, name, Pipeline(size, size))
    for head in ("ctc", "gru", "positions"):
        options = {"head": head, "length": 5 if head == "positions" else 0}
        line = Pipeline(48, 640, "line")
        found[head] = (ReadTask.bind(labels, options), READ, "reader", line)
    for decoder in ("unet", "fpn", "fcn8s"):
        task = SegmentTask.bind(labels, {"decoder": decoder})
        found[decoder] = (task, SEGMENT, "efficientnet_lite0", Pipeline(128, 128, "tile"))
    return found


def exported(task: Any, training: Any, backbone: str, pipeline: Any) -> bytes:
    """Return a network with random weights and settled statistics as ONNX."""
    import torch

    from foveal.export.onnx import export_onnx
    from foveal.models.network import build_network
    from foveal.recipe import ModelOptions

    torch.manual_seed(0)
    options = ModelOptions(backbone=backbone, dropout=0.0)
    network = build_network(training(task), options, pretrained=False)
    with torch.no_grad():
        network.train()(torch.rand(4, 3, *pipeline.example_size) * 255)
    return export_onnx(network.eval(), task, pipeline)


def compare_networks() -> None:
    """Print the largest difference and the CPU times of all networks, in turns on one thread."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    import tensorflow as tf

    from foveal.export.tensorflow.network import network_function

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rng = np.random.default_rng(0)
    for name, parts in models().items():
        model = exported(*parts)
        engine, network = OnnxEngine(model, threads=1), network_function(model)
        height, width = parts[3].example_size
        inputs = rng.integers(0, 256, (1, height, width, 3), np.uint8)
        given = tf.constant(inputs)
        expected, found = engine.run(inputs), network(image=given)
        difference = max(
            float(np.abs(found[k].numpy() - v).max() / max(1.0, np.abs(v).max()))
            for k, v in expected.items()
        )
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for which, call in enumerate((engine.run, network)):
                start = time.process_time()
                call((inputs, given)[which])
                times[which].append(1e3 * (time.process_time() - start))
        row = {
            "network": name,
            "difference": difference,
            "onnxruntime_ms": round(min(times[0]), 2),
            "tensorflow_ms": round(min(times[1]), 2),
            "ratio": round(min(times[1]) / min(times[0]), 2),
            "median_ratio": round(float(np.median(times[1]) / np.median(times[0])), 2),
        }
        print(json.dumps(row), flush=True)


def drawn_file(seed: int) -> bytes:
    """Return a picture file of random size, mode and orientation."""
    rng = np.random.default_rng(seed)
    mode = MODES[seed % len(MODES)]
    height, width = (int(side) for side in rng.integers(8, 1400, 2))
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 4), np.uint8)
    image = PILImage.fromarray(coarse).resize((width, height), PILImage.Resampling.BICUBIC)
    exif = PILImage.Exif()
    exif[0x0112] = 1 + seed % 8
    buffer = io.BytesIO()
    if mode.startswith("JPEG"):
        image = image.convert("L" if "grey" in mode else "RGB")
        image.save(buffer, "JPEG", quality=int(rng.integers(60, 96)), exif=exif)
        return buffer.getvalue()
    if mode == "I;16":
        image = PILImage.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 251)
    else:
        image = image.convert(mode)
    image.save(buffer, "PNG", compress_level=1, exif=exif)
    return buffer.getvalue()


def compare_inputs(path: Path, count: int, first: int) -> None:
    """Print how many files become the same model input, as bytes and as both kinds of base64."""
    bundle = Bundle.open(path)
    predictor = Predictor(bundle)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    with (
        TemporaryDirectory() as folder,
        working("foveal.export.tensorflow.program", environment=quiet) as worker,
    ):
        where = np.array(str(Path(folder) / "model"))
        worker.call("write", bundle=np.array(str(path.absolute())), folder=where)
        worker.call("load", folder=where)
        same = 0
        for seed in range(first, first + count):
            data = drawn_file(seed)
            encode = (bytes, base64.b64encode, base64.urlsafe_b64encode)[seed // len(MODES) % 3]
            found = worker.call("answer", **pack_files([encode(data)]))["model_input/image"][0]
            expected, _ = predictor.prepare(predictor.decode(data))
            same += int(np.array_equal(found, expected))
            if seed % 50 == 49:
                print(f"{same} of {seed + 1 - first} the same", file=sys.stderr, flush=True)
    print(
        json.dumps({"fit": bundle.pipeline.fit, "files": count, "first": first, "identical": same})
    )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("networks", "inputs"))
    parser.add_argument("bundle", nargs="?", type=Path)
    parser.add_argument("count", nargs="?", type=int, default=500)
    parser.add_argument("first", nargs="?", type=int, default=0, help="seed of the first file")
    given = parser.parse_args()
    if given.what == "networks":
        compare_networks()
    else:
        compare_inputs(given.bundle, given.count, given.first)


if __name__ == "__main__":
    main()
