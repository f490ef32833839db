"""What an export is asked for: a model, pictures to prove it on, and options. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias, final

from foveal.bundle.bundle import Bundle
from foveal.console import NoProgress, Progress
from foveal.data.decode import DecodeLimits
from foveal.data.source import Sample, Source
from foveal.errors import ImageError, UsageError

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")


@final
@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What may be asked of a format; each says which of these it takes.

    Attributes:
        precision: How many bits the network's numbers have.
        with_app: Also write an application around the model.
        gpu: For machines with a graphics processor.
        without_pictures: Leave out the validation pictures that an application checks itself with.
    """

    precision: Precision = "fp32"
    with_app: bool = False
    gpu: bool = False
    without_pictures: bool = False

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the options that are not at their defaults."""
        default = ExportOptions()
        names = (option.name for option in fields(self))
        return tuple(name for name in names if getattr(self, name) != getattr(default, name))


def options_of(
    *, int8: bool, fp16: bool, with_app: bool, gpu: bool, without_pictures: bool = False
) -> ExportOptions:
    """Return the options that were asked for one by one.

    Raises:
        UsageError: If two precisions were.
    """
    if int8 and fp16:
        raise UsageError("Expected one precision. Received: int8 and fp16.", hint="leave one out")
    precision: Precision = "int8" if int8 else "fp16" if fp16 else "fp32"
    return ExportOptions(precision, with_app=with_app, gpu=gpu, without_pictures=without_pictures)


@final
@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures of the kind that a model was trained on, as files.

    Attributes:
        source: Holds them, and their labels.
        val: The samples that an export is proven on: those of the run's validation split, or all
            labelled samples of the data that the user names.
        train: The samples that a quantisation is calibrated on; not one of `val` where a run is
            at hand.
        limits: Largest picture that is read.
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
        options: What was asked for.
        find_pictures: Returns the pictures to prove it on and to calibrate with, or None when
            there are none at hand. Called only by formats that need them.
        progress: Receives the progress.
    """

    bundle: Bundle
    options: ExportOptions = ExportOptions()
    find_pictures: Callable[[], Pictures | None] = _no_pictures
    progress: Progress = field(default_factory=NoProgress)

    def needed_pictures(self, need: str) -> Pictures:
        """Return the pictures.

        Args:
            need: What needs them, as a sentence begins: `A SavedModel is proven`.

        Raises:
            UsageError: If there are none.
        """
        pictures = self.find_pictures()
        if pictures is None:
            raise UsageError(
                f"{need} on validation pictures, and the run of this model is not at hand.",
                hint="export the run, or name labelled pictures: --data FOLDER",
            )
        return pictures
