"""Write an Xcode project of an iPhone and iPad app for a Core ML package."""

from __future__ import annotations

import shutil
from pathlib import Path

from foveal.bundle.bundle import Bundle
from foveal.data.findings import plural
from foveal.errors import UsageError
from foveal.export.proof import Proof
from foveal.export.web.icons import draw_icon
from foveal.types import JsonObject

# Where the package lies in the project; Xcode compiles it to Model.mlmodelc.
MODEL = Path("Foveal") / "Model" / "Model.mlpackage"
CHECK = Path("Foveal") / "Check"
_SOURCES = Path(__file__).parent / "app"
_ICON = Path("Foveal") / "Assets.xcassets" / "AppIcon.appiconset" / "icon.png"
# As Xcode wants it: pixels of a side; and the share that the mark takes.
_ICON_SHAPE = (1024, 0.7)
_PROJECT, _README = Path("Foveal.xcodeproj") / "project.pbxproj", Path("README.md")
_TILE_NOTE = """
foveal answers large pictures tile by tile, at the scale that the model was trained at. The
application scales each picture to fit one tile, so it suits pictures that show about as much as a
tile does.
"""


def check_app(bundle: Bundle) -> None:
    """Raise unless the application can answer pictures as a bundle does.

    Raises:
        UsageError: If it cannot.
    """
    options = bundle.manifest.task_options
    missing = None
    if bundle.task.name not in ("classify", "read", "segment"):
        missing = f"answers the task {bundle.task.name}"
    elif bundle.pipeline.steps:
        missing = f"cleans pages ({', '.join(bundle.pipeline.steps)})"
    elif options.get("instances", "none") != "none":
        missing = "tells objects apart (task_options.instances)"
    elif bundle.task.name == "read":
        searched = [name for name in ("grammar", "pattern") if options.get(name)]
        searched += ["decoder"] if options.get("decoder", "greedy") != "greedy" else []
        if searched:
            missing = f"searches among texts ({', '.join(searched)})"
    if missing is not None:
        raise UsageError(
            f"No application can be written for {bundle.name}: it {missing}, which the "
            "application cannot do.",
            hint="leave out --with-app",
        )


def write_project(bundle: Bundle, out: Path) -> None:
    """Write the project without the model, and without what depends on its proof."""
    shutil.copytree(_SOURCES, out, dirs_exist_ok=True)
    words = {
        "@NAME@": bundle.name,
        # What an identifier may be made of.
        "@IDENTIFIER@": "".join(c if c.isascii() and c.isalnum() else "-" for c in bundle.name),
        "@VERSION@": bundle.version,
    }
    for name in (_PROJECT, _README):
        text = (out / name).read_text(encoding="utf-8")
        for placeholder, word in words.items():
            text = text.replace(placeholder, word)
        (out / name).write_text(text, encoding="utf-8")
    (out / _ICON).write_bytes(draw_icon(*_ICON_SHAPE))
    (out / MODEL.parent).mkdir()


def finish_readme(bundle: Bundle, out: Path, proof: Proof, checked: int) -> None:
    """Say in the project's README what was proven, and what it holds."""
    agreement = f"{proof.label_agreement:.1%} of {proof.samples} alike, probabilities at most "
    agreement += f"{proof.max_probability_difference:.1g} apart"
    many = plural(checked, "picture")
    if checked:
        row = f"| `Foveal/Check` | {many} of the validation split, and the expected answers"
        row += " |\n"
        check = (
            f"On its first start, the application answers {many} and shows whether each passed; "
            "later, under the button at the top right.\n\n"
            "**These are validation pictures of the model.** They are part of the application: "
            "whoever has it can look at them. "
            "Delete the folder `Foveal/Check` if they are not to be given away."
        )
    else:
        row = ""
        check = "It holds no validation pictures, so it cannot check itself on a device."
    words = {
        "@CHECK_ROW@\n": row,
        "@CHECK@": check,
        "@PROOF@": agreement,
        "@TASK_NOTE@": _TILE_NOTE if bundle.task.name == "segment" else "",
        "@LICENCES@\n": _licences(bundle.manifest.licences),
    }
    text = (out / _README).read_text(encoding="utf-8")
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    (out / _README).write_text(text, encoding="utf-8")


def _licences(entries: tuple[JsonObject, ...]) -> str:
    lines = (f"- {e.get('weights')}: {e.get('licence')}, {e.get('origin')}\n" for e in entries)
    return "".join(("\n## Licences of weights\n\n", *lines)) if entries else ""
