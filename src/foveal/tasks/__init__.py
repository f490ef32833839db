"""Tasks, one folder each. `get_task` returns the torch-free half, `get_training` the torch half."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from foveal.registry import Registry
from foveal.tasks.base import Task

if TYPE_CHECKING:
    from foveal.tasks.training import TaskTraining

__all__ = ["TASKS", "Task", "get_task", "get_training"]

TASKS: Registry[ModuleType] = Registry("task", ModuleType, group="foveal.tasks")
"""The package of each task, which holds the modules `task` and `training`. A task's package itself
imports nothing, so that only the task that is asked for is read."""

for _module in pkgutil.iter_modules(__path__):
    if _module.ispkg:
        TASKS.add(_module.name, import_module(f"{__name__}.{_module.name}"))


def get_task(name: str) -> type[Task]:
    """Return the torch-free half of the task called `name`.

    Raises:
        UsageError: If the task is unknown.
        PluginError: If it belongs to a plug-in that does not work.
    """
    task: type[Task] = _half(name, "task", "TASK")
    return task


def get_training(name: str) -> type[TaskTraining]:
    """Return the torch half of the task called `name`.

    Raises:
        UsageError: If the task is unknown.
        PluginError: If it belongs to a plug-in that does not work.
    """
    training: type[TaskTraining] = _half(name, "training", "TRAINING")
    return training


def _half(name: str, module: str, attribute: str) -> Any:
    package = TASKS[name].__name__
    with TASKS.blaming(name):
        return getattr(import_module(f"{package}.{module}"), attribute)
