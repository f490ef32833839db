"""A verb whose help is made when it is shown: with names of plug-ins, everyday settings first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand

_OTHER = "Other options"


class VerbCommand(TyperCommand):
    """A verb; looking for plug-ins takes longer than most verbs need to start."""

    def list_names(self) -> None:
        """Add the names that there are to the help of the arguments that take one."""
        for param in self.params:
            help_text = getattr(param, "help", None)
            if param.name in _NAMES and help_text:
                param.help = f"{help_text.rstrip('.')}: {_NAMES[param.name]()}."  # type: ignore[attr-defined]  # typer's own parameters have it

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show options under headings of their own before those without one."""
        self.list_names()
        if any(_panel(param) for param in self.params):
            # typer shows options without a heading first.
            self.params.sort(key=lambda param: not _panel(param))
            for param in self.get_params(ctx):
                if param.param_type_name == "option" and not _panel(param):
                    param.rich_help_panel = _OTHER  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def _panel(param: Any) -> str | None:
    panel: str | None = getattr(param, "rich_help_panel", None)
    return panel


def _tasks() -> str:
    from foveal.tasks import TASKS

    return ", ".join(name for name, _ in TASKS.works())


def _kinds() -> str:
    from foveal.synth import KINDS

    return ", ".join(name for name, _ in KINDS.works())


def _formats() -> str:
    from foveal.export.formats import FORMATS

    return "; ".join(f"{name} ({entry.summary})" for name, entry in FORMATS.works())


_NAMES: dict[str | None, Callable[[], str]] = {"task": _tasks, "kind": _kinds, "to": _formats}
