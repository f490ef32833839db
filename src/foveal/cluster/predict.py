"""Answer many pictures on Ray Data: actors that hold the model, and a file for some pictures each.

A row of the data set is a shard: the names of its pictures. An actor reads, decodes and answers
them, and writes the records itself, so that neither pixels nor answers pass through the cluster's
object store. Whatever dies, Ray gives its shard to another actor, and a shard that is there is not
answered again.
"""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias, final

from foveal.bundle.bundle import Bundle
from foveal.cluster.connect import check_joined, connected, import_ray
from foveal.cluster.rows import run_rows
from foveal.cluster.shards import FORMATS, Format, Manifest, ShardFolder, unread_in
from foveal.cluster.shipped import Shipped
from foveal.console import NoProgress, Progress
from foveal.curation.lines import line_of
from foveal.data.decode import DecodeLimits
from foveal.data.isolation.decoder import IsolatedDecoder
from foveal.data.locate import open_storage
from foveal.data.storage import Storage
from foveal.errors import DataError, FovealError, UsageError
from foveal.jobs.target import Target
from foveal.predict.files import answer_pictures
from foveal.predict.inputs import Given, Member
from foveal.predict.predictor import Predictor
from foveal.types import JsonObject
from foveal.urls import is_url, shown

# Pictures of a shard: so many that its file does not count, and so few that little is done twice
# and several actors have something to do. Of the number of pictures alone: others may go on.
_MOST_TOGETHER, _FEWEST_TOGETHER, _SHARDS = 256, 16, 64

# Processes that may die on a shard; from the second on, pictures are decoded in others.
_MOST_DEATHS = 4
_DECODE_S = 60.0

_Reference: TypeAlias = tuple[str, str | None, str]
"""Source, location of a storage or None, and the name in it or a path."""


@final
@dataclass(frozen=True, slots=True)
class AnswerFiles:
    """Answers in files.

    Attributes:
        location: Folder or URL of the files.
        pictures: How many were answered or could not be read.
        failed: How many of these could not be read.
        manifest: What the files are about.
    """

    location: str
    pictures: int
    failed: int
    manifest: Manifest

    def records(self) -> Iterator[JsonObject]:
        """Yield the record of each picture, in order, as `foveal predict --json` prints it."""
        return ShardFolder(self.location).records(self.manifest)

    def to_json(self) -> JsonObject:
        """Return what the command line prints."""
        return {
            "schema_version": 1,
            "out": shown(self.location),
            "format": self.manifest.format,
            "files": self.manifest.shards,
            "pictures": self.pictures,
            "failed": self.failed,
        }


def answer_on(
    target: Target,
    bundles: Sequence[Bundle],
    pictures: Sequence[Given],
    out: str,
    *,
    limits: DecodeLimits,
    engine: str,
    form: str,
    workers: int | None = None,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> AnswerFiles:
    """Answer pictures on a Ray cluster, into files.

    What is there of the same answers already is kept; see `foveal.cluster.shards`.

    Args:
        target: `ray:local` or `ray:auto`.
        bundles: The model; several vote.
        pictures: In files, archives or behind URLs, which each machine of the cluster has to see.
        out: Folder or URL for the files, which each machine has to see as well.
        limits: Largest picture that is decoded.
        engine: What runs the network.
        form: A key of `FORMATS`.
        workers: Actors that answer, at most, each on one core; None takes all cores.
        batch_size: Number of pictures in one run of the network.
        progress: Receives the progress.

    Raises:
        MissingExtraError: If Ray, or what a URL needs, is not installed.
        UsageError: If there is no cluster, or `out` has other answers or cannot be written to.
        DataError: If a machine does not see the pictures.
        FovealError: If an actor dies again and again over the same pictures.
    """
    check_joined(target)
    folder = ShardFolder(out)
    references = [_reference(picture) for picture in pictures]
    manifest = _manifest(bundles, references, FORMATS[form], limits, engine)
    folder.begin(manifest)
    # A cluster takes a while to start, and is not needed to repeat a command that has ended.
    if (counts := folder.counts(manifest)) is not None:
        folder.clear()
        return AnswerFiles(folder.location, *counts, manifest)
    shown = progress or NoProgress()
    done = failed = 0
    try:
        with connected(target) as ray:
            shown.start("predict", len(references))
            model = Shipped.put(ray, bundles, limits, engine)
            work = _Answering(model, folder.location, _seen(references), manifest, batch_size)
            finished = run_rows(
                ray,
                _rows(references, manifest),
                partial(_Answerer, work),
                workers=workers,
                resources=model.resources,
            )
            for total, unread in finished:
                done, failed = done + total, failed + unread
                shown.update(done)
    finally:
        shown.finish()
    folder.clear()
    return AnswerFiles(folder.location, done, failed, manifest)


@final
@dataclass(frozen=True, slots=True)
class _Answering:
    """The configuration of an actor."""

    model: Shipped
    out: str
    folder: str | None
    manifest: Manifest
    batch_size: int


@final
class _Answerer:
    """Answers the pictures of a shard; lives in an actor.

    Raises:
        UsageError: If this machine does not see where the answers go.
        DataError: If it does not see the pictures.
    """

    def __init__(self, work: _Answering) -> None:
        self._work = work
        self._folder = ShardFolder(work.out)
        self._folder.check_seen(work.manifest)
        if work.folder is not None and not Path(work.folder).is_dir():
            raise DataError(
                f"The folder of pictures {work.folder} does not exist on {socket.gethostname()}.",
                hint="give a URL, or a folder that all machines of the cluster share",
            )
        self._files = tempfile.TemporaryDirectory(prefix="foveal-")
        self._predictor = work.model.open(import_ray(), Path(self._files.name))
        self._opened: dict[str, Storage] = {}

    def __call__(self, row: tuple[int, Sequence[_Reference]]) -> tuple[int, int]:
        """Answer a shard, unless it is there; return how many there are and were not read."""
        number, references = row
        records = self._folder.read(number, self._work.manifest)
        if records is None:
            predictor = self._predictor_after(self._folder.attempt(number), references)
            given = [self._picture(reference) for reference in references]
            answers = list(answer_pictures(predictor, given, batch_size=self._work.batch_size))
            records = [answer.record for answer in answers]
            texts = [None if answer.error is not None else answer.text for answer in answers]
            self._folder.write(number, self._work.manifest, records, texts)
        return len(records), unread_in(records)

    def _predictor_after(self, deaths: int, references: Sequence[_Reference]) -> Predictor:
        """Return what answers a shard on which processes have died, perhaps of a picture.

        Raises:
            FovealError: If that went on where nothing but the picture dies.
        """
        if not deaths:
            return self._predictor
        if deaths >= _MOST_DEATHS:
            raise FovealError(
                f"{deaths} processes died on the pictures {references[0][0]} to "
                f"{references[-1][0]}; as many of the others as possible were answered.",
                hint=(
                    "use fewer --workers, so that each has more memory, or leave these pictures out"
                ),
            )
        known = self._predictor
        return Predictor(
            known.bundle,
            engine=known.engine,
            limits=known.limits,
            others=known.others,
            decoder=IsolatedDecoder(1, timeout_s=_DECODE_S),
        )

    def _picture(self, reference: _Reference) -> Given:
        source, location, name = reference
        if location is None:
            return Given(source, name)
        storage = self._opened.get(location)
        if storage is None:
            storage = self._opened[location] = open_storage(location)
        return Given(source, Member(storage, name))


def _reference(given: Given) -> _Reference:
    """Return how another process finds a picture: its source, and a path or a place in a storage.

    Raises:
        UsageError: For a picture in memory.
    """
    if isinstance(given.content, Member):
        location = given.content.storage.location
        place = location if is_url(location) else str(Path(location).absolute())
        return given.source, place, given.content.name
    if isinstance(given.content, str):
        return given.source, None, str(Path(given.content).absolute())
    raise UsageError(f"{given.source} is in memory. Expected files, folders, archives or URLs.")


def _manifest(
    bundles: Sequence[Bundle],
    references: Sequence[_Reference],
    form: Format,
    limits: DecodeLimits,
    engine: str,
) -> Manifest:
    listing = hashlib.sha256()
    for reference in references:
        listing.update(line_of({"picture": reference}))
    return Manifest(
        model=",".join(bundle.name for bundle in bundles),
        version=",".join(bundle.version for bundle in bundles),
        pictures=len(references),
        listing=listing.hexdigest(),
        together=max(_FEWEST_TOGETHER, min(_MOST_TOGETHER, len(references) // _SHARDS)),
        format=form.suffix,
        settings={
            "engine": engine,
            "max_pixels": limits.max_pixels,
            "max_bytes": limits.max_bytes,
        },
    )


def _rows(
    references: Sequence[_Reference], manifest: Manifest
) -> list[tuple[int, Sequence[_Reference]]]:
    starts = range(0, len(references), manifest.together)
    return [(n, references[at : at + manifest.together]) for n, at in enumerate(starts)]


def _seen(references: Sequence[_Reference]) -> str | None:
    """Return the folder that every machine has to see; None where all is behind URLs."""
    paths = [place or name for _, place, name in references if place is None or not is_url(place)]
    there = {str(Path(path).parent) for path in paths}
    folders = [folder for folder in there if Path(folder).is_dir()]
    return os.path.commonpath(folders) if folders else None
