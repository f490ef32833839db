"""Every registered check and export format keeps the contract that plug-ins are tested by."""

from __future__ import annotations

import pytest

from foveal.bundle import Bundle
from foveal.checks import CHECKS
from foveal.export.formats import FORMATS
from foveal.testing import check_check, check_export


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_keeps_the_contract(name: str) -> None:
    check_check(name)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_keeps_the_contract(name: str, tiny_bundle: Bundle) -> None:
    check_export(name, tiny_bundle.path)
