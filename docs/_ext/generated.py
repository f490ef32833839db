"""Replace `<!-- generated: NAME -->` in a page by Markdown made from the code itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from foveal.cli.main import VERBS, build_app
from foveal.recipe import Recipe
from source_names import ENTRY, documented_codes, error_codes

CHANGES = Path(__file__).resolve().parents[2] / "changes"
MARK = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.M)
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx to call `expand` for every page."""
    app.connect("source-read", expand)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def expand(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the marks of one page."""
    source[0] = MARK.sub(lambda mark: _make(mark[1], page), source[0])
    if page == "reference/errors":
        source[0] = _with_statuses(source[0])


def _make(name: str, page: str) -> str:
    makers: dict[str, Callable[[], Iterable[str]]] = {
        "recipe": recipe,
        "commands": commands,
        "error-codes": error_table,
        "changes": changes,
    }
    if name not in makers:
        raise ExtensionError(f"{page}: nothing generates {name!r}")
    return "\n".join(makers[name]())


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    titles = list(head)
    yield ""
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(' '.join(cell.split()).replace('|', '&#124;') for cell in row)} |"
    yield ""


def recipe() -> Iterator[str]:
    """Yield every key of the recipe, section by section."""
    yield from _section(Recipe, "", "Top level")


def _section(section: type[BaseModel], prefix: str, title: str) -> Iterator[str]:
    plain, nested = {}, {}
    for name, field in section.model_fields.items():
        kind = field.annotation
        inner = isinstance(kind, type) and issubclass(kind, BaseModel)
        (nested if inner else plain)[name] = field
    yield f"## {title}\n"
    yield f"{' '.join((section.__doc__ or '').split())}\n"
    rows = [
        (f"`{prefix}{name}`", _type(field), _default(field), _described(section, name, field))
        for name, field in plain.items()
    ]
    yield from table(("key", "type", "default", "meaning"), rows)
    for name, field in nested.items():
        path = f"{prefix}{name}"
        yield from _section(field.annotation, f"{path}.", f"`{path}`")  # type: ignore[arg-type]


def _described(section: type[BaseModel], name: str, field: FieldInfo) -> str:
    if not field.description:
        raise ExtensionError(f"{section.__name__}.{name} has no help text")
    return field.description


def _type(field: FieldInfo) -> str:
    bounds = [
        f"{words} {getattr(rule, key)}"
        for rule in field.metadata
        for key, words in BOUNDS.items()
        if getattr(rule, key, None) is not None
    ]
    return ", ".join([_type_name(field.annotation), *bounds])


def _type_name(kind: Any) -> str:
    if get_origin(kind) is not None and "Literal" in str(get_origin(kind)):
        return ", ".join(f"`{value}`" for value in get_args(kind))
    parts = [part for part in get_args(kind) if part not in (type(None), Ellipsis)]
    if get_origin(kind) in (tuple, list):
        return f"list of {_type_name(parts[0])}"
    if get_origin(kind) is dict:
        return "mapping"
    if parts and not isinstance(kind, type):
        return " or ".join(_type_name(part) for part in parts)
    names = {int: "integer", float: "number", str: "text", bool: "`true` or `false`"}
    return names.get(kind) or getattr(kind, "__name__", str(kind))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    return _shown(value)


def _shown(value: object) -> str:
    if value is None:
        return "chosen"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:,}`" if isinstance(value, int) and value >= 10_000 else f"`{value}`"


def options(kind: type, prefix: str) -> Iterator[str]:
    """Yield the fields of a frozen dataclass of options, described by its docstring."""
    if not is_dataclass(kind):
        raise ExtensionError(f"{kind.__name__} is no dataclass")
    words = dict(re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", kind.__doc__ or "", re.M))
    rows = []
    for field in fields(kind):
        if field.name not in words:
            raise ExtensionError(f"{kind.__name__}.{field.name} has no help text")
        default = "required" if field.default is MISSING else _shown(field.default)
        rows.append((f"`{prefix}{field.name}`", default, words[field.name]))
    yield from table(("key", "default", "meaning"), rows)


def commands() -> Iterator[str]:
    """Yield every verb of the command line with its arguments and options."""
    for name in VERBS:
        command: Any = typer.main.get_command(build_app([name]))
        yield from _command(command.commands[name], f"foveal {name}")


def _command(command: Any, path: str) -> Iterator[str]:
    yield f"## `{path}`\n"
    yield f"{command.help}\n"
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _command(inner, f"{path} {name}")
        return
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    shown = [param for param in command.params if param.param_type_name == "option"]
    words = [_argument(param) for param in arguments]
    yield f"```text\n{' '.join([path, *words, '[OPTIONS]'])}\n```\n"
    rows = [(f"`{_argument(param)}`", param.help or "") for param in arguments]
    rows += [(_option(param), _option_help(param)) for param in shown]
    missing = [names for names, words in rows if not words]
    if missing:
        raise ExtensionError(f"{path}: no help text for {', '.join(missing)}")
    yield from table(("argument or option", "meaning"), rows)


def _argument(param: Any) -> str:
    name = param.metavar or param.name.upper()
    return name if param.required else f"[{name}]"


def _option(param: Any) -> str:
    kind = param.type.name.removesuffix(" range").upper()
    value = "" if param.is_flag else f" {param.metavar or kind}"
    return ", ".join(f"`{name}{value}`" for name in param.opts)


def _option_help(param: Any) -> str:
    if param.is_flag or param.default is None or not param.help:
        return param.help or ""
    return f"{param.help} Default: `{param.default}`."


def error_table() -> Iterator[str]:
    """Yield the table of error codes in the order of their entries."""
    codes = error_codes()
    rows = [
        (f"[`{name}`](#{name})", f"`{codes[name].error}`", f"{codes[name].exit_status}")
        for name in documented_codes()
    ]
    yield from table(("code", "Python class", "exit status"), rows)


def _with_statuses(text: str) -> str:
    codes = error_codes()

    def extended(heading: re.Match[str]) -> str:
        code = codes[heading[1]]
        return (
            f"({code.name})=\n{heading[0]}\n\n"
            f"*`{code.error}`, exit status {code.exit_status}, HTTP {code.http_status}*"
        )

    return ENTRY.sub(extended, text)


def changes() -> Iterator[str]:
    """Yield what is noted for the next release, by kind."""
    titles = {
        "added": "New",
        "changed": "Changed",
        "fixed": "Fixed",
        "deprecated": "Deprecated",
        "removed": "Removed",
    }
    for kind, title in titles.items():
        files = sorted(CHANGES.glob(f"*.{kind}.md"))
        if files:
            yield f"### {title}\n"
        for file in files:
            yield f"{file.read_text(encoding='utf-8').strip()}\n"
