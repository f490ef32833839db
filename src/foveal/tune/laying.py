"""Prepare the runs of a study: recipe, split and decoded pictures."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import final

from foveal.atomic import atomic_path, locked, write_atomic
from foveal.console import Progress
from foveal.data.cache import Cache
from foveal.recipe import Recipe
from foveal.tune.folder import StudyFolder
from foveal.tune.resolving import Resolver
from foveal.workflow.environment import describe_environment
from foveal.workflow.prepare import prepare
from foveal.workflow.resolve import pipeline_of
from foveal.workflow.rundir import RunDirectory, write_json
from foveal.workflow.state import write_state


@final
class Layout:
    """Prepares the runs of a study, with one split and pictures decoded once per size.

    Args:
        folder: The study.
        location: Where its data is.
    """

    def __init__(self, folder: StudyFolder, location: str) -> None:
        self._folder = folder
        self._location = location

    def begin(self, resolver: Resolver, progress: Progress) -> None:
        """Decode the pictures for the default recipe, check them, and fix the split.

        Raises:
            DataError: If a check finds what training cannot work with.
        """
        run = self._folder.fixed
        run.path.mkdir(parents=True, exist_ok=True)
        run.recipe.write_text(resolver.default.to_yaml(), encoding="utf-8")
        prepared = prepare(resolver.source, resolver.default, run, progress, resume=True)
        prepared.cache.close()
        self.share(run)
        shutil.rmtree(run.cache, ignore_errors=True)

    def lay(self, run: RunDirectory, recipe: Recipe) -> None:
        """Make the directory of a run, unless it is there; its recipe comes last."""
        if run.recipe.is_file():
            return
        run.path.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._folder.fixed.split, run.split)
        write_json(run.environment, describe_environment())
        write_state(run, self._location, ())
        write_atomic(run.recipe, recipe.to_yaml(), durable=True)

    def share(self, run: RunDirectory) -> None:
        """Give the pictures that a run has decoded to the others of the same pre-processing."""
        shared = self._decoded(run)
        with locked(self._folder.path / "decoded.lock"):
            if Cache.is_complete(shared) or not Cache.is_complete(run.cache):
                return
            shared.parent.mkdir(exist_ok=True)
            with atomic_path(shared) as temporary:
                _link(run.cache, temporary)

    def take(self, run: RunDirectory) -> None:
        """Give a run the pictures that another one has decoded, where there are some."""
        shared = self._decoded(run)
        if Cache.is_complete(run.cache) or not Cache.is_complete(shared):
            return
        with atomic_path(run.cache) as temporary:
            _link(shared, temporary)

    def _decoded(self, run: RunDirectory) -> Path:
        recipe = Recipe.load(run.recipe)
        # All that decoding depends on beside the data.
        about = [pipeline_of(recipe).to_json(), recipe.data.max_pixels, recipe.data.max_bytes]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        return self._folder.decoded / digest[:16]


def _link(folder: Path, copy: Path) -> None:
    """Make a folder with the same files: nothing is written twice where the disk can share it."""
    copy.mkdir(parents=True)
    for file in folder.iterdir():
        if not file.is_file():
            # Features and drawn sets are a run's own.
            continue
        try:
            os.link(file, copy / file.name)
        except OSError:
            shutil.copyfile(file, copy / file.name)
