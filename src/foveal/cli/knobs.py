"""Options that are made from the fields of a section, such as the recipe's everyday settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, final, get_origin

import typer

from foveal.cli.options import seconds
from foveal.errors import UsageError
from foveal.recipe.knobs import KNOBS
from foveal.settings import Knob, Setting, settings_of


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
    return with_options(
        [_option(name, KNOBS[name], panel, _READERS.get(name)) for name in names or KNOBS]
    )


def options_of(
    section: type[Any],
    readers: Mapping[str, Callable[[str], Any]],
    *,
    panel: str | None = None,
) -> list[inspect.Parameter]:
    """Return an option for each field of a section that is marked as `Knob`.

    Args:
        section: A frozen dataclass.
        readers: Field → how the command line reads it, where that is not by its type.
        panel: Heading of the options in the help.
    """
    return [
        _option(name, setting, panel, readers.get(name))
        for name, setting in settings_of(section).items()
        if setting.knob is not None
    ]


def given_of(section: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are given by options of `options_of`, as the section has them."""
    settings = settings_of(section)
    given: dict[str, Any] = {}
    for name, value in values.items():
        setting = settings[name]
        if get_origin(setting.kind) is tuple:
            # Where nothing was given, the list is None or empty.
            value = tuple(value or ()) or None
        if value is not None and setting.knob is not None and setting.knob.unit != 1:
            value *= setting.knob.unit
        if value is not None:
            given[name] = value
    return given


def with_options(
    made: Sequence[inspect.Parameter], *, after: str | None = None
) -> Callable[[FunctionT], FunctionT]:
    """Put options in place of a verb's `**` argument.

    Args:
        made: The options.
        after: The verb's argument that they follow in the help; None puts them first.
    """

    def replace(function: FunctionT) -> FunctionT:
        signature = inspect.signature(function, eval_str=True)
        own = [
            p.replace(kind=p.KEYWORD_ONLY)
            for p in signature.parameters.values()
            if p.kind is not p.VAR_KEYWORD
        ]
        place = 0 if after is None else 1 + [p.name for p in own].index(after)
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]  # typer reads it
            parameters=[*own[:place], *made, *own[place:]]
        )
        return function

    return replace


def _option(
    name: str,
    setting: Setting,
    panel: str | None,
    reader: Callable[[str], Any] | None,
) -> inspect.Parameter:
    kind = setting.kind
    if get_origin(kind) is Literal:
        kind = str
    elif get_origin(kind) is tuple:
        kind = list[str]
    knob = setting.knob or Knob()
    option = typer.Option(
        None,
        *setting.flags,
        help=setting.help,
        metavar=None if kind is bool else knob.metavar,
        min=knob.least,
        max=knob.most,
        rich_help_panel=panel,
        show_default=False,
        parser=reader,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=kind | None
    )
