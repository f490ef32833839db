"""List plug-ins, and whether they work."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from foveal.checks import CHECKS
from foveal.errors import FovealError
from foveal.export.formats import FORMATS
from foveal.registry import Registry
from foveal.synth import KINDS
from foveal.tasks import TASKS, get_task, get_training
from foveal.types import JsonObject


def list_plugins() -> list[JsonObject]:
    """Return package, version, group and name of every plug-in, and its `error` or None.

    Each is loaded, and both halves of a task, to see whether it works; what needs torch does
    not where torch is not installed.
    """
    has_torch = find_spec("torch") is not None
    found = []
    for registry in _registries(has_torch):
        for plugin in registry.plugins:
            error = None
            try:
                registry.load(plugin)
                if registry is TASKS:
                    get_task(plugin.name)
                    if has_torch:
                        get_training(plugin.name)
            except FovealError as problem:
                error = problem.message
            found.append(
                {
                    "package": plugin.package,
                    "version": plugin.version,
                    "group": plugin.group,
                    "name": plugin.name,
                    "error": error,
                }
            )
    return found


def _registries(has_torch: bool) -> list[Registry[Any]]:
    registries: list[Registry[Any]] = [TASKS, CHECKS, KINDS, FORMATS]
    if has_torch:
        # torch is an optional package.
        from foveal.models.backbones import BACKBONES

        registries.insert(1, BACKBONES)
    else:
        registries.insert(1, Registry("backbone", object, group="foveal.backbones"))
    return registries
