"""Score every picture of a folder by cleanvision's checks; run by `benchmarks/curation/`."""

from __future__ import annotations

import json
import sys

from cleanvision import Imagelab

KINDS = ("blurry", "dark", "light", "low_information", "odd_size", "odd_aspect_ratio")


def main() -> None:
    """Print path → kind → [score, whether it is an issue]; lower scores are worse."""
    folder, jobs = sys.argv[1], int(sys.argv[2])
    lab = Imagelab(data_path=folder, verbose=False)
    lab.find_issues({kind: {} for kind in KINDS}, n_jobs=jobs, verbose=False)
    rows = {
        str(path): {
            kind: [float(row[f"{kind}_score"]), bool(row[f"is_{kind}_issue"])] for kind in KINDS
        }
        for path, row in lab.issues.iterrows()
    }
    print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
