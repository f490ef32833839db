"""Print a folder as text: how a run comes back from a cluster that only gives logs.

Sent as it is and run there as a program, so it needs nothing but Python: `python send.py FOLDER`.
The folder goes as a zip archive, in base64, between a line that says how large it is and its
sha256.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import tempfile
import zipfile
from pathlib import Path

BEGIN, END, MISSING = "foveal-results-begin", "foveal-results-end", "foveal-results-missing"
# More would be a log that no dashboard gives back in one piece.
MOST_BYTES = 400_000_000
TOO_LARGE = "foveal-results-too-large"
_LINE = 57 * 1024


def main(folder: Path) -> None:
    """Print what is in `folder`."""
    # What a run only needs while it works is left there.
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and "cache" not in p.parts[-3:-1]]
    if not files:
        print(MISSING, flush=True)
        return
    with tempfile.TemporaryFile() as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder).as_posix())
        size = packed.tell()
        if size > MOST_BYTES:
            print(TOO_LARGE, size, flush=True)
            return
        packed.seek(0)
        print(BEGIN, size, flush=True)
        found = hashlib.sha256()
        while part := packed.read(_LINE):
            found.update(part)
            sys.stdout.write(base64.b64encode(part).decode() + "\n")
        print(END, found.hexdigest(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
