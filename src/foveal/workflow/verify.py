"""`foveal verify`: check that a model answers on this machine as it did when it was exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import final

from foveal.bundle.bundle import MANIFEST_NAME, Bundle
from foveal.console import Progress
from foveal.errors import ParityError, UsageError
from foveal.evaluate.table import read_answers
from foveal.export.formats import FORMATS, Format
from foveal.export.job import ExportJob, Pictures
from foveal.export.lossy import compared
from foveal.export.own_proof import repeat_proof
from foveal.export.proof import prove_engine
from foveal.predict.engine import OnnxEngine
from foveal.predict.predictor import Predictor
from foveal.types import JsonObject
from foveal.workflow.exports import pictures_of
from foveal.workflow.measure import measure


@final
@dataclass(frozen=True, slots=True)
class Check:
    """The result of one verification.

    Attributes:
        name: `inputs`, `validation`, `pictures` or `export`.
        passed: Whether it holds.
        words: Result, as a sentence.
        figures: The same as numbers.
    """

    name: str
    passed: bool
    words: str
    figures: JsonObject = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "name": self.name,
            "passed": self.passed,
            "words": self.words,
            "figures": self.figures,
        }


def verify_bundle(
    bundle: Bundle,
    *,
    own: Path | None,
    run: Path | None,
    data: str | Path | None,
    against: Bundle | None,
    progress: Progress,
) -> list[Check]:
    """Verify an opened bundle, whose files have been found unchanged, on this machine.

    Its own proof inputs are run, if it has some, and the validation pictures of its run, if that is
    at hand: the answers must be those of the machine where it was written. With another bundle to
    compare it with, which a quantised one needs, both answer labelled pictures.

    Args:
        bundle: The bundle.
        own: Run of the bundle, if it is at hand.
        run: The run of `against`, whose validation pictures are answered, if one is at hand.
        data: Labelled pictures to take instead.
        against: The bundle to compare it with: the same answers are expected, or, of a quantised
            network, no worse ones.
        progress: Receives the progress.

    Raises:
        UsageError: If there is nothing to verify it by.
    """
    checks = []
    if bundle.proof is not None:
        own_proof = repeat_proof(bundle, bundle.proof)
        checks.append(Check("inputs", own_proof.passed, own_proof.words, own_proof.to_json()))
    if own is not None:
        checks.append(_same_answers(bundle, own, progress))
    if against is not None:
        pictures = pictures_of(against, run, data)
        job = ExportJob(against, find_pictures=lambda: pictures, progress=progress)
        found = job.needed_pictures("Two bundles are compared")
        checks.append(_compared(job, bundle, found))
    if not checks:
        raise UsageError(
            f"{bundle.name} has no proof inputs, because it was written by an older version of "
            "foveal.",
            hint=(
                "give the bundle that it was made from, and pictures: --against MODEL --data FOLDER"
            ),
        )
    return checks


def verify_export(
    path: Path, *, against: Bundle, run: Path | None, data: str | Path | None, progress: Progress
) -> list[Check]:
    """Verify an exported file or folder: its proof is repeated in its own runtime.

    Args:
        path: File or folder that `foveal export` wrote.
        against: The bundle that it was exported from.
        run: The run whose validation pictures are answered, if one is at hand.
        data: Labelled pictures to take instead.
        progress: Receives the progress.

    Raises:
        UsageError: If it has no format that can be verified.
    """
    job = ExportJob(
        against, find_pictures=partial(pictures_of, against, run, data), progress=progress
    )
    entry = _format_of(path)
    if entry is None or entry.verify is None:
        raise UsageError(f"{path} is not an export that can be verified.")
    try:
        proof = entry.verify(job, path)
    except ParityError as error:
        return [_failed("export", error)]
    words = (
        f"In {proof.runtime}, answers agree with {against.name} for "
        f"{proof.agreement(against.task.target_kind)}."
    )
    return [Check("export", True, words, proof.to_json())]


def _same_answers(bundle: Bundle, run: Path, progress: Progress) -> Check:
    """Answer the validation pictures of a run again, and compare with what it keeps of them."""
    kept = read_answers(run / "predictions.csv")
    evaluation = measure(Predictor(bundle), None, run=run, split=None, out=None, progress=progress)
    answered = zip(evaluation.measured.samples, evaluation.measured.predictions, strict=True)
    now = {sample.id: prediction.text for sample, prediction in answered}
    same = sum(now.get(image) == answer for image, answer in kept.items())
    words = f"{same} of {len(kept)} validation pictures are answered as when the run was evaluated."
    figures = {"pictures": len(kept), "same_answers": same}
    return Check("validation", bool(kept) and same == len(kept), words, figures)


def _compared(job: ExportJob, bundle: Bundle, pictures: Pictures) -> Check:
    """Let a bundle answer pictures beside another one, which it must equal or not be worse than."""
    engine = OnnxEngine(bundle.model_bytes())
    try:
        if bundle.manifest.parity.get("precision", "fp32") == "fp32":
            proof = prove_engine(job, pictures, engine, "ONNX Runtime")
        else:
            proof = compared(job, pictures, Predictor(bundle), "ONNX Runtime")
    except ParityError as error:
        return _failed("pictures", error)
    words = (
        f"Answers agree with {job.bundle.name} {job.bundle.version} for "
        f"{proof.agreement(bundle.task.target_kind)}."
    )
    return Check("pictures", True, words, proof.to_json())


def _failed(name: str, error: ParityError) -> Check:
    # Raised where an export would have been written.
    return Check(name, False, error.message.replace(" Nothing was written.", ""))


def is_export(location: str) -> bool:
    """Return whether something is an exported file or folder that can be verified."""
    path = Path(location)
    if (path / MANIFEST_NAME).is_file() or (path / "bundle" / MANIFEST_NAME).is_file():
        # A bundle or a run, whatever it is called.
        return False
    return path.exists() and _format_of(path) is not None


def _format_of(path: Path) -> Format | None:
    """Return the format of an export that can be verified; folders may have any name."""
    known = [entry for _, entry in FORMATS.works() if entry.verify is not None]
    for entry in known:
        if entry.is_folder and entry.main and (path / entry.main).is_file():
            return entry
    return next((entry for entry in known if path.name.endswith(entry.suffix)), None)


def all_passed(checks: Sequence[Check]) -> bool:
    """Return whether every check passed."""
    return all(check.passed for check in checks)
