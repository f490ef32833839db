"""Tasks: one folder each. `get_task` finds the torch-free half, `get_training` the torch half."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

from foveal.errors import UsageError, unknown_name
from foveal.tasks.base import Task

if TYPE_CHECKING:
    from foveal.tasks.training import TaskTraining

__all__ = ["Task", "get_task", "get_training", "list_tasks"]


def list_tasks() -> list[str]:
    """Return the names of all tasks: the folders beside this file."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def get_task(name: str) -> type[Task[Any, Any]]:
    """Return the torch-free half of the task called `name`.

    Raises:
        UsageError: When there is no such task.
    """
    if name not in list_tasks():
        raise UsageError(unknown_name("task", name, list_tasks()))
    task: type[Task[Any, Any]] = import_module(f"foveal.tasks.{name}.task").TASK
    return task


def get_training(name: str) -> TaskTraining:
    """Return the torch half of the task called `name`.

    Raises:
        UsageError: When there is no such task.
    """
    if name not in list_tasks():
        raise UsageError(unknown_name("task", name, list_tasks()))
    training: TaskTraining = import_module(f"foveal.tasks.{name}.training").TRAINING
    return training
