"""Read one picture, or all of a folder in a loop, with ddddocr.

A program of its own, started by ../ddddocr_compare.py with the interpreter of an environment that
holds ddddocr. Prints one JSON line: name of the picture → text.

    python ddddocr_read.py default|beta picture-or-folder
"""

import json
import sys
from pathlib import Path

import ddddocr

model, target = sys.argv[1], Path(sys.argv[2])
pictures = sorted(target.iterdir()) if target.is_dir() else [target]
reader = ddddocr.DdddOcr(show_ad=False, beta=model == "beta")
texts = {picture.name: reader.classification(picture.read_bytes()) for picture in pictures}
print(json.dumps(texts))
