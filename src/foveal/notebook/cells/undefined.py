"""Names that cells use and nothing defines: what a notebook still holds, and a job does not.

`symtable` says for every scope which names are looked for outside of it, as the compiler does.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

_ALWAYS = frozenset(dir(builtins)) | {
    "__name__", "__doc__", "__builtins__", "__annotations__", "__debug__", "__spec__",
    "__package__", "__loader__",
}  # fmt: skip
OF_NOTEBOOKS = frozenset({"display", "get_ipython", "In", "Out", "exit", "quit"})
"""What a notebook has and a program has not."""


@final
@dataclass(frozen=True, slots=True)
class Undefined:
    """A name that would not be there.

    Attributes:
        name: The name.
        cell: The cell that uses it.
        line: Where it does, from 1.
        later: The cell that defines it, when that comes later.
    """

    name: str
    cell: str
    line: int
    later: str | None = None


@final
@dataclass(frozen=True, slots=True)
class Names:
    """The result of the check for undefined names.

    Attributes:
        undefined: In the order of their use.
        stars: (cell, module) of each `from module import *` whose names are not known here; with
            one of these, nothing can be said of undefined names.
    """

    undefined: tuple[Undefined, ...]
    stars: tuple[tuple[str, str], ...]


def check_names(cells: Sequence[tuple[str, str]]) -> Names:
    """Find the names that cells use and that neither they nor Python define.

    A name that is used while a cell runs has to be defined in that cell or an earlier one. What
    a function uses may be defined in any.

    Args:
        cells: (name, Python) of each, in the order in which they run.
    """
    tables = [symtable.symtable(source, cell, "exec") for cell, source in cells]
    binds = [set(_bound(table)) for table in tables]
    stars = []
    for (cell, source), names in zip(cells, binds, strict=True):
        for module in _starred(source):
            if (loaded := sys.modules.get(module)) is not None:
                names |= _public(loaded)
            else:
                stars.append((cell, module))
    if stars:
        return Names((), tuple(stars))
    everything = _ALWAYS.union(*binds)
    so_far, found = set(_ALWAYS), []
    for (cell, source), table, names in zip(cells, tables, binds, strict=True):
        so_far |= names
        missing = (set(_used_now(table)) - so_far) | (set(_used_later(table)) - everything)
        for name, line in _lines(source, missing):
            later = next((c for (c, _), b in zip(cells, binds, strict=True) if name in b), None)
            found.append(Undefined(name, cell, line, later))
    return Names(tuple(found), ())


def _bound(table: symtable.SymbolTable) -> Iterator[str]:
    """Yield the names that a cell defines for the cells after it."""
    for symbol in table.get_symbols():
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
            yield symbol.get_name()
    for inner in _inner(table):
        for symbol in inner.get_symbols():
            # `global name` in a function, or `:=` in a comprehension.
            if symbol.is_declared_global() and symbol.is_assigned():
                yield symbol.get_name()


def _used_now(table: symtable.SymbolTable) -> Iterator[str]:
    """Yield the names that are looked for while the cell runs: outside of functions."""
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
            yield symbol.get_name()
    for child in table.get_children():
        if child.get_type() == "class" or child.get_name() in _COMPREHENSIONS:
            yield from _used_now(child)


_COMPREHENSIONS = frozenset({"listcomp", "setcomp", "dictcomp", "genexpr"})


def _used_later(table: symtable.SymbolTable) -> Iterator[str]:
    """Yield the names that are looked for when functions are called."""
    for inner in _inner(table):
        for symbol in inner.get_symbols():
            if symbol.is_global() and symbol.is_referenced():
                yield symbol.get_name()


def _inner(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _inner(child)


def _starred(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and any(name.name == "*" for name in node.names):
            yield node.module or ""


def _public(module: object) -> set[str]:
    """Return what `from module import *` brings."""
    listed = getattr(module, "__all__", None)
    return set(listed or (name for name in vars(module) if not name.startswith("_")))


def _lines(source: str, names: set[str]) -> Iterator[tuple[str, int]]:
    """Yield each name with the line where it is first read, in the order of lines."""
    first: dict[str, int] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in names:
            first[node.id] = min(node.lineno, first.get(node.id, node.lineno))
    yield from sorted(first.items(), key=lambda item: (item[1], item[0]))
