"""What this machine reads of what another cluster has measured."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from colored import blocks_png
from discs import draw_disc_folder
from drawing import draw_shape

from foveal.bundle import Bundle
from foveal.cluster.evaluate import MeasuredReader
from foveal.data.source import ReadAnything
from foveal.evaluate.measure import Failure, Measured, measure_each
from foveal.predict import Predictor
from foveal.workflow.sources import open_as


def shapes(root: Path) -> None:
    (root / "circle").mkdir()
    draw_shape("circle", np.random.default_rng(0)).save(root / "circle" / "0.png")


def texts(root: Path) -> None:
    (root / "0.png").write_bytes(blocks_png("ABC"))
    (root / "labels.csv").write_text("image,text\n0.png,ABC\n")


def masks(root: Path) -> None:
    draw_disc_folder(root, 2)


@pytest.mark.parametrize(
    ("fixture", "draw"), [("tiny_bundle", shapes), ("tiny_reader", texts), ("tiny_masks", masks)]
)
def test_what_is_measured_comes_back_as_it_was(
    request: pytest.FixtureRequest, tmp_path: Path, fixture: str, draw: Callable[[Path], None]
) -> None:
    bundle: Bundle = request.getfixturevalue(fixture)
    draw(tmp_path)
    predictor = Predictor(bundle)
    source = open_as(tmp_path, ReadAnything(target=predictor.task.target_kind))
    found = [
        *measure_each(predictor, source, source.samples, batch_size=4),
        Failure("b.png", "image_unreadable", "It is no picture."),
    ]
    again = MeasuredReader(io.BytesIO(pickle.dumps(found)), predictor.task).load()
    assert again[-1] == found[-1]
    for ours, theirs in zip(found[:-1], again[:-1], strict=True):
        assert isinstance(ours, Measured)
        np.testing.assert_array_equal(theirs.row, ours.row)
        assert theirs.sample == ours.sample
        assert theirs.prediction.to_json() == ours.prediction.to_json()


@pytest.mark.parametrize("value", [os.system, OrderedDict(a=1), Path("a"), Predictor, pickle.loads])
def test_code_of_others_is_refused(tiny_bundle: Bundle, value: object) -> None:
    reader = MeasuredReader(io.BytesIO(pickle.dumps([value])), Predictor(tiny_bundle).task)
    with pytest.raises(pickle.UnpicklingError, match="is no result of an evaluation"):
        reader.load()
