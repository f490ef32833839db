"""Page pre-processing: steps that clean pages and cut them into lines of text.

Needs OpenCV, which is imported when the first step runs. The steps are pure functions of the
pixels, so a page gives the same strip in training, on the command line and in the server.
"""

from foveal.page.run import Stage, run_steps, show_steps
from foveal.page.steps import (
    DEFAULT_STEPS,
    FRACTION_STEPS,
    LINE_STEPS,
    STEPS,
    Step,
    parse_step,
    parse_steps,
)

__all__ = [
    "DEFAULT_STEPS",
    "FRACTION_STEPS",
    "LINE_STEPS",
    "STEPS",
    "Stage",
    "Step",
    "parse_step",
    "parse_steps",
    "run_steps",
    "show_steps",
]
