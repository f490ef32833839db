"""Requirements of cells, derived from their imports and the installed versions."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import final

from foveal.errors import UsageError, reason

_OWN = "foveal"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# A name, extras, and a version, an address or a condition.
_REQUIREMENT = re.compile(rf"{_NAME.pattern}\s*(\[[^\]]*\])?\s*(([=!~]=|[<>@;(]).*)?")


@final
@dataclass(frozen=True, slots=True)
class Import:
    """A module that a cell imports.

    Attributes:
        module: With its parents, as `google.cloud.storage`.
        cell: The cell.
        line: Where it does, from 1.
    """

    module: str
    cell: str
    line: int

    @property
    def top(self) -> str:
        """The module that has no parent."""
        return self.module.partition(".")[0]


def imports(cells: Sequence[tuple[str, str]]) -> tuple[Import, ...]:
    """Return the imports of cells that are not of Python itself, in their order.

    Args:
        cells: (name, Python) of each.
    """
    found = []
    for cell, source in cells:
        nodes = [node for node in ast.walk(ast.parse(source)) if hasattr(node, "lineno")]
        for node in sorted(nodes, key=lambda node: node.lineno):
            found += [Import(module, cell, node.lineno) for module in _modules(node)]
    known = {*sys.stdlib_module_names, "__main__", "__future__"}
    return tuple(one for one in found if one.top not in known)


def requirements_of(found: Iterable[Import]) -> tuple[str, ...]:
    """Return the packages of imports, each with its installed version, as pip reads them.

    foveal itself is not among them: a job brings its own.

    Raises:
        UsageError: If no installed package has a module.
    """
    providers = metadata.packages_distributions()
    needed: dict[str, str] = {}
    for one in found:
        if one.top == _OWN:
            continue
        names = providers.get(one.top)
        if names is None:
            raise UsageError(
                f"Cell {one.cell}, line {one.line}: {one.top} does not belong to an installed "
                "package, so the job could not install it.",
                hint="if it is a file beside the notebook, put its code into a %%foveal_code cell; "
                "if it is your own package, use --requirements FILE",
            )
        for name in _narrowed(one.module, sorted(set(names))):
            # A local version, such as 2.13.0+cpu, is of a build that few indexes have.
            needed[normal(name)] = f"{name}=={metadata.version(name).partition('+')[0]}"
    return tuple(line for _, line in sorted(needed.items()))


def merged(automatic: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """Return requirements, of which those that were given replace those of the same package."""
    chosen = {normal(line): line for line in (*automatic, *given)}
    return tuple(line for _, line in sorted(chosen.items()))


def read_requirements(path: Path) -> tuple[str, ...]:
    """Return the lines of a requirements file, without comments.

    Raises:
        UsageError: If it is not there, or has an option of pip, which a package cannot require.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The requirements {path} cannot be read: {reason(error)}.",
            hint="--requirements auto takes them from the imports",
        ) from None
    lines = [line.split(" #")[0].strip() for line in text.splitlines()]
    kept = tuple(line for line in lines if line and not line.startswith("#"))
    check_requirements(kept, str(path))
    return kept


def check_requirements(lines: Iterable[str], place: str) -> None:
    """Refuse what is no requirement.

    Raises:
        UsageError: For the first that is not a package's name, with or without a version.
    """
    for line in lines:
        if not _REQUIREMENT.fullmatch(line):
            raise UsageError(
                f"{place}: expected a package, such as timm>=1.0. Received: {line!r}.",
            )


def normal(requirement: str) -> str:
    """Return the name of the package as indexes compare it."""
    found = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", found[0] if found else requirement).lower()


def _modules(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        # What is imported may be a module of it: `from google.cloud import storage`.
        yield from (f"{node.module}.{name.name}" for name in node.names if name.name != "*")
        if any(name.name == "*" for name in node.names):
            yield node.module


def _narrowed(module: str, names: Sequence[str]) -> Sequence[str]:
    """Return those packages that have the module itself, where several share its parents."""
    if len(names) == 1:
        return names
    files = {name: _files(name) for name in names}
    parts = module.split(".")
    for length in range(len(parts), 1, -1):
        path = "/".join(parts[:length])
        if having := [name for name in names if _has(files[name], path)]:
            return having
    return names


def _files(name: str) -> frozenset[str]:
    return frozenset(file.as_posix() for file in metadata.files(name) or ())


def _has(files: frozenset[str], module: str) -> bool:
    return any(file == f"{module}.py" or file.startswith(f"{module}/") for file in files)
