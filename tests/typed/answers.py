"""What a type checker makes of answers; mypy checks this file, and nothing runs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, assert_type

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

import foveal
from foveal import Answer, Answers


def pictures_in_memory(model: foveal.Model, picture: Image, content: bytes, file: BinaryIO) -> None:
    """One picture gives one answer."""
    assert_type(model(picture), Answer)
    assert_type(model(content), Answer)
    assert_type(model.predict(file), Answer)


def several(model: foveal.Model, pictures: list[str | Path], batch: tuple[bytes, ...]) -> None:
    """A list gives answers."""
    assert_type(model(pictures), Answers)
    assert_type(model(picture for picture in batch), Answers)
    assert_type(model.predict([Path("a.png")], batch_size=8), Answers)


def seen_when_opened(model: foveal.Model, array: NDArray[np.uint8]) -> None:
    """A path may be a picture or a folder, and an array a picture or a batch of them."""
    answers: Answers = model("folder")
    answer: Answer = model(Path("a.png"))
    batch: Answers = model.predict(array)
    picture: Answer = model.predict(array, out="drawn")
    print(answers, answer, batch, picture)


def lazily(model: foveal.Model, pictures: Any) -> None:
    """A stream gives them one by one."""
    assert_type(model("folder", stream=True), Iterator[Answer])
    assert_type(model.predict(pictures, stream=True), Iterator[Answer])
