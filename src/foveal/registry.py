"""Registries of named items: foveal's own, and those that plug-ins add by entry points.

Entry points are searched only when an unknown name is requested or the names are listed, so that
neither `import foveal` nor a prediction pays for them. A broken plug-in is reported by name, and
only affects code that requests it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from operator import attrgetter
from typing import Any, Generic, TypeVar, final

from foveal.errors import FovealError, PluginError, UsageError, unknown_name

T = TypeVar("T")

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point of a plug-in package.

    Attributes:
        group: Entry-point group, such as `foveal.backbones`.
        name: Name of the added item.
        value: Object reference: `package.module:attribute`, or `package.module`.
        package: Distribution that declares the entry point.
        version: Version of the distribution.
    """

    group: str
    name: str
    value: str
    package: str
    version: str


class Registry(Generic[T]):
    """The named items of one kind: foveal's own, registered at import, and those of plug-ins.

    Args:
        kind: Name of the kind for error messages, such as "backbone".
        item_type: Type that items must be instances of.
        group: Entry-point group of plug-ins; None allows no plug-ins.
        listing: Command that lists the names, as the hint for an unknown one; None takes
            `foveal doctor`, which lists plug-ins, if there may be any.
    """

    def __init__(
        self,
        kind: str,
        item_type: type[Any],
        *,
        group: str | None = None,
        listing: str | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self._hint = listing or ("foveal doctor" if group else None)
        self._type = item_type
        self._own: dict[str, T] = {}
        self._loaded: dict[Plugin, T] = {}

    def add(self, name: str, item: T) -> T:
        """Register `item` under `name` and return it.

        Raises:
            ValueError: If the name is taken.
        """
        if name in self._own:
            raise ValueError(f"Invalid {self.kind} registration: {name!r} is already registered.")
        self._own[name] = item
        return item

    @cached_property
    def plugins(self) -> tuple[Plugin, ...]:
        """All entry points of the group, working or not, sorted by name and package."""
        if self.group is None:
            return ()
        # 70 ms, which those who use only what foveal brings do not pay.
        from importlib.metadata import entry_points

        found = (
            Plugin(self.group, point.name, point.value, point.dist.name, point.dist.version)
            for point in entry_points(group=self.group)
            if point.dist is not None
        )
        return tuple(sorted(found, key=lambda plugin: (plugin.name, plugin.package)))

    def load(self, plugin: Plugin) -> T:
        """Load the object of an entry point.

        Raises:
            PluginError: If its name is taken, its code fails, or the object has the wrong type.
        """
        if plugin not in self._loaded:
            if plugin.name in self._own:
                raise self._broken(plugin, "the name is already used by foveal")
            for other in self.plugins:
                if other.name == plugin.name and other != plugin:
                    raise self._broken(plugin, f"the package {other.package} adds the same name")
            try:
                item = _import(plugin.value)
            except Exception as error:  # another package's code may raise anything
                raise self._broken(plugin, _in_a_line(error)) from error
            if not isinstance(item, self._type):
                expected = f"expected a {self._type.__name__}, received: {type(item).__name__}"
                raise self._broken(plugin, expected)
            self._loaded[plugin] = item
        return self._loaded[plugin]

    @contextmanager
    def blaming(self, name: str) -> Iterator[None]:
        """Raise a PluginError if code of the item `name` raises anything but a `FovealError`.

        Exceptions of foveal's own items are not changed: they are bugs.

        Raises:
            PluginError: In place of the exception of the plug-in.
        """
        try:
            yield
        except Exception as error:  # another package's code may raise anything
            plugin = None if name in self._own else self._find(name)
            if plugin is None or isinstance(error, FovealError):
                raise
            raise self._broken(plugin, _in_a_line(error)) from error

    def works(self) -> Iterator[tuple[str, T]]:
        """Yield every name and item; log a warning for each broken plug-in."""
        yield from self._own.items()
        for plugin in self.plugins:
            try:
                item = self.load(plugin)
            except PluginError as error:
                logger.warning("%s", error.message)
            else:
                yield plugin.name, item

    def __getitem__(self, name: str) -> T:
        """Return the item called `name`.

        Raises:
            UsageError: If there is none; the message suggests the closest name.
            PluginError: If it belongs to a plug-in that does not work.
        """
        if name in self._own:
            return self._own[name]
        plugin = self._find(name)
        if plugin is None:
            raise UsageError(unknown_name(self.kind, name, self), hint=self._hint)
        return self.load(plugin)

    def __contains__(self, name: object) -> bool:
        """Return whether `name` is registered by foveal or by a plug-in, which may be broken."""
        return name in self._own or any(plugin.name == name for plugin in self.plugins)

    def __iter__(self) -> Iterator[str]:
        """Iterate over all names: foveal's in order of registration, then those of plug-ins."""
        return iter(dict.fromkeys([*self._own, *(plugin.name for plugin in self.plugins)]))

    def __len__(self) -> int:
        """Return the number of names."""
        return len(list(iter(self)))

    def _find(self, name: str) -> Plugin | None:
        return next((plugin for plugin in self.plugins if plugin.name == name), None)

    def _broken(self, plugin: Plugin, why: str) -> PluginError:
        return PluginError(
            f"The {self.kind} {plugin.name!r} of the package {plugin.package} {plugin.version} "
            f"({plugin.value}) does not work: {why}",
            hint=f"pip install --upgrade {plugin.package}",
        )


def _import(value: str) -> Any:
    module, _, attribute = value.partition(":")
    imported = import_module(module)
    return attrgetter(attribute)(imported) if attribute else imported


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
