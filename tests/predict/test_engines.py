"""Other engines than ONNX Runtime: what they answer, and what is refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import types
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import foveal
from foveal.bundle import Bundle
from foveal.bundle.manifest import Manifest
from foveal.bundle.measured import MeasuredEngine, measured_engine, with_measured
from foveal.errors import BundleError, FovealError, MissingExtraError, ParityError, UsageError
from foveal.predict import Engine, OnnxEngine, Predictor, choice, engines, facts
from foveal.predict.choice import bundle_for, choose
from foveal.predict.engine import Provider
from foveal.predict.engines import ENGINES, EngineKind
from foveal.predict.facts import ChosenEngine, facts_of
from foveal.predict.openvino_engine import OpenVinoEngine
from foveal.predict.race import Times, fastest, race, rates
from foveal.types import Calibration, Outputs

needs_openvino = pytest.mark.skipif(
    not ENGINES["openvino"].runtime, reason="OpenVINO is not installed"
)


class Moved:
    """ONNX Runtime whose logits are moved."""

    def __init__(self, bundle: Bundle, by: float) -> None:
        self._engine = OnnxEngine(bundle.model_bytes(), threads=1)
        self._by = np.array([by, -by], np.float32)

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        outputs = dict(self._engine.run(inputs, names))
        return outputs | {"logits": outputs["logits"] + self._by}


def moved(monkeypatch: pytest.MonkeyPatch, by: float, name: str = "openvino") -> None:
    """Put an engine whose logits are moved in the place of another, the only one besides."""
    kind = EngineKind("moved", lambda bundle, threads: Moved(bundle, by), ("numpy",))
    first = {"onnxruntime": ENGINES["onnxruntime"], name: kind}
    monkeypatch.setattr(choice, "ENGINES", first)
    monkeypatch.setattr(engines, "ENGINES", first)
    monkeypatch.setattr(facts, "ENGINES", first)


@needs_openvino
@pytest.mark.parametrize("fixture", ["tiny_bundle", "tiny_reader"])
def test_openvino_gives_the_outputs_of_onnx_runtime(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(fixture)
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, (3, *bundle.pipeline.example_size, 3), dtype=np.uint8)
    expected = OnnxEngine(bundle.model_bytes()).run(inputs)
    engine = OpenVinoEngine(bundle.model_bytes())
    found = engine.run(inputs)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_allclose(found[name], values, atol=1e-3, rtol=1e-4)
    (name, *_) = expected
    assert engine.run(inputs[:1], [name]).keys() == {name}


@needs_openvino
def test_runs_of_openvino_in_several_threads_do_not_mix(tiny_bundle: Bundle) -> None:
    engine = OpenVinoEngine(tiny_bundle.model_bytes(), threads=1)
    onnx = OnnxEngine(tiny_bundle.model_bytes(), threads=1)
    rng = np.random.default_rng(0)
    inputs = [rng.integers(0, 256, (1 + i % 3, 16, 16, 3), dtype=np.uint8) for i in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(engine.run, inputs))
    for given, outputs in zip(inputs, found, strict=True):
        np.testing.assert_allclose(outputs["logits"], onnx.run(given)["logits"], atol=1e-4)


@needs_openvino
def test_openvino_sends_nothing_and_leaves_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    # OpenVINO's converter reports to its makers when it is imported, and a program of its own
    # does the sending.
    code = f"""
import sys
def refuse(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "subprocess.", "os.posix_spawn")):
        raise SystemExit(f"{{event}} {{arguments}}")
sys.addaudithook(refuse)
import numpy as np
import foveal
model = foveal.load({str(tiny_bundle.path)!r}, engine="openvino")
assert model.predict(np.zeros((16, 16, 3), np.uint8)).label == "circle"
assert "openvino" in sys.modules
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
assert "openvino.tools.ovc" not in sys.modules
"""
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=120)
    assert list(home.iterdir()) == []


@needs_openvino
def test_openvino_does_not_guess_the_format_of_a_network() -> None:
    with pytest.raises(FovealError, match=r"OpenVINO cannot load model\.onnx"):
        OpenVinoEngine(b"<?xml version='1.0'?><net name='a' version='11'></net>")


@needs_openvino
def test_sixteen_bits_are_refused_where_the_processor_lacks_them(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "INT8"])
    with pytest.raises(UsageError, match="no bf16 instructions") as caught:
        choose(Predictor(tiny_bundle), "openvino-bf16")
    assert caught.value.error_code == "engine_unavailable"


def test_what_is_not_installed_is_named_with_the_command_that_installs_it(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match="OpenVINO, which is not installed") as caught:
        choose(Predictor(tiny_bundle), "openvino")
    assert caught.value.hint is not None and "[openvino]" in caught.value.hint
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    for name in ("cuda", "tensorrt"):
        with pytest.raises(MissingExtraError, match="onnxruntime-gpu") as caught:
            choose(Predictor(tiny_bundle), name)
        assert caught.value.hint is not None and "onnxruntime-gpu" in caught.value.hint


class FakeSession:
    """A session that says which providers it has."""

    there: tuple[str, ...] = ()
    asked: dict[str, object]

    def __init__(self, model: bytes, **asked: object) -> None:
        type(self).asked = asked

    def get_providers(self) -> list[str]:
        return [*self.there, "CPUExecutionProvider"]

    def get_inputs(self) -> list[types.SimpleNamespace]:
        return [types.SimpleNamespace(name="image")]

    def get_outputs(self) -> list[types.SimpleNamespace]:
        return [types.SimpleNamespace(name="logits")]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("cuda", ["CUDAExecutionProvider"]),
        ("tensorrt", ["TensorrtExecutionProvider", "CUDAExecutionProvider"]),
    ],
)
def test_a_provider_that_onnx_runtime_silently_goes_without_is_an_error(
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    wanted: list[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: wanted)
    # It came with 1.21.
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr("onnxruntime.InferenceSession", FakeSession)
    monkeypatch.setattr(FakeSession, "there", tuple(wanted))
    ENGINES[name].open(tiny_bundle, 1)
    assert FakeSession.asked["providers"] == [*wanted, "CPUExecutionProvider"]
    assert FakeSession.asked["enable_fallback"] == 0
    monkeypatch.setattr(FakeSession, "there", ())
    with pytest.raises(UsageError, match="it uses CPUExecutionProvider") as caught:
        ENGINES[name].open(tiny_bundle, 1)
    assert caught.value.error_code == "engine_unavailable"


def test_plans_of_tensorrt_lie_where_nobody_else_writes(
    tiny_bundle: Bundle, tiny_reader: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    options = engines._tensorrt_options(tiny_bundle)
    folder = Path(options["trt_engine_cache_path"])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.name == tiny_bundle.manifest.files["model.onnx"]
    assert options["trt_profile_max_shapes"] == "image:64x16x16x3"
    # A line has any width.
    reader, pipeline = engines._tensorrt_options(tiny_reader), tiny_reader.pipeline
    assert reader["trt_profile_min_shapes"] == f"image:1x{pipeline.height}x32x3"
    assert reader["trt_profile_max_shapes"] == f"image:64x{pipeline.height}x{pipeline.width}x3"


def test_a_provider_that_is_not_in_this_build_is_refused_without_falling_back(
    tiny_bundle: Bundle,
) -> None:
    with pytest.raises(UsageError) as caught, pytest.warns(UserWarning, match="not in available"):
        OnnxEngine(tiny_bundle.model_bytes(), providers=[Provider("CUDAExecutionProvider", {})])
    assert caught.value.error_code == "engine_unavailable"


def test_an_engine_that_answers_differently_is_refused(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, 2.0)
    with pytest.raises(ParityError, match="openvino answers differently") as caught:
        choose(Predictor(tiny_bundle), "openvino")
    assert caught.value.hint == "use --engine onnxruntime"


def test_one_that_gives_no_number_is_refused(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, float("nan"))
    with pytest.raises(FovealError, match="NaN or infinity"):
        choose(Predictor(tiny_bundle), "openvino")


def test_auto_goes_on_without_what_cannot_be_taken_and_says_why(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, 2.0)
    chosen = choose(Predictor(tiny_bundle, threads=1), "auto")
    assert isinstance(chosen, ChosenEngine)
    assert chosen.facts.name == "onnxruntime"
    said = chosen.facts.to_json()
    assert said["asked"] == "auto"
    assert "answers differently" in said["others"]["openvino"]
    assert said["pictures_per_s"].keys() == {"1", "8"}


def test_auto_takes_a_faster_engine_with_its_proof(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, 1e-4)
    monkeypatch.setattr(choice, "fastest", lambda times, first: "openvino")
    chosen = choose(Predictor(tiny_bundle, threads=1), "auto")
    said = chosen.facts.to_json() if isinstance(chosen, ChosenEngine) else {}
    assert said["name"] == "openvino"
    assert said["proof"]["samples"] >= 8
    assert 0 < said["proof"]["max_probability_difference"] <= 0.01
    assert said["others"]["onnxruntime"].keys() == {"1", "8"}


def test_processes_that_serve_together_take_the_same_engine(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, 1e-4)
    raced: list[str] = []

    def pick(times: Times, first: str) -> str:
        raced.append(first)
        return "openvino"

    monkeypatch.setattr(choice, "fastest", pick)
    first, second = (choose(Predictor(tiny_bundle), "auto", tmp_path) for _ in range(2))
    assert raced == ["onnxruntime"]
    assert facts_of(first) == facts_of(second)


@pytest.mark.parametrize(
    ("alone", "together", "chosen"),
    [
        (1.0, 1.0, "a"),  # as fast
        (0.97, 0.97, "a"),  # may be chance
        (0.5, 0.5, "b"),
        (1.02, 0.6, "b"),
        (1.2, 0.3, "a"),  # slower for a picture alone
    ],
)
def test_an_engine_is_taken_if_it_is_clearly_faster_and_never_slower(
    alone: float, together: float, chosen: str
) -> None:
    # The machine is busy in the middle; both engines meet that.
    busy = [1.0, 9.0, 1.0, 1.0]
    times = {
        size: {"a": busy, "b": [ratio * s for s in busy]}
        for size, ratio in ((1, alone), (8, together))
    }
    assert fastest(times, "a") == chosen
    assert rates(times, "a") == {1: 1.0, 8: 8.0}


def test_a_race_is_short_and_large_inputs_run_one_by_one(tiny_bundle: Bundle) -> None:
    sizes: list[int] = []

    class Counted:
        def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
            sizes.append(len(inputs))
            return {}

    found = race({"a": Counted(), "b": Counted()}, (1024, 1024))
    assert list(found) == [1] and set(sizes) == {1}
    assert len(found[1]["a"]) == len(found[1]["b"]) <= 25


def test_an_unknown_engine_is_refused_with_the_nearest(tiny_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="Did you mean 'openvino'"):
        foveal.load(tiny_bundle.path, engine="openvno")


@needs_openvino
def test_a_model_says_its_engine_and_keeps_it_when_it_is_pickled(tiny_bundle: Bundle) -> None:
    model = foveal.load(tiny_bundle.path, engine="openvino")
    said = model.info()["engine"]
    assert said["name"] == "openvino" and said["proof"]["label_agreement"] == 1.0
    assert pickle.loads(pickle.dumps(model)).info()["engine"]["name"] == "openvino"
    plain = foveal.load(tiny_bundle.path).info()["engine"]
    assert plain["name"] == plain["asked"] == "onnxruntime"
    assert plain["runtime"].startswith("onnxruntime") and "proof" not in plain


def test_another_engine_may_be_asked_of_a_model_that_has_one(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, 1e-4)
    first = choose(Predictor(tiny_bundle), "openvino")
    opened = Predictor(tiny_bundle, engine=first)
    assert choose(opened, "openvino") is first
    back: Engine = choose(opened, "onnxruntime")
    assert isinstance(back, OnnxEngine)


PROOF = {
    "samples": 300,
    "label_agreement": 0.99,
    "metric": "accuracy",
    "bundle": 0.95,
    "export": 0.94,
}


def measured_for(bundle: Bundle, name: str, largest: float) -> Bundle:
    """Return the bundle, calibrated for an engine whose probabilities differ by so much."""
    measured = MeasuredEngine(Calibration(temperature=3.0), PROOF, 0.0, largest)
    return replace(bundle, manifest=with_measured(bundle.manifest, name, measured))


def test_an_engine_that_the_bundle_was_calibrated_for_answers_with_its_own_calibration(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, 0.3, "openvino-bf16")
    with pytest.raises(ParityError, match="openvino-bf16 answers differently"):
        choose(Predictor(tiny_bundle), "openvino-bf16")
    bundle = measured_for(tiny_bundle, "openvino-bf16", 1.0)
    engine = choose(Predictor(bundle), "openvino-bf16")
    own = bundle_for(bundle, engine)
    assert own.manifest.calibration.temperature == 3.0
    said = engine.facts.to_json() if isinstance(engine, ChosenEngine) else {}
    assert said["proof"]["validation"]["samples"] == 300
    # The next engine takes the bundle's calibration again.
    back = choose(Predictor(own, engine=engine), "onnxruntime")
    assert bundle_for(own, back).manifest.calibration == tiny_bundle.manifest.calibration


def test_an_engine_may_not_be_further_off_than_where_it_was_measured(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, 2.0, "openvino-bf16")
    bundle = measured_for(tiny_bundle, "openvino-bf16", 0.001)
    with pytest.raises(ParityError, match="from where the bundle was calibrated") as caught:
        choose(Predictor(bundle), "openvino-bf16")
    assert caught.value.hint is not None and "--bf16" in caught.value.hint


def test_what_a_bundle_states_of_an_engine_is_read_back(tiny_bundle: Bundle) -> None:
    manifest = measured_for(tiny_bundle, "openvino-bf16", 0.5).manifest
    read = Manifest.from_json(json.dumps(manifest.to_json()).encode())
    assert measured_engine(read, "openvino-bf16") == MeasuredEngine(
        Calibration(temperature=3.0), PROOF, 0.0, 0.5
    )
    assert measured_engine(read, "cuda") is None
    broken = {**read.parity["engines"]["openvino-bf16"], "calibration": {"temperature": 0}}
    spoilt = replace(read, parity={**read.parity, "engines": {"openvino-bf16": broken}})
    with pytest.raises(BundleError, match="engines in parity"):
        measured_engine(spoilt, "openvino-bf16")
