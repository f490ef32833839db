"""What a format needs on a machine, and the command that installs it. Imports nothing of it."""

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
    """Something that must be on the machine.

    Attributes:
        name: What it is, for people.
        is_here: Whether it is; cheap, and without loading it.
        install: Returns the command that installs it.
    """

    name: str
    is_here: Callable[[], bool]
    install: Callable[[], str]


def package(module: str, *, extra: str, name: str | None = None) -> Need:
    """Return the need for a Python package.

    Args:
        module: What is imported.
        extra: The extra of foveal that installs it.
        name: What people call it; None takes the module's name.
    """
    return Need(name or module, partial(_is_installed, module), partial(install_extra, extra))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # Of a module inside a package that is not there.
        return False
