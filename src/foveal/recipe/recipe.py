"""The recipe: one typed, frozen object with all settings of a run.

Layers, weakest first: choices made from the data, the recipe file, `--set`, the everyday options.
The resolved recipe in the run directory has a value where a choice was made; `reasons` says why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, final

from foveal.recipe.sections import (
    DataOptions,
    EvaluateOptions,
    ModelOptions,
    PipelineOptions,
    SplitOptions,
)
from foveal.recipe.training import AugmentOptions, TrainOptions
from foveal.settings import About, Knob, parse_section, settings_of

# Younger than the first runs: key → what it was before it could be chosen.
_YOUNGER: Mapping[str, Any] = {
    "data.label_column": None,
    "data.sample": None,
    "evaluate.remember_pictures": True,
    "train.folds": None,
    "train.quality": "good",
    "train.devices": 1,
    "train.devices_timeout_s": TrainOptions().devices_timeout_s,
    "train.blend": False,
    "train.keep_statistics": False,
    "train.frozen_stages": 0,
    "train.head_solver": "steps",
    "train.beta1": 0.9,
    "train.beta2": 0.999,
    "train.augment.share": 1.0,
    "train.augment.stretch": 0.0,
    "train.augment.shrink": 0.0,
    "train.augment.fade": 0.0,
    "train.augment.tint": 0.0,
    "train.augment.invert": 0.0,
    "train.augment.stroke": 0.0,
    "train.augment.bolder": 0.0,
    "train.augment.ink_color": 0.0,
    "train.augment.shade": 0.0,
    "train.augment.lines": 0.0,
    "train.augment.elastic": 0.0,
    "train.augment.stain": 0.0,
}


@final
@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a run; a partial recipe holds choices or overrides.

    Attributes:
        reasons: Dotted key → reason of an automatic choice. Not part of the digest.
        given: Dotted keys that were set explicitly, even to the default value.
    """

    schema_version: Annotated[Literal[1], About("Version of this format.")] = 1
    task: Annotated[str, About("What to learn."), Knob(metavar="NAME")] = "classify"
    seed: Annotated[int, About("Random seed of the run.", ge=0), Knob(metavar="N")] = 0
    task_options: Annotated[dict[str, Any], About("Options of the task; see the page of each.")] = (
        field(default_factory=dict)
    )
    data: DataOptions = field(default_factory=DataOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    pipeline: PipelineOptions = field(default_factory=PipelineOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    evaluate: EvaluateOptions = field(default_factory=EvaluateOptions)
    reasons: Annotated[dict[str, str], About("Reasons for the automatic choices.")] = field(
        default_factory=dict
    )
    given: frozenset[str] = field(default=frozenset(), init=False, compare=False, repr=False)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a YAML file.

        Raises:
            RecipeError: If the file is unreadable, a key is unknown, or a value is out of range.
        """
        # Imported late: `foveal train --help` reads no file.
        from foveal.recipe.yaml_file import read_mapping

        expected = "a mapping of keys, such as seed or train"
        hint = "every run has one: runs/TASK/NAME/recipe.yaml"
        return cls.parse(read_mapping(path, "recipe", expected=expected, hint=hint))

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Validate a mapping and return the recipe.

        Raises:
            RecipeError: If a key is unknown or a value is invalid; the message names the key.
        """
        leaves = frozenset(_leaves(data))
        return parse_section(cls, data)._giving(leaves | _settled_by(leaves))

    def overlaid(self, layer: Mapping[str, Any]) -> Self:
        """Return the recipe with the values of a mapping replacing its own.

        Raises:
            RecipeError: As for `parse`.
        """
        settled = _settled(self, "", self.given)
        return self.parse(_merged(settled, layer))

    def filled(self, choice: Recipe) -> Self:
        """Return the recipe with its open settings taken from a choice.

        A setting is open if it is None or `auto`, or was not given and has its default.

        Args:
            choice: A recipe that differs from the defaults in what was chosen. Of its reasons those
                for keys that were open are kept.
        """
        chosen: set[str] = set()
        recipe: Self = _filled(self, choice, "", self.given, chosen)
        options = {**choice.task_options, **self.task_options}
        chosen |= {f"task_options.{k}" for k in choice.task_options.keys() - self.task_options}
        reasons = {key: why for key, why in choice.reasons.items() if key in chosen}
        recipe = replace(recipe, task_options=options, reasons={**self.reasons, **reasons})
        return recipe._giving(self.given | chosen)

    def _giving(self, given: Iterable[str]) -> Self:
        object.__setattr__(self, "given", frozenset(given))
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, in the order of the sections."""
        values = asdict(self)
        del values["given"]
        # Left out where they are as they always were, so that the digests of the first runs, by
        # which a resumed run finds its cached features, stay the same.
        for key, as_before in _YOUNGER.items():
            *sections, name = key.split(".")
            section = values
            for part in sections:
                section = section[part]
            if section[name] == as_before:
                del section[name]
        return values

    def to_yaml(self) -> str:
        """Return the recipe as YAML, in the order of the sections."""
        import yaml

        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def given_yaml(self) -> str:
        """Return the given settings as YAML; open settings stay open."""
        import yaml

        settled = _settled(self, "", self.given)
        return yaml.safe_dump(settled, sort_keys=False, allow_unicode=True)

    def flat(self) -> dict[str, bool | str | float | int]:
        """Return dotted key → plain value of everything but the reasons; None as ""."""
        values = {k: v for k, v in _flat(self.to_dict(), "").items() if not k.startswith("reasons")}
        return {
            key: value if isinstance(value, (bool, str, float, int)) else _as_text(value)
            for key, value in values.items()
        }

    def digest(self) -> str:
        """Return the SHA-256 of the recipe without its reasons, as hexadecimal digits."""
        data = self.to_dict()
        del data["reasons"]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _settled_by(leaves: frozenset[str]) -> frozenset[str]:
    """Return younger keys of training when all others of their section are there: a run's recipe.

    Such a recipe leaves them out where they are off, and they must not be chosen anew.
    """
    settled: set[str] = set()
    for section, options in (("train.", TrainOptions), ("train.augment.", AugmentOptions)):
        names = {section + each.name for each in fields(options)} - {"train.augment"}
        if names - _YOUNGER.keys() <= leaves:
            settled |= names & _YOUNGER.keys()
    return frozenset(settled)


def nested(key: str, value: Any) -> dict[str, Any]:
    """Return `{"train": {"epochs": 5}}` for `train.epochs` and 5."""
    for part in reversed(key.split(".")):
        value = {part: value}
    result: dict[str, Any] = value
    return result


def _as_text(value: Any) -> str:
    return "" if value is None else str(list(value))


def _leaves(data: Mapping[str, Any]) -> Iterable[str]:
    return _flat(data, "")


def _flat(data: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
        )
    return flat


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(under, value) if both else value  # type: ignore[arg-type]
    return merged


def _default(each: Field[Any]) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _is_open(value: Any, each: Field[Any], is_given: bool) -> bool:
    return value is None or value == "auto" or (not is_given and value == _default(each))


def _settled(section: Any, prefix: str, given: frozenset[str]) -> dict[str, Any]:
    """Return what is not open as plain values."""
    settled: dict[str, Any] = {}
    for each in fields(section):
        value, key = getattr(section, each.name), prefix + each.name
        if is_dataclass(value):
            settled[each.name] = _settled(value, key + ".", given)
        elif each.init and not _is_open(value, each, key in given):
            settled[each.name] = value
    return settled


def _filled(section: Any, choice: Any, prefix: str, given: frozenset[str], chosen: set[str]) -> Any:
    changes: dict[str, Any] = {}
    for each in fields(section):
        value, wanted = getattr(section, each.name), getattr(choice, each.name)
        key = prefix + each.name
        if is_dataclass(value):
            changes[each.name] = _filled(value, wanted, key + ".", given, chosen)
        elif isinstance(value, dict) or not each.init or wanted == _default(each):
            continue
        elif _is_open(value, each, key in given):
            changes[each.name] = wanted
            chosen.add(key)
    return replace(section, **changes)


SETTINGS = settings_of(Recipe)
"""Dotted key → what is known about it."""
