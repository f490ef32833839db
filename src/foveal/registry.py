"""Tables by name: what foveal brings, and what other packages add to it by entry points.

Entry points are looked for only when a name is asked for that foveal does not bring, or when
names are listed: neither `import foveal` nor a prediction pays for them. A plug-in that does not
work is named, and stops nothing but what asked for it.
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
    """An entry point of another package.

    Attributes:
        group: Such as `foveal.backbones`.
        name: The name that it adds.
        value: Where it lies: `package.module:attribute`, or `package.module`.
        package: The distribution that declares it.
        version: Version of the distribution.
    """

    group: str
    name: str
    value: str
    package: str
    version: str


class Registry(Generic[T]):
    """Names of one kind of thing: foveal's own, added at import, and those of plug-ins.

    Args:
        kind: What is registered, as it appears in errors ("backbone").
        item_type: What an entry must be an instance of.
        group: Group of the entry points by which packages add entries; None takes none.
    """

    def __init__(self, kind: str, item_type: type[Any], *, group: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self._type = item_type
        self._own: dict[str, T] = {}
        self._loaded: dict[Plugin, T] = {}

    def add(self, name: str, item: T) -> T:
        """Register `item` under `name` and return it.

        Raises:
            ValueError: When the name is taken.
        """
        if name in self._own:
            raise ValueError(f"Invalid {self.kind} registration: {name!r} is taken already.")
        self._own[name] = item
        return item

    @cached_property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every entry point of the group, whether it works or not, by name and package."""
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
        """Return what an entry point names.

        Raises:
            PluginError: When its name is taken, its code fails, or it is of another type.
        """
        if plugin not in self._loaded:
            if plugin.name in self._own:
                raise self._broken(plugin, "the name is taken by foveal itself")
            for other in self.plugins:
                if other.name == plugin.name and other != plugin:
                    raise self._broken(plugin, f"{other.package} adds the same name")
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
        """Name the plug-in when code of the entry `name` raises anything but a `FovealError`.

        Errors of foveal's own entries pass as they are: they are bugs.

        Raises:
            PluginError: In place of what the plug-in raised.
        """
        try:
            yield
        except Exception as error:  # another package's code may raise anything
            plugin = None if name in self._own else self._find(name)
            if plugin is None or isinstance(error, FovealError):
                raise
            raise self._broken(plugin, _in_a_line(error)) from error

    def works(self) -> Iterator[tuple[str, T]]:
        """Yield every name and its entry; log a warning for each plug-in that does not work."""
        yield from self._own.items()
        for plugin in self.plugins:
            try:
                item = self.load(plugin)
            except PluginError as error:
                logger.warning("%s", error.message)
            else:
                yield plugin.name, item

    def __getitem__(self, name: str) -> T:
        """Return the entry called `name`.

        Raises:
            UsageError: When there is none; the message names the nearest.
            PluginError: When it is a plug-in's and does not work.
        """
        if name in self._own:
            return self._own[name]
        plugin = self._find(name)
        if plugin is None:
            hint = "foveal doctor" if self.group else None
            raise UsageError(unknown_name(self.kind, name, self), hint=hint)
        return self.load(plugin)

    def __contains__(self, name: object) -> bool:
        """Tell whether `name` is registered, by foveal or by a plug-in that may be broken."""
        return name in self._own or any(plugin.name == name for plugin in self.plugins)

    def __iter__(self) -> Iterator[str]:
        """Iterate over all names: foveal's in order of registration, then those of plug-ins."""
        return iter(dict.fromkeys([*self._own, *(plugin.name for plugin in self.plugins)]))

    def __len__(self) -> int:
        """Return how many names there are."""
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
