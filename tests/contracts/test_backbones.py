"""Every registered backbone keeps the contract that plug-ins are tested by."""

from __future__ import annotations

import pytest

from foveal.models.backbones import BACKBONES
from foveal.testing import check_backbone

# Deeper copies of lite 0: their exports would only cost time.
_COPIES = {"efficientnet_lite1", "efficientnet_lite2"}


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_keeps_the_contract(name: str) -> None:
    check_backbone(name, export=name not in _COPIES)
