import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from foveal import extras
from foveal.errors import MissingExtraError

CHECKOUT = Path(__file__).resolve().parents[1]


def test_in_a_checkout_the_extra_is_that_of_its_folder() -> None:
    with pytest.raises(MissingExtraError, match="Maps need nothing_like_it") as caught:
        extras.import_extra("nothing_like_it", "maps", "Maps need nothing_like_it")
    assert caught.value.hint == f"pip install -e '{CHECKOUT}[maps]'"


@pytest.mark.parametrize(
    ("direct_url", "command"),
    [
        (None, "pip install 'foveal[train]'"),
        ({"url": "file:///x/foveal.whl", "archive_info": {}}, "pip install 'foveal[train]'"),
        ({"url": "file:///gone", "dir_info": {}}, "pip install 'foveal[train]'"),
        ({"url": CHECKOUT.as_uri(), "dir_info": {}}, f"pip install '{CHECKOUT}[train]'"),
    ],
)
def test_an_installed_package_is_extended_from_where_it_came(
    direct_url: object, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps(direct_url) if direct_url else None
    installed = SimpleNamespace(read_text=lambda name: text)
    monkeypatch.setattr(metadata, "distribution", lambda name: installed)
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "lib" / "foveal" / "extras.py"))
    assert extras.install_extra("train") == command
