"""A torch network of the user's own: trained, resumed and used where its code is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from drawing import DrawFolder

NETWORK = """
import torch
from torch import nn

def make():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
    )

class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)

    def forward(self, images):
        maps = self.conv(images)
        return maps * 2 if maps.mean() > 0.3 else maps

class Noisy(Branching):
    def forward(self, images):
        maps = self.conv(images)
        return maps + 5 * torch.rand_like(maps)
"""

LAYERS = """
import sys
import foveal
model = foveal.load(sys.argv[1])
print(model(sys.argv[2]).label)
try:
    model.layers()
except foveal.FovealError as error:
    print(error.message, error.hint)
sys.path.insert(0, sys.argv[3])
import mynet
print(model.layers()[0][0])
"""


def foveal_command(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "foveal", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, draw_folder: DrawFolder) -> Path:
    root = tmp_path_factory.mktemp("own")
    draw_folder(root / "photos", n=40)
    (root / "mynet.py").write_text(NETWORK)
    return root


@pytest.mark.slow
def test_it_trains_resumes_and_answers_without_its_code(folder: Path, tmp_path: Path) -> None:
    small = ["--image-size", "16", "--set", "train.batch_size=16", "--quiet"]
    words = ["train", "photos", "--backbone", "mynet:make", "--epochs", "6", *small]
    done = foveal_command(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    run = folder / "runs" / "classify" / "photos"

    # Elsewhere its answers need none of the code, its layers do and say so.
    picture = folder / "photos" / "circle" / "0.png"
    code = [sys.executable, "-c", LAYERS, run / "bundle", picture, folder]
    used = subprocess.run(code, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert used.returncode == 0, used.stderr
    answer, refused, layer = used.stdout.splitlines()
    assert answer == "circle"
    assert "need the code of its backbone 'mynet:make'" in refused
    assert refused.endswith("import mynet")
    assert layer == "backbone.net.0"

    elsewhere = foveal_command("train", "--continue", run, "--epochs", "+1", cwd=tmp_path)
    assert elsewhere.returncode == 2
    assert "Cannot import the backbone 'mynet:make'" in elsewhere.stderr
    assert len((run / "results.csv").read_text().splitlines()) == 1 + 6
    resumed = foveal_command("train", "--continue", run, "--epochs", "+1", "--quiet", cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    assert len((run / "results.csv").read_text().splitlines()) == 1 + 6 + 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Branching", "cannot be exported to ONNX"),
        ("Noisy", "returns different outputs after export"),
    ],
)
def test_what_cannot_ship_is_refused_before_anything_is_decoded(
    name: str, message: str, folder: Path
) -> None:
    words = ["train", "photos", "--backbone", f"mynet:{name}", "--image-size", "16", "--out", "no"]
    done = foveal_command(*words, cwd=folder)
    assert done.returncode == 2
    assert message in done.stderr
    # Torch may warn beside it, but there is no traceback.
    assert [line.partition(":")[0] for line in done.stderr.splitlines()[-2:]] == ["error", "hint"]
    assert "Traceback" not in done.stderr
    assert not (folder / "no").exists()
