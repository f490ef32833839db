"""What every benchmark reports: one JSON line with commit, machine, versions, n and spread."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

SCHEMA_VERSION = 1
ROOT = Path(__file__).resolve().parents[1]
# Beside the checkout: real pictures that may not be redistributed.
SHARED_DATA = ROOT.parent / "shared" / "data"

_PACKAGES = ("foveal", "torch", "timm", "numpy", "pillow", "simplejpeg", "onnxruntime")


@dataclass(frozen=True)
class Outcome:
    """One measured claim.

    Attributes:
        claim: Short name, the key of the table's row.
        what: The claim in words.
        unit: Of the values: `share`, `ratio`, `s`, `MB`, `pictures/s`.
        values: One for each seed, split or repetition.
        target: What must be reached, in the same unit; None where the figure is for information.
        better: Whether high or low values are good.
        judged_by: Which number is held against the target.
        limits: Further limits: name → (measured, at most).
        detail: Everything else worth keeping.
    """

    claim: str
    what: str
    unit: str
    values: tuple[float, ...]
    target: float | None
    better: Literal["high", "low"] = "high"
    judged_by: Literal["mean", "median"] = "mean"
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def central(self) -> float:
        """Return the mean or median of the values."""
        middle = statistics.fmean if self.judged_by == "mean" else statistics.median
        return float(middle(self.values))

    @property
    def met(self) -> bool | None:
        """Tell whether the target and every limit are kept; None where there is neither."""
        if self.target is None and not self.limits:
            return None
        return self._is_reached() and all(value <= most for value, most in self.limits.values())

    def _is_reached(self) -> bool:
        if self.target is None:
            return True
        return self.central >= self.target if self.better == "high" else self.central <= self.target

    def to_json(self) -> dict[str, Any]:
        """Return the JSON line."""
        return {
            "schema_version": SCHEMA_VERSION,
            "claim": self.claim,
            "what": self.what,
            "unit": self.unit,
            "n": len(self.values),
            self.judged_by: self.central,
            "judged_by": self.judged_by,
            "sd": statistics.stdev(self.values) if len(self.values) > 1 else None,
            "min": min(self.values),
            "max": max(self.values),
            "values": list(self.values),
            "target": self.target,
            "better": self.better,
            "limits": {k: {"measured": m, "at_most": most} for k, (m, most) in self.limits.items()},
            "met": self.met,
            "detail": self.detail,
            "commit": commit(),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "versions": versions(),
        }


def show(value: float, unit: str) -> str:
    """Return a value with its unit as people read it."""
    if unit == "share":
        return f"{100 * value:.2f} %"
    if unit == "ratio":
        return f"{value:.2f} x"
    return f"{value:.3g} {unit}"


def human_line(line: dict[str, Any]) -> str:
    """Return one sentence for a JSON line."""
    unit = line["unit"]
    spread = f", sd {show(line['sd'], unit)}" if line["sd"] is not None else ""
    sign = "at least" if line["better"] == "high" else "at most"
    limits = "".join(
        f"; {name} {limit['measured']:.3g} (at most {limit['at_most']:.3g})"
        for name, limit in line["limits"].items()
    )
    target = f" ({sign} {show(line['target'], unit)})" if line["target"] is not None else ""
    verdict = {True: "met", False: "NOT MET", None: "for information"}[line["met"]]
    return (
        f"{line['claim']}: {show(line[line['judged_by']], unit)} {line['judged_by']} of "
        f"{line['n']}{spread}, {show(line['min'], unit)} to {show(line['max'], unit)}"
        f"{target}{limits}: {verdict} "
        f"[{line['commit'][:9]}, {line['machine']['processor']}, {line['machine']['cores']} cores]"
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add `--out`, which every benchmark has."""
    parser.add_argument(
        "--out", type=Path, default=None, metavar="FILE", help="append the JSON line to this file"
    )


def report(outcome: Outcome, out: Path | None) -> dict[str, Any]:
    """Print the sentence on stderr and the JSON line on stdout; append the line to `out`.

    Returns:
        The line.
    """
    line = outcome.to_json()
    text = json.dumps(line, sort_keys=True)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    sys.stdout.write(text + "\n")
    sys.stderr.write(human_line(line) + "\n")
    return line


def note(text: str) -> None:
    """Say how far the benchmark is, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def commit() -> str:
    """Return the commit of this checkout, with `+changes` when files differ from it."""
    try:
        head = _git("rev-parse", "HEAD").strip()
        changed = _git("status", "--porcelain", "--untracked-files=no").strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+changes" if changed else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def machine() -> dict[str, Any]:
    """Return processor, cores that this process may use, memory and how busy it all was."""
    return {
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cores": _cores(),
        "bf16": bool({"avx512_bf16", "amx_bf16"} & set((_cpuinfo("flags") or "").split())),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load": round(os.getloadavg()[0], 2),
        "platform": platform.platform(),
    }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpuinfo(key: str) -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), None)


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of what computes."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def shared(name: str, root: Path | None = None) -> Path:
    """Return the folder of a set of real pictures, or end the script with the reason.

    Args:
        name: Of the set.
        root: Where the sets lie; None takes `../shared/data` beside the checkout.
    """
    path = (root or SHARED_DATA) / name
    if not path.is_dir():
        raise SystemExit(f"The pictures {name!r} are not on this machine: {path} is missing.")
    return path


def seeds(count: int, first: int = 0) -> Sequence[int]:
    """Return the split seeds of a benchmark that repeats `count` times."""
    return range(first, first + count)
