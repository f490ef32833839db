"""What users of other command lines type first: their verbs, and `key=value` for options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from foveal.errors import UsageError, nearest, unknown_name

_SAME = {
    "val": "evaluate",
    "validate": "evaluate",
    "valid": "evaluate",
    "test": "evaluate",
    "eval": "evaluate",
    "score": "evaluate",
    "fit": "train",
    "infer": "predict",
    "convert": "export",
}
_ROOT = {"version": "--version", "help": "--help"}
_TASKS = {
    "classify": "classify",
    "classification": "classify",
    "segment": "segment",
    "segmentation": "segment",
    "read": "read",
    "ocr": "read",
}
_BOXES = ("detect", "track", "pose", "obb")
# What a verb takes by its place, in that order; everything else is an option.
_PLACES: dict[str, tuple[str, ...]] = {
    "train": ("data",),
    "check": ("data",),
    "evaluate": ("model", "data"),
    "predict": ("model", "pictures"),
    "explain": ("model", "picture"),
    "serve": ("model",),
    "export": ("model",),
}
_PAIR = re.compile(r"([a-z][a-z0-9_]*)=(.*)", re.DOTALL)


def as_ours(args: Sequence[str], verbs: Mapping[str, str]) -> list[str]:
    """Return arguments as foveal's own; those that are already stay as they are.

    `val` is `evaluate`, `classify train` is `train --task classify`, and after a verb `epochs=10`
    is `--epochs 10`, as Ultralytics has it.

    Args:
        args: What follows `foveal`.
        verbs: Verb → the module that has its function.

    Raises:
        UsageError: For a `key=value` that the verb knows under no name.
    """
    ours = list(args)
    if not ours:
        return ours
    if ours[0] in _ROOT and ours[0] not in verbs:
        return [_ROOT[ours[0]], *ours[1:]]
    task: list[str] = []
    if ours[0] in _TASKS and len(ours) > 1 and (ours[1] in verbs or ours[1] in _SAME):
        # A trained model knows its task.
        task = ["--task", _TASKS[ours.pop(0)]]
    if ours[0] not in verbs and not ours[0].startswith("-"):
        ours[0] = _verb(ours, verbs)
    if ours[0] not in _PLACES:
        return ours
    verb, rest = ours[0], _without_pairs(ours[0], ours[1:], verbs)
    return [verb, *rest, *(task if verb in ("train", "check") else [])]


def _verb(args: Sequence[str], verbs: Mapping[str, str]) -> str:
    """Return foveal's verb for another tool's.

    Raises:
        UsageError: If there is none.
    """
    verb = args[0]
    if verb in _SAME:
        return _SAME[verb]
    if verb in _TASKS:
        given = " ".join(args[1:2]) or "DATA"
        raise UsageError(
            f"{verb} is a task, not a verb.", hint=f"foveal train {given} --task {_TASKS[verb]}"
        )
    if verb in _BOXES:
        raise UsageError(
            f"foveal has no {verb}: it predicts classes, texts and masks, not boxes.",
            hint="foveal train DATA --task segment finds which pixels belong to what",
        )
    raise UsageError(unknown_name("verb", verb, verbs), hint="foveal --help")


def _without_pairs(verb: str, args: Sequence[str], verbs: Mapping[str, str]) -> list[str]:
    places: dict[str, str] = {}
    plain: list[str] = []
    rest: list[str] = []
    for before, arg in zip(["", *args], args, strict=False):
        match = _PAIR.fullmatch(arg)
        if _takes_value(before) or arg.startswith("-"):
            rest.append(arg)
        elif match is None or Path(arg).exists():
            # A file may have such a name.
            plain.append(arg)
        else:
            options = _options(verb, verbs)
            name = _own_name(verb, match[1], options)
            if name in _PLACES[verb]:
                places[name] = match[2]
            else:
                rest += _as_option(options[name], match[2])
    if sorted([*plain, *rest]) == sorted(args):
        return list(args)
    by_place = [places.get(name) or (plain.pop(0) if plain else None) for name in _PLACES[verb]]
    return [*(value for value in by_place if value is not None), *plain, *rest]


def _takes_value(arg: str) -> bool:
    flags = ("-q", "--quiet", "--json", "--csv", "--debug", "--maps", "--allow-download")
    return arg.startswith("-") and arg != "-" and "=" not in arg and arg not in flags


def _options(verb: str, verbs: Mapping[str, str]) -> dict[str, inspect.Parameter]:
    function = getattr(import_module(verbs[verb]), verb)
    return dict(inspect.signature(function, eval_str=True).parameters)


def _own_name(verb: str, key: str, options: dict[str, inspect.Parameter]) -> str:
    # Imported late: only who types like this pays for it.
    from foveal.foreign import ARGUMENTS

    places = _PLACES[verb]
    known: list[str] = [key, *ARGUMENTS.get(key, "").split(), *_ALSO.get(key, ())]
    for name in known:
        if name in options or name in places:
            return name
    near = nearest(key, options)
    guess = f" Did you mean {near}=…?" if near else ""
    raise UsageError(f"foveal {verb} has no {key}=….{guess}", hint=f"foveal {verb} --help")


_ALSO = {"source": ("picture",), "img": ("picture",), "budget": ("budget_s",)}


def _as_option(parameter: inspect.Parameter, value: str) -> list[str]:
    metadata = getattr(parameter.annotation, "__metadata__", ())
    declared: Any = metadata[0] if metadata else parameter.default
    names = [n for n in getattr(declared, "param_decls", None) or () if n.startswith("--")]
    flag = names[0] if names else "--" + parameter.name.replace("_", "-")
    kinds = (parameter.annotation, *get_args(parameter.annotation))
    if bool in kinds:
        return [flag] if value.lower() in ("true", "1", "yes", "on") else []
    if value in ("True", "False"):
        raise UsageError(f"{flag} needs a value. Received: {value}.")
    return [flag, value]
