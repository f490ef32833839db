"""The scripts of `benchmarks/` import each other as scripts do: from their own folder."""

import sys
from pathlib import Path

_SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path[:0] = [str(_SCRIPTS), str(_SCRIPTS / "serving")]
