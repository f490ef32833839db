"""The public surface: this list is the promise; everything else may change."""

import inspect
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import FunctionType
from typing import get_type_hints

import pytest

import foveal
from foveal.bundle import Bundle
from foveal.cli.tune import tune as tune_command
from foveal.recipe.knobs import KNOBS
from foveal.server.options import ServerOptions

PUBLIC = [
    "Answer",
    "Answers",
    "FovealError",
    "Model",
    "__version__",
    "check",
    "clean",
    "cleanings",
    "collect",
    "compare",
    "corrections",
    "deploy",
    "evaluate",
    "explain",
    "export",
    "extend",
    "find_lr",
    "jobs",
    "load",
    "open_store",
    "predict",
    "preprocess",
    "resume",
    "review",
    "serve",
    "split",
    "submit",
    "synth",
    "train",
    "tune",
    "watch",
]
FUNCTIONS = [name for name in PUBLIC if name.islower() and name != "__version__"]


def test_the_public_names_are_these() -> None:
    assert sorted(foveal.__all__) == PUBLIC
    assert dir(foveal) == PUBLIC


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_a_documented_function(name: str) -> None:
    function = getattr(foveal, name)
    assert isinstance(function, FunctionType)
    assert function.__doc__
    assert function.__module__.startswith("foveal.api.")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_documented(name: str) -> None:
    function = getattr(foveal, name)
    parameters = inspect.signature(function).parameters
    doc = function.__doc__
    assert [parameter for parameter in parameters if f"{parameter}:" not in doc] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"no 'trian'\. Did you mean 'train'"):
        foveal.trian  # noqa: B018  # The access is the test.


def test_a_function_stays_a_function_after_its_package_was_imported() -> None:
    # Python binds a subpackage to its parent's attribute when it is first imported; see
    # docs/decisions/0005. A fresh process, since this one has imported them already.
    code = (
        "import foveal\n"
        "first = foveal.predict\n"
        "from foveal.predict import Predictor\n"
        "import foveal.predict.engine, foveal.synth.fonts, foveal.explain.evidence\n"
        "from foveal.predict.engine import OnnxEngine\n"
        "from types import FunctionType as F\n"
        "assert foveal.predict is first, foveal.predict\n"
        "assert isinstance(foveal.synth, F) and isinstance(foveal.explain, F)\n"
        "from foveal import predict\n"
        "assert predict is first\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_serve_spells_out_every_option_of_the_server() -> None:
    parameters = inspect.signature(foveal.serve).parameters
    hints = get_type_hints(ServerOptions)
    options = {field.name: field.default for field in fields(ServerOptions)}
    others = {"models", "store", "canary", "shadow", "on", "replicas", "on_ready"}
    spelled = {n: p for n, p in parameters.items() if n not in others}
    assert {name: parameter.default for name, parameter in spelled.items()} == options
    served = get_type_hints(foveal.serve, localns={"Model": foveal.Model})
    # A path may be written as text.
    paths = {name for name in options if hints[name] == Path | None}
    asked = {name: str | Path | None if name in paths else hints[name] for name in options}
    assert {name: served[name] for name in options} == asked


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_function_takes_arguments_that_are_not_named(name: str) -> None:
    kinds = [p.kind for p in inspect.signature(getattr(foveal, name)).parameters.values()]
    assert inspect.Parameter.VAR_KEYWORD not in kinds


def test_importing_foveal_imports_next_to_nothing() -> None:
    code = "import sys, foveal; print(sorted({'numpy', 'PIL', 'rich', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_onnx_runtime_reports_nothing_to_its_makers(tiny_bundle: Bundle, tmp_path: Path) -> None:
    # What it would send it first keeps in the home directory, with an identifier of the machine.
    # Not with the variables of this process: in CI it is silent by itself.
    environment = {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    code = f"import foveal; foveal.load({str(tiny_bundle.path)!r}).predictor"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []


def test_the_tune_command_offers_no_setting_that_tune_does_not_take() -> None:
    offered = set(inspect.signature(tune_command).parameters) & set(KNOBS)
    assert offered == set(inspect.signature(foveal.tune).parameters) & set(KNOBS) - {"budget_s"}
