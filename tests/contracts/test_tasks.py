"""Every task keeps the contract that plug-ins are tested by."""

from __future__ import annotations

import pytest

from foveal.errors import UsageError
from foveal.models.backbones import BACKBONES
from foveal.tasks import TASKS, get_task, get_training
from foveal.testing import check_task

# Deep backbones whose exports for one task are run in test_backbones.py: for a free width they
# would take a minute each.
EXPORTED = [name for name in BACKBONES if not name.startswith("efficientnet")]


def test_there_are_tasks_and_an_unknown_one_names_the_nearest() -> None:
    assert {"classify", "read", "segment"} <= set(TASKS)
    with pytest.raises(UsageError, match="Did you mean 'read'"):
        get_task("raed")
    with pytest.raises(UsageError, match="Did you mean 'read'"):
        get_training("raed")


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_task_keeps_the_contract_and_ships_on_every_backbone(name: str) -> None:
    check_task(name, backbones=EXPORTED)


@pytest.mark.slow
def test_a_segmenter_that_tells_objects_apart_keeps_the_contract() -> None:
    check_task("segment", options={"instances": "patches", "core_px": 2})
