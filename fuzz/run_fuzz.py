"""Fuzz the readers of foveal: every harness in this folder, or the ones named.

    python fuzz/run_fuzz.py [HARNESS...] --seconds 60

Coverage-guided by atheris. What is found is kept in `build/fuzz/HARNESS`, the corpus too, so that
the next run starts where this one ended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
_BUILD = FOLDER.parent / "build" / "fuzz"
_PREFIX = "harness_"


def harnesses() -> list[str]:
    """Return the names of all harnesses: `archive` stands for `harness_archive.py`."""
    return sorted(path.stem.removeprefix(_PREFIX) for path in FOLDER.glob(f"{_PREFIX}*.py"))


def findings(name: str) -> list[Path]:
    """Return the inputs that a harness once failed on."""
    return sorted(path for path in (FOLDER / "findings" / name).glob("*") if path.is_file())


def fuzz(name: str, seconds: int) -> None:
    """Run one harness in this process, which libFuzzer ends."""
    # Imported late: the tests that repeat the findings need no atheris.
    import atheris

    with atheris.instrument_imports(include=["foveal"]):
        harness = import_module(_PREFIX + name)
    corpus = _BUILD / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate((*harness.seeds(), *(path.read_bytes() for path in findings(name)))):
        (corpus / f"seed-{i}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={_BUILD / name}/",
        f"-max_len={harness.MAX_BYTES}",
        # An input that takes this long, or this much memory, is a finding too.
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], harness.test_one)
    atheris.Fuzz()


def main() -> int:
    """Run each harness in a process of its own; return 1 if one of them found something."""
    parser = argparse.ArgumentParser(description="Fuzz the readers of foveal.")
    parser.add_argument("names", nargs="*", metavar="HARNESS", help=", ".join(harnesses()))
    parser.add_argument("--seconds", type=int, default=60, help="for each harness")
    parser.add_argument("--here", action="store_true", help="run the one harness in this process")
    given = parser.parse_args()
    if unknown := set(given.names) - set(harnesses()):
        parser.error(f"there is no harness {', '.join(sorted(unknown))}")
    if given.here:
        fuzz(given.names[0], given.seconds)
        return 0
    failed = []
    for name in given.names or harnesses():
        print(f"== {name}", flush=True)
        command = [sys.executable, __file__, name, "--here", "--seconds", str(given.seconds)]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"error: findings in build/fuzz for {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
