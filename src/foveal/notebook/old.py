"""Arguments of `%%ml_init`, `%%ml_code` and `%%ml_run` of cloudml-magic."""

from __future__ import annotations

import ast

from foveal.errors import UsageError, unknown_name
from foveal.notebook import arguments
from foveal.notebook.cells.requirements import check_requirements
from foveal.notebook.settings import NotebookSettings

# The machines of AI Platform's scale tiers that are still made; its K80 is not.
_TIERS: dict[str, tuple[str, str | None]] = {
    "BASIC": ("n1-standard-4", None),
    "STANDARD_1": ("n1-highcpu-8", None),
    "PREMIUM_1": ("n1-highcpu-16", None),
    "BASIC_GPU": ("n1-standard-8", "NVIDIA_TESLA_T4"),
}
_BODY = "{'install_requires': ['keras', 'h5py']}"


def parsed(line: str, cell: str) -> NotebookSettings:
    """Return the settings of an old `%%ml_init`.

    Args:
        line: Options of the magic.
        cell: A dictionary with `install_requires`, or empty.

    Raises:
        UsageError: If the body is invalid, or the tier is unknown.
    """
    given = arguments.parsed("ml_init", line)
    if given.tier not in _TIERS:
        raise UsageError(
            unknown_name("scale tier", given.tier, _TIERS),
            hint="%foveal_init --machine n1-standard-8 --accelerator NVIDIA_TESLA_T4",
        )
    given.machine, given.accelerator = _TIERS[given.tier]
    return NotebookSettings.from_arguments(given, _packages(cell))


def goes_to_cloud(line: str) -> bool:
    """Return whether `%%ml_run` submits the cell.

    Raises:
        UsageError: If the argument is neither `cloud` nor empty.
    """
    word = line.strip()
    if word not in ("", "cloud"):
        raise UsageError(
            f"Expected %%ml_run cloud. Received: %%ml_run {word}.", hint="%%foveal_run --on TARGET"
        )
    return word == "cloud"


def _packages(cell: str) -> list[str]:
    if not cell.strip():
        return []
    try:
        body = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError):
        body = None
    packages = body.get("install_requires", []) if isinstance(body, dict) else None
    if not isinstance(packages, list) or not all(isinstance(name, str) for name in packages):
        raise UsageError(f"Expected a dictionary of texts and lists, such as {_BODY}.")
    check_requirements(packages, "install_requires")
    return packages
