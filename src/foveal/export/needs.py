"""Requirements of export formats, and the commands that install them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import final

from foveal.extras import install_extra


@final
@dataclass(frozen=True, slots=True)
class Need:
    """A requirement.

    Attributes:
        name: Display name.
        is_here: Returns whether it is installed; cheap, and without importing it.
        install: Returns the command that installs it.
    """

    name: str
    is_here: Callable[[], bool]
    install: Callable[[], str]


def package(module: str, *, extra: str, name: str | None = None) -> Need:
    """Return the need for a Python package.

    Args:
        module: Module to import.
        extra: The extra of foveal that installs it.
        name: Display name; None takes that of the module.
    """
    return Need(name or module, partial(_is_installed, module), partial(install_extra, extra))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # Of a module inside a package that is not there.
        return False
