"""The recipe: one typed, frozen object that says everything about a run.

Layers, weakest first: defaults chosen from the data, the recipe file, the command line. An
unknown key stops with the nearest name. Values of None mean "choose from the data"; the resolved
recipe in the run directory holds no such None where a choice was made, and `reasons` says why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from foveal.errors import RecipeError, nearest

Strategy = Literal["auto", "frozen", "staged", "full", "scratch"]


class Section(BaseModel):
    """Base of every section: frozen, unknown keys forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DataOptions(Section):
    """How the source is read."""

    layout: Literal[
        "auto", "table", "text", "arrays", "folders", "names", "files", "masks", "polygons"
    ] = "auto"
    group_regex: str | None = None
    """First group of the match in a sample's id names its group (writer, patient, book)."""
    label_regex: str | None = None
    """Group `text`, or else the first, of the match in a file's name is the picture's label."""
    max_pixels: int = Field(default=50_000_000, ge=1)
    """Pictures over this are not decoded; read from the header."""
    max_bytes: int = Field(default=100_000_000, ge=1)
    fresh_every: int = Field(default=2, ge=0)
    """Of drawn pictures (`synth:KIND`): epochs on one set before new ones are drawn while
    training goes on; 0 keeps the first set for ever."""
    focus: float = Field(default=0.5, ge=0, lt=1)
    """Of drawn pictures whose characters are drawn by lot (`synth:captcha`): share of the
    characters of later sets that are drawn from those that validation confused; 0 for none."""
    near_duplicate_distance: int = Field(default=2, ge=0, le=16)
    """Pictures whose 64-bit perceptual hashes differ in at most this many bits stay together."""


class SplitOptions(Section):
    """How samples are divided when the source does not say."""

    val_share: float = Field(default=0.15, gt=0, lt=1)
    test_share: float = Field(default=0.0, ge=0, lt=1)


class PipelineOptions(Section):
    """Pre-processing; see `foveal.pipeline.Pipeline`."""

    image_size: int | None = Field(default=None, ge=8, le=4096)
    """Side of the square model input in pixels; None chooses from the data."""
    height: int | None = Field(default=None, ge=8, le=4096)
    width: int | None = Field(default=None, ge=8, le=32768)
    """With fit `line` the largest width that is accepted."""
    fit: Literal["pad", "stretch", "crop", "line", "tile"] | None = None
    """`line` scales to the height and keeps the width free, `tile` keeps pictures of any size and
    cuts them into overlapping tiles; None takes the task's, else `pad`."""
    steps: tuple[str, ...] | None = None
    """Page pre-processing before all that (`foveal preprocess`); None chooses from the data."""
    pad_color: tuple[int, int, int] | None = None
    """RGB of the filling; None takes the median colour of the pictures' borders."""
    scale: float = Field(default=1.0, gt=0, le=1)
    """Of fit `tile`: model-input pixels per original pixel."""
    overlap: float = Field(default=0.25, ge=0, le=0.75)
    """Of fit `tile`: share of a tile's side that its neighbour covers too."""
    flips: Literal["none", "horizontal", "all"] = "none"
    """Of fit `tile`: answer each tile mirrored too (in all four ways with `all`), and average;
    slower by two or four."""


class AugmentOptions(Section):
    """Batch-wise augmentation of training pictures: half-widths of ranges, or shares."""

    enabled: bool | None = None
    """None: on, but off where a task finds that the drawn pictures vary enough by themselves."""
    rotation: float = Field(default=10.0, ge=0, le=180)
    """Degrees, drawn from [-rotation, rotation]."""
    zoom: float = Field(default=0.1, ge=0, lt=1)
    """Scale drawn from [1 - zoom, 1 + zoom]."""
    shear: float = Field(default=5.0, ge=0, le=45)
    """Degrees."""
    shift: float = Field(default=0.06, ge=0, le=0.5)
    """Share of the side."""
    flip_horizontal: bool | None = None
    """None: on, but off for letters-like data."""
    flip_vertical: bool = False
    brightness: float = Field(default=0.15, ge=0, le=1)
    contrast: float = Field(default=0.15, ge=0, le=1)
    color: float = Field(default=0.1, ge=0, le=1)
    """Saturation factor drawn from [1 - color, 1 + color]."""
    blur: float = Field(default=0.0, ge=0, le=1)
    """Share of batches that are blurred (3x3 or 5x5 Gaussian)."""
    noise: float = Field(default=0.0, ge=0, le=0.5)
    """Standard deviation of Gaussian noise, as a share of the range."""
    erasing: float = Field(default=0.0, ge=0, le=1)
    """Share of pictures of which a random rectangle is erased."""

    @property
    def is_on(self) -> bool:
        """Whether pictures are changed: unless it was switched off."""
        return self.enabled is not False


class ModelOptions(Section):
    """The network."""

    backbone: str = "auto"
    """A name of `foveal models backbones`, several joined by commas, or `auto`."""
    pretrained: bool = True
    allow_download: bool = False
    """Permit fetching weights over the network when they are not in the local cache."""
    hidden: int | None = Field(default=None, ge=0, le=4096)
    """Channels of the 1x1-convolution hidden layer of the head; 0 for a linear head."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Share of the head's inputs that are dropped while training; None takes the backbone's."""


class TrainOptions(Section):
    """The loop."""

    strategy: Strategy = "auto"
    """frozen: head on cached features; staged: head, then everything; full; scratch."""
    epochs: int | None = Field(default=None, ge=1)
    head_epochs: int | None = Field(default=None, ge=1)
    """Epochs of the head on frozen features (frozen and staged)."""
    batch_size: int | None = Field(default=None, ge=1)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float | None = Field(default=None, gt=0)
    """Highest learning rate of the whole network."""
    feature_views: int = Field(default=2, ge=1, le=32)
    """Views of each training picture whose activations are cached: the first plain, the others
    augmented."""
    head_is_enough: float = Field(default=0.97, gt=0)
    """Staged: the backbone is not fine-tuned when the head alone reaches this value of the
    task's primary metric on validation; above 1 fine-tunes always."""
    head_lr: float | None = Field(default=None, gt=0)
    """Highest learning rate of the head on frozen features (frozen and staged)."""
    weight_decay: float = Field(default=0.02, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    schedule: Literal["one_cycle", "steps", "plateau", "constant"] = "one_cycle"
    """steps: the full rate for two thirds of a stage, then a tenth of it."""
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    mixup: float = Field(default=0.0, ge=0)
    """Alpha of the Beta distribution; 0 is off."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of the exponential moving average of the weights; None is off."""
    balance: Literal["none", "weights", "sampling"] = "none"
    foreground: float = Field(default=0.5, ge=0, le=1)
    """Of fit `tile`: share of the crops that are centred on a pixel of a class other than the most
    frequent; the others lie anywhere."""
    patience: int | None = Field(default=None, ge=1)
    """Epochs without improvement before stopping; None never stops early."""
    budget_s: float | None = Field(default=None, gt=0)
    """Seconds for the training; the schedule is fitted to the measured speed."""
    augment: AugmentOptions = AugmentOptions()
    precision: Literal["auto", "fp32", "bf16", "bf16_head"] = "auto"
    """bf16_head: the head in bf16, the backbone in fp32."""
    device: str = "auto"
    compile: bool | None = None
    """None: on for CUDA runs long enough to repay it."""


class EvaluateOptions(Section):
    """What is measured after training and how certain an answer must be."""

    batch_size: int = Field(default=32, ge=1)
    unsure_accuracy: float = Field(default=0.99, gt=0, lt=1)
    """Accuracy that the answers which are not `unsure` shall reach on validation."""
    bootstrap: int = Field(default=1000, ge=100)


class Recipe(Section):
    """Everything about a run."""

    schema_version: Literal[1] = 1
    task: str = "classify"
    seed: int = Field(default=0, ge=0)
    task_options: dict[str, Any] = Field(default_factory=dict)
    data: DataOptions = DataOptions()
    split: SplitOptions = SplitOptions()
    pipeline: PipelineOptions = PipelineOptions()
    model: ModelOptions = ModelOptions()
    train: TrainOptions = TrainOptions()
    evaluate: EvaluateOptions = EvaluateOptions()
    reasons: dict[str, str] = Field(default_factory=dict)
    """Dotted key → why an automatic choice was made. Not part of the digest."""

    @classmethod
    def load(cls, path: Path | None = None, overrides: Iterable[str] = ()) -> Self:
        """Read a YAML file (or start from the defaults) and apply `key.path=value` overrides.

        Args:
            path: The recipe file, or None.
            overrides: Each `train.epochs=5`; the value is read as YAML.

        Raises:
            RecipeError: For an unreadable file, an unknown key or a value out of range.
        """
        data: dict[str, Any] = {}
        if path is not None:
            try:
                loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
                raise RecipeError(f"Cannot read the recipe {path}: {error}") from error
            if not isinstance(loaded, dict):
                raise RecipeError(f"Invalid recipe {path}. Expected a mapping of keys.")
            data = loaded
        for override in overrides:
            _apply_override(data, override)
        return cls.parse(data)

    def overridden(self, overrides: Iterable[str]) -> Self:
        """Return a copy with `key.path=value` overrides applied; see `load` for the errors."""
        data = self._given()
        for override in overrides:
            _apply_override(data, override)
        return self.parse(data)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Check a mapping and return the recipe.

        Raises:
            RecipeError: Naming the key, and the nearest known one where it is unknown.
        """
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise RecipeError(_explain(cls, error), hint="foveal train --help") from error

    def updated(self, reasons: Mapping[str, str] | None = None, **changes: Any) -> Self:
        """Return a copy with dotted keys (written with `__`) changed and reasons added.

        `recipe.updated(train__epochs=5)` changes `train.epochs`.
        """
        data = self._given()
        for key, value in changes.items():
            _set(data, key.split("__"), value)
        data["reasons"] = {**self.reasons, **(reasons or {})}
        return self.parse(data)

    def _given(self) -> dict[str, Any]:
        """Return what was given or chosen; `model_fields_set` of a section stays true that way."""
        return self.model_dump(mode="json", exclude_unset=True)

    def to_yaml(self) -> str:
        """Return the recipe as YAML, in the order of the sections."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def flat(self) -> dict[str, bool | str | float | int]:
        """Return dotted key → plain value of everything but the reasons; None as ""."""
        flat: dict[str, bool | str | float | int] = {}

        def walk(prefix: str, value: Any) -> None:
            if isinstance(value, dict):
                for key, child in value.items():
                    walk(f"{prefix}.{key}" if prefix else key, child)
            elif isinstance(value, (bool, str, float, int)):
                flat[prefix] = value
            else:
                flat[prefix] = "" if value is None else str(value)

        walk("", self.model_dump(mode="json", exclude={"reasons"}))
        return flat

    def digest(self) -> str:
        """Return the sha256 of the recipe without its reasons, as hexadecimal digits."""
        data = self.model_dump(mode="json", exclude={"reasons"})
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _apply_override(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise RecipeError(
            f"Invalid override {override!r}. Expected KEY=VALUE.",
            hint="foveal train DATA --set train.epochs=5",
        )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise RecipeError(
            f"Invalid value in override {override!r}: {problem}.",
            hint=f"quote what is plain text: --set \"{key.strip()}='{text}'\"",
        ) from error
    _set(data, key.strip().split("."), value)


def _set(data: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        child = data.setdefault(part, {})
        if not isinstance(child, dict):
            raise RecipeError(f"Invalid recipe key {'.'.join(path)!r}: {part!r} has no keys.")
        data = child
    data[path[-1]] = value


def _section_at(root: type[BaseModel], path: Iterable[Any]) -> type[BaseModel] | None:
    section: type[BaseModel] = root
    for part in path:
        found = section.model_fields.get(str(part))
        kind = found.annotation if found else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return None
        section = kind
    return section


def _explain(root: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    key = ".".join(path)
    if first["type"] == "extra_forbidden":
        section = _section_at(root, path[:-1])
        near = nearest(path[-1], section.model_fields) if section else None
        guess = f" Did you mean {'.'.join([*path[:-1], near])!r}?" if near else ""
        return f"Unknown recipe key {key!r}.{guess}"
    return f"Invalid value for recipe key {key!r}: {first['msg']}. Received: {first['input']!r}."
