"""The Python of a cell: without what only a notebook understands.

IPython itself says which lines are its own: it rewrites them as calls of `get_ipython()`, which
are then found in the syntax tree. So a line of a text that begins with `%` is left alone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from foveal.errors import UsageError

_SHOW_ONLY = frozenset(
    {
        "aimport", "alias", "autoreload", "automagic", "colors", "config", "load_ext", "matplotlib",
        "pdb", "pinfo", "pinfo2", "precision", "reload_ext", "unload_ext", "who", "whos", "xmode",
    }
)  # fmt: skip
"""Magics that change nothing but what a notebook shows; a job does without them."""
_INSTALLS = re.compile(r"(sudo )?(python3? -m )?(pip3?|uv pip|conda|mamba) install\b")
_WRAPPERS = ("time", "capture")
_SHELL = "subprocess.run([...], check=True)"
_INSTEAD = {
    "system": _SHELL,
    "getoutput": _SHELL,
    "env": 'os.environ["NAME"] = "value"',
    "cd": 'os.chdir("folder")',
    "timeit": "time.perf_counter()",
}


@final
@dataclass(frozen=True, slots=True)
class Plain:
    """A cell without IPython syntax.

    Attributes:
        source: Python, with the lines that the cell has.
        left_out: What was left out: (line from 1, text).
    """

    source: str
    left_out: tuple[tuple[int, str], ...]


def plain(source: str, cell: str) -> Plain:
    """Return the Python of a cell, as it runs without IPython.

    Lines that only change what a notebook shows, and installations, are left out.

    Args:
        source: All lines of the cell; the first is the magic that stores it.
        cell: The name of the cell, for errors.

    Raises:
        UsageError: For a syntax error, and for a magic or a shell line that does something.
    """
    lines = source.splitlines()
    # Its own first line is no Python, and the lines after it keep their numbers.
    if lines and lines[0].startswith("%%"):
        lines[0] = f"# {lines[0]}"
    left_out = list(_without_wrapper(lines, cell))
    rewritten = _rewritten("\n".join(lines) + "\n")
    tree = parsed(rewritten, cell)
    kept = rewritten.splitlines()
    for call in _calls(tree):
        method, name, argument = _meaning(call)
        shown = _shown(method, name, argument)
        statement = _as_statement(tree, call)
        if statement is None or not _may_go(method, name, argument):
            python = _INSTEAD.get(name or method)
            raise UsageError(
                f"Cell {cell}, line {call.lineno}: {shown} works in notebooks only, so the job "
                "could not run it.",
                hint=f"in Python: {python}" if python else "leave the line out of this cell",
            )
        line = kept[call.lineno - 1]
        does = argument if name == "time" else f"pass  # {shown}"
        kept[call.lineno - 1] = line[: _offset(line, call.col_offset)] + does
        if name != "time":
            left_out.append((call.lineno, shown))
    text = "\n".join(kept) + "\n"
    parsed(text, cell)
    return Plain(text, tuple(left_out))


def parsed(source: str, cell: str) -> ast.Module:
    """Return the syntax tree of a cell that compiles.

    Raises:
        UsageError: If it does not.
    """
    try:
        tree = ast.parse(source)
        compile(source, cell, "exec", dont_inherit=True)
    except SyntaxError as error:
        awaits = "await" in (error.msg or "")
        raise UsageError(
            f"Cell {cell}, line {error.lineno}: {error.msg}.",
            hint="in a program, use asyncio.run(main())" if awaits else None,
        ) from None
    return tree


def _without_wrapper(lines: list[str], cell: str) -> Iterator[tuple[int, str]]:
    """Make a magic around the whole rest of the cell a comment, and yield it; refuse others."""
    first = next((n for n, line in enumerate(lines[1:], 1) if line.strip()), None)
    if first is None or not lines[first].startswith("%%"):
        return
    magic = lines[first].strip()
    if magic.removeprefix("%%").split(" ")[0] not in _WRAPPERS:
        raise UsageError(
            f"Cell {cell}, line {first + 1}: {magic} works in notebooks only, so the job could "
            "not run it.",
            hint="leave the line out, or keep the cell out of the job",
        )
    lines[first] = f"# {magic}"
    yield first + 1, magic


def _rewritten(source: str) -> str:
    """Return a cell with the lines that are IPython's own as calls."""
    # Imported late: this package also renders without IPython.
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call]


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield the calls of methods of `get_ipython()`, in their order."""
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Call)
        and isinstance(node.func.value.func, ast.Name)
        and node.func.value.func.id == "get_ipython"
    ]
    yield from sorted(found, key=lambda call: call.lineno)


def _meaning(call: ast.Call) -> tuple[str, str, str]:
    """Return the method, the magic's name and what is given to either."""
    assert isinstance(call.func, ast.Attribute)  # noqa: S101 - as `_calls` finds them
    texts = [arg.value if isinstance(arg, ast.Constant) else "..." for arg in call.args]
    given = [str(text) for text in texts]
    method = call.func.attr
    if method == "run_line_magic" and len(given) == 2:
        return method, given[0], given[1]
    return method, "", given[0] if given else ""


def _shown(method: str, name: str, argument: str) -> str:
    if name:
        return f"{argument}?" if name == "pinfo" else f"%{name} {argument}".rstrip()
    return f"!{argument}" if method in ("system", "getoutput") else f"get_ipython().{method}()"


def _may_go(method: str, name: str, argument: str) -> bool:
    if method == "system":
        return _INSTALLS.match(argument.strip()) is not None
    installs = name in ("pip", "conda", "mamba", "uv") and "install" in argument
    return name in _SHOW_ONLY or name == "time" or installs


def _as_statement(tree: ast.Module, call: ast.Call) -> ast.Expr | None:
    """Return the statement that is this call and nothing else."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and node.value is call:
            return node
    return None


def _offset(line: str, column: int) -> int:
    """Return the position in a line of the syntax tree's column, which counts bytes."""
    return len(line.encode()[:column].decode())
