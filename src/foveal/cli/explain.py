"""`foveal explain` writes a heat map that explains an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, MaxBytes, MaxPixels, ModelName, Quiet
from foveal.cli.output import note, write, write_json
from foveal.destination import check_file, writing
from foveal.render import encode_png


def explain(
    model: ModelName,
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="Picture file.")],
    label: Annotated[
        str | None, typer.Option(help="Label to explain; default: the predicted one.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="evidence (the model's own map) or occlusion (slower).")
    ] = "evidence",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="PNG", help="File to write; default: PICTURE.explained.png."
        ),
    ] = None,
    max_pixels: MaxPixels = None,
    max_bytes: MaxBytes = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Explain the answer to a picture.

    Writes a PNG: for a classifier, the picture under a heat map of the evidence for the label; for
    a reader, which column was read as which character; for a segmentation model, the mask.
    """
    target = out or Path(f"{Path(picture).stem}.explained.png")
    check_file(target)
    opened = foveal.load(model, max_pixels=max_pixels, max_bytes=max_bytes)
    explanation = opened.explain(picture, label=label, method=method)
    with writing(target):
        target.write_bytes(encode_png(explanation.overlay))
    prediction = explanation.prediction
    if as_json:
        write_json(
            {
                "schema_version": 1,
                "source": picture,
                "explained": explanation.label,
                "out": str(target),
                "prediction": opened.predictor.answer_json(prediction),
            }
        )
    else:
        write(str(target))
        headline = prediction.headline
        named = label is not None or method == "occlusion"
        said = f"{headline}; the map explains {explanation.label}" if named else headline
        note(said, quiet=quiet)
