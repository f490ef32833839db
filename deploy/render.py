"""Write compose.yaml and kubernetes/foveal.yaml from the templates of `foveal export --to docker`.

python deploy/render.py
"""

from __future__ import annotations

from pathlib import Path

from foveal.export.docker.render import for_store

FILES = {"compose.yaml": "compose.yaml", "kubernetes.yaml": "kubernetes/foveal.yaml"}


def main() -> None:
    """Write both."""
    for template, name in FILES.items():
        (Path(__file__).parent / name).write_text(for_store(template), encoding="utf-8")


if __name__ == "__main__":
    main()
