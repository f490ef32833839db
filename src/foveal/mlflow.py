"""The pyfunc flavour: MLflow loads a bundle and predicts with it, without torch.

model = mlflow.pyfunc.load_model("models:/photos/3")
model.predict(pandas.DataFrame({"image": [Path("cat.jpg").read_bytes()]}))
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import UsageError
from foveal.model import Model
from foveal.predict.inputs import Given

_COLUMN = "image"
_DATA_URL = re.compile(r"data:[\w.+/-]{0,64};base64,", re.IGNORECASE)


@final
class FovealPyfunc:
    """The model that `mlflow.pyfunc.load_model` wraps.

    Args:
        path: The bundle.
        paths: Whether texts may be paths of picture files. Behind a server they must not be:
            whoever may ask could then look at the files of the machine.
    """

    def __init__(self, path: str, *, paths: bool = False) -> None:
        self.model = Model(path)
        self._paths = paths

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Answer pictures.

        Args:
            model_input: A data frame with a column `image` (or a single column), a list, an array
                (N, H, W, 3) or of one picture, or a dictionary with `image`. A picture is the bytes
                of a file, base64 text, an array as `Model` takes it, as nested lists too, or, where
                that is allowed, a path.
            params: Not used.

        Returns:
            A data frame with a row for each picture, as `Answers.to_pandas` gives it; one that
            cannot be read has an `error`.

        Raises:
            UsageError: If there is no column of pictures, or an array is no picture.
        """
        pictures = [self._read(picture) for picture in _pictures(model_input)]
        return self.model.predict(pictures, verbose=False).to_pandas()

    def _read(self, picture: Any) -> Any:
        if isinstance(picture, (list, np.ndarray)):
            return _numbers(picture)
        if not isinstance(picture, str):
            return picture
        if self._paths and Path(picture).is_file():
            return Given(picture, picture)
        prefix = _DATA_URL.match(picture)
        try:
            return base64.b64decode(picture[prefix.end() if prefix else 0 :], validate=True)
        except ValueError as error:
            reason = "There is no such file" if self._paths else "Paths are not read"
            raise UsageError(
                f"{picture[:40]!r} is not a picture in base64. {reason}.",
                hint='mlflow.pyfunc.load_model(URI, model_config={"paths": True})',
            ) from error


def _numbers(picture: list[Any] | NDArray[Any]) -> NDArray[Any]:
    """Return pixels as an array; lists are what was one before it became JSON.

    Raises:
        UsageError: For anything but numbers. Texts among them would be taken for paths.
    """
    try:
        array = np.asarray(picture)
    except ValueError:
        # Rows of different lengths.
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise UsageError(
            "Invalid picture. Expected pixels as numbers, in rows of one length.",
            hint="give the bytes of the file, or its base64 text",
        )
    return array


def _is_picture(given: Any) -> bool:
    """Whether a value is one picture, not several."""
    if isinstance(given, np.ndarray) and given.dtype != object:
        return given.ndim == 2 or (given.ndim == 3 and given.shape[2] in (1, 3, 4))
    return isinstance(given, (str, bytes))


def _pictures(given: Any) -> list[Any]:
    """Return the pictures of what a caller of pyfunc gave."""
    if _is_picture(given):
        return [given]
    columns = list(given) if isinstance(given, Mapping) else getattr(given, "columns", None)
    if columns is None:
        return list(given)
    if _COLUMN not in columns and len(columns) != 1:
        raise UsageError(
            f"Expected a column {_COLUMN!r} of pictures. Received: {[str(c) for c in columns]}."
        )
    column = given[_COLUMN if _COLUMN in columns else columns[0]]
    return [column] if _is_picture(column) else list(column)


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> FovealPyfunc:
    """Load the model; MLflow calls this.

    Args:
        path: The bundle.
        model_config: {"paths": true} lets texts be paths of picture files.
    """
    return FovealPyfunc(path, paths=bool((model_config or {}).get("paths", False)))
