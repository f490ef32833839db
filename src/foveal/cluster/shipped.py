"""Ship a model to other machines."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from foveal.bundle.bundle import Bundle
from foveal.data.decode import DecodeLimits
from foveal.machine import share_cores
from foveal.predict.choice import bundle_for, choose
from foveal.predict.engine import ONNX_RUNTIME
from foveal.predict.predictor import Predictor

_ON_GPU = ("cuda", "tensorrt")


@final
@dataclass(frozen=True, slots=True)
class Shipped:
    """A model in the object store of a cluster: each machine fetches it once.

    Attributes:
        bundles: References to the bytes of `.foveal` files; the others vote with the first.
        limits: Largest picture that is decoded.
        engine: What runs the network.
        shown: Name and version, as in the records of answers.
    """

    bundles: tuple[Any, ...]
    limits: DecodeLimits
    engine: str
    shown: tuple[str, str]

    @classmethod
    def put(cls, ray: Any, bundles: Sequence[Bundle], limits: DecodeLimits, engine: str) -> Shipped:
        """Put a model into the object store of the cluster that this process is connected to."""
        with tempfile.TemporaryDirectory(prefix="foveal-") as folder:
            packed = [
                ray.put(bundle.pack(Path(folder) / f"{number}.foveal").read_bytes())
                for number, bundle in enumerate(bundles)
            ]
        names = ",".join(bundle.name for bundle in bundles)
        versions = ",".join(bundle.version for bundle in bundles)
        return cls(tuple(packed), limits, engine, (names, versions))

    @property
    def resources(self) -> dict[str, float]:
        """Return what an actor that runs the model reserves."""
        return {"num_cpus": 1, "num_gpus": 1 if self.engine in _ON_GPU else 0}

    def open(self, ray: Any, folder: Path) -> Predictor:
        """Open the model in an actor, which keeps to the one core that it reserved.

        Args:
            ray: The module.
            folder: A folder for its files, which must stay as long as it answers.
        """
        # Ray counts cores and binds nobody to them; this process has one of them all.
        share_cores(os.cpu_count() or 1)
        opened = []
        for number, packed in enumerate(ray.get(list(self.bundles))):
            path = folder / f"{number}.foveal"
            path.write_bytes(packed)
            opened.append(self._run(Bundle.open(path)))
        first, *others = opened
        return Predictor(first.bundle, engine=first.engine, limits=self.limits, others=others)

    def _run(self, bundle: Bundle) -> Predictor:
        predictor = Predictor(bundle, limits=self.limits)
        if self.engine == ONNX_RUNTIME:
            return predictor
        engine = choose(predictor, self.engine)
        return Predictor(bundle_for(bundle, engine), engine=engine, limits=self.limits)
