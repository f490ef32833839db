"""`foveal explain` writes the heat map of what speaks for an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, MaxBytes, MaxPixels, ModelName, Quiet
from foveal.cli.output import note, write, write_json
from foveal.errors import UsageError
from foveal.render import encode_png


def explain(
    model: ModelName,
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture file.")],
    label: Annotated[
        str | None, typer.Option(help="The label to explain; default: the answer's own.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="evidence (the model's own map) or occlusion (independent).")
    ] = "evidence",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="PNG", help="Default: PICTURE.explained.png, here."),
    ] = None,
    max_pixels: MaxPixels = None,
    max_bytes: MaxBytes = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what in a picture speaks for its answer.

    Writes the heat map over the picture as a PNG.
    """
    opened = foveal.load(model, max_pixels=max_pixels, max_bytes=max_bytes)
    explanation = opened.explain(picture, label=label, method=method)
    target = out or Path(f"{Path(picture).stem}.explained.png")
    try:
        target.write_bytes(encode_png(explanation.overlay))
    except OSError as error:
        raise UsageError(f"Cannot write {target}: {error.strerror}.") from error
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
        said = f"{headline}; the map speaks for {explanation.label}" if named else headline
        note(said, quiet=quiet)
