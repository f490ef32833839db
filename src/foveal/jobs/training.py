"""A training as a job: its recipe and, if they are local, its data."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from foveal.errors import UsageError
from foveal.jobs.options import JobOptions
from foveal.jobs.target import Target
from foveal.jobs.work import OUTPUT, Work
from foveal.recipe import Recipe
from foveal.synth import is_synth
from foveal.urls import is_url, local_path

_RECIPE, _DATA, _START = "recipe.yaml", "data", "start"


@final
@dataclass(frozen=True, slots=True)
class Training:
    """The arguments of `foveal train`.

    Attributes:
        data: Path or URL of the pictures, or `synth:KIND`.
        recipe: As the user gave it.
        name: Name of the run.
        start_from: Bundle whose weights are the first ones; None begins with new ones.
        finish_on_interrupt: Make the model of what was learnt when the job is stopped.
        key: What a job that is started again finds its run by; no other training has it.
    """

    data: str
    recipe: Recipe
    name: str
    start_from: Path | None = None
    finish_on_interrupt: bool = False
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def work(self, target: Target, *more: str) -> Work:
        """Return it as work for a target.

        Args:
            target: Where it will be; a process of this machine reads the data where they are.
            more: Further arguments of `foveal train`.

        Raises:
            UsageError: If there are no such data, or the network is code of the user's own.
        """
        files: dict[str, Path | bytes] = {_RECIPE: self.recipe.given_yaml().encode()}
        # A cluster of Slurm shares its folders with the machine that one sends from.
        is_here = target.kind in ("local", "slurm")
        if not is_here:
            self._refuse_own_code(target)
        data = self.data
        if not is_url(data) and not is_synth(data):
            path = local_path(data)
            if not path.exists():
                raise UsageError(f"{data} does not exist.", hint="foveal train FOLDER")
            data = str(path.absolute()) if is_here else f"{_DATA}/{path.absolute().name}"
            if not is_here:
                files[data] = path
        start = []
        if self.start_from is not None:
            # Copied also on this machine: a store may drop the version while the job waits.
            files[f"{_START}/{self.start_from.name}"] = self.start_from
            start = ["--from", f"{_START}/{self.start_from.name}"]
        args = (
            *("train", data, "--recipe", _RECIPE, "--name", self.name, "--out", OUTPUT),
            *start,
            *(["--finish-on-interrupt"] if self.finish_on_interrupt else []),
            # Those start a job again whose machine was lost; elsewhere only a person does.
            *(["--resume-key", self.key] if target.kind not in ("local", "ray") else []),
            *more,
        )
        extras = ("train", *(("ray",) if target.kind == "ray" else ()))
        return Work(self.name, "foveal", args, files, extras=extras)

    def together(self, options: JobOptions) -> tuple[str, ...]:
        """Return the arguments of `foveal train` for a process on each accelerator of a machine.

        What the recipe says of the number of processes is left as it is.
        """
        many = options.accelerator is not None and options.accelerators > 1
        if not many or self.recipe.train.devices > 1:
            return ()
        return ("--devices", str(options.accelerators))

    def _refuse_own_code(self, target: Target) -> None:
        backbone = str(self.recipe.model.backbone or "")
        if ":" in backbone:
            raise UsageError(
                f"The backbone {backbone} is code on this machine, which {target} cannot access.",
                hint=(
                    "put the backbone into a package that the image of the job has installed: "
                    "docs/plugins.md"
                ),
            )
