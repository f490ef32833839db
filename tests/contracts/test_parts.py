"""Every registered check and export format keeps the contract that plug-ins are tested by."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveal.bundle import Bundle
from foveal.checks import CHECKS
from foveal.export.formats import FORMATS, Format
from foveal.export.job import ExportJob
from foveal.testing import check_check, check_export


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_keeps_the_contract(name: str) -> None:
    check_check(name)


# The others are proven on the pictures of a run, beside the tests of their own.
@pytest.mark.parametrize("name", [name for name in FORMATS if not FORMATS[name].needs])
def test_a_format_keeps_the_contract(name: str, tiny_bundle: Bundle) -> None:
    check_export(name, tiny_bundle.path)


def write_folder(job: ExportJob, out: Path) -> None:
    (out / "part").mkdir(parents=True)
    (out / "part" / "model.onnx").write_bytes(job.bundle.model_bytes())


def test_a_format_that_writes_nothing_is_said_to(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS._own, "none", Format("none", ".x", lambda job, out: None))
    with pytest.raises(FileNotFoundError, match="it wrote nothing"):
        check_export("none", tiny_bundle.path)


def test_a_format_may_be_a_folder_if_it_says_so(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS._own, "parts", Format("in parts", ".d", write_folder, True))
    check_export("parts", tiny_bundle.path)
    monkeypatch.setitem(FORMATS._own, "parts", Format("in parts", ".d", write_folder))
    with pytest.raises(AssertionError, match="it writes a file, as it says"):
        check_export("parts", tiny_bundle.path)
