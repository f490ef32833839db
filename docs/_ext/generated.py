"""Replace `<!-- generated: NAME -->` in a page by Markdown made from the code itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from foveal.cli.command import VerbCommand
from foveal.cli.main import VERBS, build_app
from foveal.recipe import SETTINGS
from foveal.settings import Setting, settings_of
from foveal.tasks import TASKS, get_task
from source_names import ENTRY, documented_codes, error_codes

CHANGES = Path(__file__).resolve().parents[2] / "changes"
HEAD = ("key", "value", "default", "meaning")
MARK = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.M)


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx to call `expand` for every page, and `keep_colons` before napoleon."""
    app.connect("source-read", expand)
    app.connect("autodoc-process-docstring", keep_colons, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def expand(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the marks of one page."""
    source[0] = MARK.sub(lambda mark: _make(mark[1], page), source[0])
    if page == "reference/errors":
        source[0] = _with_statuses(source[0])


def keep_colons(
    app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]
) -> None:
    """Keep napoleon from taking the words before a colon for the type of a property."""
    if what == "property":
        lines[:0] = ["..", ""]


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
    """Yield every key of the recipe, section by section, and the options of the tasks."""
    sections = {key.rpartition(".")[0]: None for key in SETTINGS}
    for section in sections:
        yield f"## `{section}`\n" if section else "## Top level\n"
        inside = [s for s in SETTINGS.values() if s.key.rpartition(".")[0] == section]
        yield from table(HEAD, map(_setting, inside))
    for name in TASKS:
        yield f"## `task_options` of `{name}`\n"
        options = settings_of(get_task(name).options_type)
        yield from table(HEAD, map(_setting, options.values()))


def _setting(setting: Setting) -> tuple[str, str, str, str]:
    if not setting.help:
        raise ExtensionError(f"{setting.key} has no help text")
    option = f" Option: `{setting.flags[0]}`." if setting.flags else ""
    words = setting.help
    if setting.key == "task":
        words = f"{words.rstrip('.')}: {', '.join(TASKS)}."
    return f"`{setting.key}`", setting.expected, _shown(setting), words + option


def _shown(setting: Setting) -> str:
    value = setting.default
    if value is None or value == "auto":
        return setting.about.none
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value in ("", ()):
        return "none"
    return f"`{value:,}`" if isinstance(value, int) and value >= 10_000 else f"`{value}`"


def commands() -> Iterator[str]:
    """Yield every verb of the command line with its arguments and options."""
    for name in VERBS:
        command: Any = typer.main.get_command(build_app([name]))
        verb = command.commands[name]
        if isinstance(verb, VerbCommand):
            verb.list_names()
        yield from _command(verb, f"foveal {name}")


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
    name = (param.metavar or param.name.upper()).strip("[]")
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
