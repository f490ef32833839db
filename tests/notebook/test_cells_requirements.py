"""What cells need installed."""

from importlib.metadata import version
from pathlib import Path

import pytest

from foveal.errors import UsageError
from foveal.notebook.cells import requirements
from foveal.notebook.cells.requirements import (
    Import,
    check_requirements,
    imports,
    merged,
    read_requirements,
    requirements_of,
)


def of(source: str) -> tuple[str, ...]:
    return requirements_of(imports([("data", source)]))


def test_imports_become_packages_in_their_installed_versions() -> None:
    assert of(
        "import os, json\nimport numpy as np\nfrom PIL import Image\ndef f():\n    import yaml\n"
    ) == (
        f"numpy=={version('numpy')}",
        f"pillow=={version('pillow')}",
        f"PyYAML=={version('pyyaml')}",
    )


def test_foveal_is_not_named_for_a_job_brings_it() -> None:
    assert of("import foveal\nfrom foveal import notebook") == ()


def test_a_local_version_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements.metadata, "version", lambda name: "2.9.0+cpu")
    assert of("import torch") == ("torch==2.9.0",)


def test_packages_that_share_a_name_are_told_apart_by_their_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = {
        "cloud-storage": {"google/cloud/storage/__init__.py"},
        "cloud-tasks": {"google/cloud/tasks.py"},
        "protobuf": {"google/protobuf/message.py"},
    }
    monkeypatch.setattr(
        requirements.metadata, "packages_distributions", lambda: {"google": list(files)}
    )
    monkeypatch.setattr(requirements.metadata, "version", lambda name: "1")
    monkeypatch.setattr(requirements, "_files", lambda name: frozenset(files[name]))
    assert of("from google.cloud import storage") == ("cloud-storage==1",)
    assert of("import google.cloud.tasks") == ("cloud-tasks==1",)
    assert of("from google.protobuf.message import Message") == ("protobuf==1",)
    assert len(of("import google")) == 3


def test_a_module_of_no_package_is_refused_with_its_place() -> None:
    with pytest.raises(
        UsageError, match="Cell data, line 2: my_helpers does not belong to an installed package"
    ) as error:
        requirements_of([Import("my_helpers.more", "data", 2)])
    assert "%%foveal_code" in str(error.value.hint)


def test_what_is_given_replaces_what_was_found() -> None:
    assert merged(("numpy==2.0", "Pillow_Extra==1"), ("pillow-extra>=2", "timm")) == (
        "numpy==2.0",
        "pillow-extra>=2",
        "timm",
    )


def test_a_file_of_requirements_is_read_without_comments(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# models\ntimm>=1.0  # backbones\n\nnumpy\n", encoding="utf-8")
    assert read_requirements(file) == ("timm>=1.0", "numpy")
    file.write_text("-r other.txt\n", encoding="utf-8")
    with pytest.raises(UsageError, match="expected a package"):
        read_requirements(file)
    with pytest.raises(UsageError, match=r"none\.txt cannot be read: No such file or directory\."):
        read_requirements(tmp_path / "none.txt")


def test_what_pip_takes_is_a_requirement() -> None:
    lines = ("timm", "timm>=1.0", "ray[data] >=2,<3", "a @ https://example.org/a.whl", "b; 1 < 2")
    check_requirements(lines, "--package")
    for line in ("-r", "timm and more", "timm!!", "https://example.org/a.whl"):
        with pytest.raises(UsageError, match="expected a package"):
            check_requirements([line], "--package")
