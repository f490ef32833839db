"""An app in its own runtime, Chromium or else Node, as `prove_target` asks it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import final

import numpy as np
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits, decode
from foveal.data.headers import sniff
from foveal.errors import ParityError
from foveal.export.proof import TargetAnswer
from foveal.export.web.place import Place
from foveal.export.web.runtime import PACKAGE, VERSION
from foveal.export.web.server import ProofServer, Said
from foveal.tasks.agreement import LEAST_SHARE
from foveal.tasks.base import Task
from foveal.types import UNFAMILIARITY, Calibration, Frame, Mask, Outputs

_OWN_FORMATS = frozenset({"JPEG", "PNG"})
# A picture of fifty megapixels, tile by tile, on a slow machine.
_ANSWER_S = 600.0


@final
class WebTarget:
    """An app that answers pictures in Chromium or Node; see `running`.

    Args:
        server: Serves the app, which has begun to ask it for pictures.
        process: Runs the app.
        place: Where.
        task: The bundle's task, which decodes what the network gave once more.
        calibration: The bundle's calibration.
        limits: The bundle's limits on pictures.
    """

    def __init__(
        self,
        server: ProofServer,
        process: subprocess.Popen[bytes],
        place: Place,
        task: Task,
        calibration: Calibration,
        limits: DecodeLimits,
    ) -> None:
        self._server, self._process, self._place = server, process, place
        self._task, self._calibration, self._limits = task, calibration, limits
        self._where = place.name
        self.decoded_by_foveal = 0
        """Pictures of formats that only a browser decodes, answered in Node: foveal decoded them
        first."""

    @property
    def runtime(self) -> str:
        """Name and version."""
        return f"{PACKAGE} {VERSION} in {self._where}"

    def answer(self, files: Sequence[bytes]) -> Sequence[TargetAnswer]:
        """Return what the app says of each picture.

        Raises:
            ParityError: If it ends, or fails at a picture.
        """
        answers = []
        for data in files:
            self._server.ask(self._readable(data))
            answers.append(self._checked(self._wait()))
        return answers

    def _readable(self, data: bytes) -> bytes:
        if self._place.name != "Node" or sniff(data) in _OWN_FORMATS:
            return data
        self.decoded_by_foveal += 1
        file = BytesIO()
        PILImage.fromarray(decode(data, self._limits).pixels).save(file, "PNG")
        return file.getvalue()

    def _wait(self) -> Said:
        waited = 0.0
        while waited < _ANSWER_S and self._process.poll() is None:
            said = self._server.answer(1.0)
            if said is not None:
                return said
            waited += 1.0
        raise ParityError(f"The app gave no answer in {self._where}.", hint=None)

    def _checked(self, said: Said) -> TargetAnswer:
        self._where = said.header["runtime"]
        if "error" in said.header:
            raise ParityError(f"The app failed in {self._where}: {said.header['error']}")
        arrays = dict(said.arrays)
        pixels, mask = arrays.pop("model input"), arrays.pop("mask", None)
        outputs: Outputs = {name: np.array(values) for name, values in arrays.items()}
        return TargetAnswer(outputs, pixels, self._difference(said, outputs, mask))

    def _difference(self, said: Said, outputs: Outputs, mask: Mask | None) -> str | None:
        """Return the app's own words where it did not decode its outputs as the bundle does."""
        answer = said.header["answer"]
        # Only places in the picture depend on where it lies, and those are not compared.
        size = (int(answer["size"][0]), int(answer["size"][1]))
        frame = Frame(size, size, (1.0, 1.0), (0.0, 0.0))
        known = {name: values for name, values in outputs.items() if name != UNFAMILIARITY}
        (expected,) = self._task.decode(known, [frame], self._calibration)
        if mask is not None:
            is_same = float(np.mean(mask == expected.mask)) >= LEAST_SHARE
        else:
            is_same = answer["text"] == expected.text
        is_sure = abs(answer["confidence"] - expected.confidence) < 1e-4
        return None if is_same and is_sure else answer["text"]


@contextmanager
def running(folder: Path, place: Place, server: ProofServer) -> Iterator[subprocess.Popen[bytes]]:
    """Run an app until the block ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = place.command(folder, server.address, Path(profile))
        process = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
