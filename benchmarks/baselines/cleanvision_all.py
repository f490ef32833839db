"""Run all checks of cleanvision on a folder; run by `benchmarks/curation/`."""

from __future__ import annotations

import json
import sys

from cleanvision import Imagelab


def main() -> None:
    """Print the number of pictures."""
    lab = Imagelab(data_path=sys.argv[1], verbose=False)
    lab.find_issues(verbose=False)
    print(json.dumps({"pictures": len(lab.issues)}))


if __name__ == "__main__":
    main()
