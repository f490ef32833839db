"""What neither ruff nor import-linter checks about the source: contracts, names and words."""

import json
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
from PIL import Image as PILImage

from foveal.bundle import Bundle
from foveal.extras import install_extra

SOURCE = Path(__file__).resolve().parents[1] / "src" / "foveal"

BLOCK = """
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "timm", "onnx", "tensorboard", "ray"}:
            raise ImportError(f"{name} is blocked in this test")

sys.meta_path.insert(0, Blocked())
"""

PREDICT_AND_SERVE = """
import json, urllib.request
import foveal

bundle, picture = sys.argv[1:]
model = foveal.load(bundle)
record = foveal.predict(model, picture).record
explanation = foveal.explain(model, picture)
handle = model.serve()
try:
    with open(picture, "rb") as file:
        request = urllib.request.Request(f"{handle.url}/predict/{model.bundle.name}", file.read())
    with urllib.request.urlopen(request) as response:
        served = json.load(response)
finally:
    handle.stop()
print(json.dumps([record["label"], explanation.label, served["label"]]))
"""


def test_predicting_explaining_and_serving_need_no_torch(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    picture = tmp_path / "dark.png"
    PILImage.new("RGB", (16, 16), (20, 20, 20)).save(picture)

    done = subprocess.run(
        [sys.executable, "-c", BLOCK + PREDICT_AND_SERVE, str(tiny_bundle.path), str(picture)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["circle", "circle", "circle"]


EVALUATE = """
import json
import foveal

evaluation = foveal.evaluate(sys.argv[1], sys.argv[2], out=sys.argv[3])
print(json.dumps(evaluation.to_json()["metrics"]["accuracy"]["value"]))
"""


def test_evaluating_needs_no_torch(tiny_bundle: Bundle, tmp_path: Path) -> None:
    for name, shade in (("circle", 20), ("square", 240)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(4):
            picture = PILImage.new("RGB", (16, 16), (shade + i, shade, shade))
            picture.save(tmp_path / "data" / name / f"{i}.png")

    paths = [str(tiny_bundle.path), str(tmp_path / "data"), str(tmp_path / "report")]
    done = subprocess.run(
        [sys.executable, "-c", BLOCK + EVALUATE, *paths],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == 1.0
    assert (tmp_path / "report" / "report.html").is_file()


def test_training_without_torch_says_what_to_install(tmp_path: Path) -> None:
    code = BLOCK + "import sys\nfrom foveal.cli.main import run\nsys.exit(run(['train', 'photos']))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "Training needs torch" in done.stderr
    assert done.stderr.splitlines()[-1] == f"hint: {install_extra('train')}"


def test_importing_foveal_loads_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import foveal; "
        "print(*sorted(m for m in set(sys.modules) - before if m.partition('.')[0] == 'foveal' "
        "or m in {'numpy', 'torch', 'PIL'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["foveal", "foveal.version"]


def test_no_module_is_named_after_nothing_in_particular() -> None:
    vague = {"utils", "util", "helpers", "common", "misc", "manager"}
    assert [p for p in SOURCE.rglob("*.py") if p.stem in vague] == []


def test_no_line_about_an_argument_begins_with_of() -> None:
    of = re.compile(r"^ +\*{0,2}\w+: Of .*", re.M)
    tests = Path(__file__).parent
    lines = {
        f"{path}: {line.strip()}"
        for path in (*SOURCE.rglob("*.py"), *tests.rglob("*.py"))
        for line in of.findall(path.read_text())
    }
    assert lines == set()


def test_no_modules_import_each_other_not_even_for_their_types() -> None:
    graph = grimp.build_graph("foveal", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    # Raises a CycleError that names the circle.
    TopologicalSorter(imports).prepare()


def test_training_imports_no_tensorflow_where_it_is_installed() -> None:
    code = "import sys, foveal.train.tensorboard; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
