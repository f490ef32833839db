"""Find near-duplicates of a folder by imagededup's hashes; run by `benchmarks/curation/`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import ModuleType

# Its package imports a network with torch and torchvision, which hashes have no use for.
for _module, _name in (("methods.cnn", "CNN"), ("utils.models", "CustomModel")):
    _network = ModuleType(f"imagededup.{_module}")
    setattr(_network, _name, None)
    sys.modules[f"imagededup.{_module}"] = _network

from imagededup.methods import AHash, DHash, PHash, WHash  # noqa: E402 - after the above

METHODS = {"phash": PHash, "dhash": DHash, "ahash": AHash, "whash": WHash}
_LIMITS = tuple(range(0, 21, 2))


def main() -> None:
    """Print method → seconds, and limit → pairs of names."""
    folder, names = Path(sys.argv[1]), sys.argv[2].split(",")
    answer = {}
    for name in names:
        method = METHODS[name](verbose=False)
        start = time.perf_counter()
        codes = method.encode_images(image_dir=folder, num_enc_workers=2)
        encoding = time.perf_counter() - start
        start = time.perf_counter()
        found = method.find_duplicates(
            encoding_map=codes, max_distance_threshold=max(_LIMITS), scores=True
        )
        near = {
            tuple(sorted((one, other))): int(score)
            for one, others in found.items()
            for other, score in others
        }
        answer[name] = {
            "encode_s": encoding,
            "search_s": time.perf_counter() - start,
            "pairs": {
                limit: [pair for pair, bits in near.items() if bits <= limit] for limit in _LIMITS
            },
        }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
