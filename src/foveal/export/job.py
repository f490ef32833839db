"""The input of an export: model, pictures for verification, and options. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias, final

from foveal.bundle.bundle import Bundle
from foveal.console import NoProgress, Progress
from foveal.data.decode import DecodeLimits
from foveal.data.source import Sample, Source
from foveal.errors import ImageError, UsageError

Precision: TypeAlias = Literal["fp32", "fp16", "bf16", "int8"]

# In these a network may answer differently, and gets a calibration of its own.
LOSSY: frozenset[Precision] = frozenset({"bf16", "int8"})


@final
@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The options of exports; each format declares those that it supports.

    Attributes:
        precision: Number format of the network.
        with_app: Also write an app that contains the model.
        gpu: Export for machines with a GPU.
        without_pictures: Omit the validation pictures with which an app checks itself.
    """

    precision: Precision = "fp32"
    with_app: bool = False
    gpu: bool = False
    without_pictures: bool = False

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the options that are given, apart from the precision."""
        names = (option.name for option in fields(self) if option.name != "precision")
        return tuple(name for name in names if getattr(self, name))


def options_of(
    *,
    int8: bool,
    fp16: bool,
    with_app: bool,
    gpu: bool,
    bf16: bool = False,
    without_pictures: bool = False,
) -> ExportOptions:
    """Return the options given individually.

    Raises:
        UsageError: If two precisions are given.
    """
    flags: dict[Precision, bool] = {"int8": int8, "fp16": fp16, "bf16": bf16}
    given = [precision for precision, is_given in flags.items() if is_given]
    if len(given) > 1:
        raise UsageError(
            f"Expected one precision. Received: {' and '.join(given)}.", hint="leave one out"
        )
    return ExportOptions(
        given[0] if given else "fp32", with_app=with_app, gpu=gpu, without_pictures=without_pictures
    )


@final
@dataclass(frozen=True, slots=True)
class Pictures:
    """Picture files of the training data.

    Attributes:
        source: Source of the pictures and labels.
        val: Samples for verification: the validation split of the run, or all labelled samples of
            the data given by the user.
        train: Samples for calibrating a quantisation; disjoint from `val` if the run is available.
        limits: Limits on the size of pictures.
    """

    source: Source
    val: Sequence[Sample]
    train: Sequence[Sample]
    limits: DecodeLimits

    def files(self, samples: Sequence[Sample]) -> Iterator[tuple[str, bytes]]:
        """Yield the id and the content of each sample's file; what cannot be read is left out.

        Of a source that has no files, such as arrays, it is a PNG of the picture.
        """
        for sample in samples:
            try:
                yield sample.id, self.source.encoded(sample, self.limits)
            except ImageError:
                continue


def _no_pictures() -> Pictures | None:
    return None


@final
@dataclass(frozen=True, slots=True)
class ExportJob:
    """A model to be exported.

    Attributes:
        bundle: The model.
        options: The options.
        find_pictures: Returns the pictures for verification and calibration, or None if none are
            available. Called only by formats that need them.
        progress: Receives the progress.
    """

    bundle: Bundle
    options: ExportOptions = ExportOptions()
    find_pictures: Callable[[], Pictures | None] = _no_pictures
    progress: Progress = field(default_factory=NoProgress)

    def needed_pictures(self, need: str) -> Pictures:
        """Return the pictures.

        Args:
            need: Beginning of the error message, such as `A SavedModel is proven`.

        Raises:
            UsageError: If there are none.
        """
        pictures = self.find_pictures()
        if pictures is None:
            raise UsageError(
                f"{need} on validation pictures, but the run of this model cannot be found.",
                hint="export the run itself, or give labelled pictures: --data FOLDER",
            )
        return pictures
