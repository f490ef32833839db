"""Options that are made from the recipe's everyday settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar, final, get_origin

import typer

from foveal.cli.options import seconds
from foveal.errors import UsageError
from foveal.recipe.knobs import KNOBS
from foveal.settings import Setting


@final
class More(int):
    """A number of epochs that is added to those of a finished run: `+5`."""


def epochs(text: str) -> int:
    """Return the whole number in `5`, or in `+5` as `More`.

    Raises:
        UsageError: For anything else.
    """
    if not text.strip().removeprefix("+").isdecimal():
        raise UsageError(
            f"Invalid value for --epochs. Expected a whole number, or +N with --continue. "
            f"Received: {text!r}.",
            hint="foveal train DATA --epochs 5",
        )
    number = int(text)
    return More(number) if text.strip().startswith("+") else number


# How the command line reads what it takes in another form than Python and the recipe.
_READERS: dict[str, Callable[[str], Any]] = {"epochs": epochs, "budget_s": seconds}

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def with_knobs(*names: str, panel: str | None = None) -> Callable[[FunctionT], FunctionT]:
    """Make options of the recipe's knobs, in place of a verb's `**knobs`.

    Names, types and help are those of the recipe's fields, which also check the values. What is not
    given reaches the verb as None.

    Args:
        names: Which; none takes all.
        panel: Heading of the options in the help.
    """

    def replace(function: FunctionT) -> FunctionT:
        signature = inspect.signature(function, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        made = [_option(name, KNOBS[name], panel) for name in names or KNOBS]
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]  # typer reads it
            parameters=[*made, *(p.replace(kind=p.KEYWORD_ONLY) for p in own)]
        )
        return function

    return replace


def _option(name: str, setting: Setting, panel: str | None) -> inspect.Parameter:
    is_flag = setting.kind is bool
    kind = str if get_origin(setting.kind) is Literal else setting.kind
    option = typer.Option(
        None,
        *setting.flags,
        help=setting.help,
        metavar=None if setting.knob is None or is_flag else setting.knob.metavar,
        rich_help_panel=panel,
        show_default=False,
        parser=_READERS.get(name),
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=kind | None
    )
