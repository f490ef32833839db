import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from website import Site, serving

from foveal.collect import host, waiting


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture
def recipe(tmp_path: Path, site: Site) -> Callable[..., Path]:
    """Return what writes a recipe for listings of the site."""

    def write(*classes: str, **more: Any) -> Path:
        path = tmp_path / "recipe.yaml"
        starts = {name: f"{site.address}/{name}/1" for name in classes or ("phone",)}
        given = {"classes": starts, "item": "li.ad", "next": "a.next", "delay": 0, **more}
        path.write_text(yaml.safe_dump(given, sort_keys=False))
        return path

    return write


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait shortly where a host failed and did not say for how long."""

    def back_off(failures: int, rng: random.Random) -> float:
        return 0.01

    monkeypatch.setattr(host, "back_off", back_off)
    assert waiting.back_off(1, random.Random(0)) > 0.01
