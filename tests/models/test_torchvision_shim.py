import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from foveal.errors import MissingExtraError
from foveal.models import torchvision_shim


def test_timm_and_torchvision_import_in_a_fresh_process() -> None:
    program = (
        "from foveal.models.torchvision_shim import import_timm\n"
        "timm = import_timm()\n"
        "import torch, torchvision\n"
        "print(timm.__name__, torchvision.ops.nms.__name__, torch.ops.torchvision.nms)\n"
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )

    assert done.stdout == "timm nms torchvision.nms\n", done.stderr


def test_an_extension_that_cannot_load_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "_C.so").write_bytes(b"not a library")
    spec = ModuleSpec("torchvision", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(torchvision_shim, "find_spec", lambda name: spec)

    assert not torchvision_shim.extension_loads()


def test_nothing_is_declared_where_there_is_no_torchvision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torchvision_shim, "find_spec", lambda name: None)

    assert torchvision_shim.extension_loads()


def test_a_missing_timm_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("foveal.extras.import_module", absent)

    with pytest.raises(MissingExtraError, match="needs timm and torchvision, which"):
        torchvision_shim.import_timm.__wrapped__()
