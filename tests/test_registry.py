"""A registry finds what other packages add when it is asked, and names what does not work."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from foveal.errors import FovealError, PluginError, UsageError
from foveal.registry import Registry

GROUP = "foveal.numbers"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that puts a package with some code and entry points on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(package: str, code: str, *points: str) -> None:
        (tmp_path / f"{package}.py").write_text(code)
        folder = tmp_path / f"{package}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *points]) + "\n")
        monkeypatch.delitem(sys.modules, package, raising=False)

    return write


def numbers() -> Registry[int]:
    registry: Registry[int] = Registry("number", int, group=GROUP)
    registry.add("one", 1)
    return registry


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="'one' is already registered"):
        numbers().add("one", 2)


def test_an_entry_point_adds_a_name(install: Install) -> None:
    install("more", "TWO = 2", "two = more:TWO")
    registry = numbers()
    assert "two" in registry
    assert registry["two"] == 2
    assert list(registry) == ["one", "two"]
    assert dict(registry.works()) == {"one": 1, "two": 2}


def test_what_foveal_brings_looks_for_no_entry_points() -> None:
    code = (
        "import sys; from foveal.registry import Registry\n"
        f"registry = Registry('number', int, group={GROUP!r}); registry.add('one', 1)\n"
        "assert registry['one'] == 1 and 'one' in registry\n"
        "assert 'importlib.metadata' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_registry_without_a_group_takes_no_plugins(install: Install) -> None:
    install("more", "TWO = 2", "two = more:TWO")
    assert list(Registry[int]("number", int)) == []


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise OSError('the disk\\nis gone')", "OSError: the disk is gone"),
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named"),
        ("THREE = 3", "AttributeError: module 'bad' has no attribute 'TWO'"),
        ("TWO = 'two'", "expected a int, received: str"),
        ("from foveal.errors import DataError\nraise DataError('no font')", "DataError: no font"),
    ],
)
def test_a_broken_plugin_says_why_and_does_not_stop_the_rest(
    code: str, why: str, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("bad", code, "two = bad:TWO")
    install("good", "FOUR = 4", "four = good:FOUR")
    registry = numbers()

    with caplog.at_level(logging.WARNING):
        assert dict(registry.works()) == {"one": 1, "four": 4}
    expected = f"The number 'two' of the package bad 1.2 (bad:TWO) does not work: {why}"
    (warning,) = caplog.messages
    assert warning.startswith(expected)
    assert "\n" not in warning

    with pytest.raises(PluginError) as raised:
        registry["two"]
    assert raised.value.message.startswith(expected)
    assert raised.value.hint == "pip install --upgrade bad"


def test_a_name_of_foveal_cannot_be_taken(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("thief", "ONE = -1", "one = thief:ONE")
    registry = numbers()
    assert registry["one"] == 1
    assert list(registry) == ["one"]
    with caplog.at_level(logging.WARNING):
        assert dict(registry.works()) == {"one": 1}
    assert "thief 1.2" in caplog.text and "the name is already used by foveal" in caplog.text


def test_a_name_that_two_packages_add_is_neither_s(install: Install) -> None:
    install("first", "TWO = 2", "two = first:TWO")
    install("second", "TWO = -2", "two = second:TWO")
    registry = numbers()
    with pytest.raises(PluginError, match=r"first 1\.2 .*second adds the same name"):
        registry["two"]
    assert dict(registry.works()) == {"one": 1}


def test_an_unknown_name_shows_the_nearest_of_all(install: Install) -> None:
    install("more", "TWO = 2", "twenty = more:TWO")
    with pytest.raises(UsageError, match="Did you mean 'twenty'"):
        numbers()["twentie"]


def test_an_error_in_a_plugin_is_the_plugin_s(install: Install) -> None:
    install("more", "TWO = 2", "two = more:TWO")
    registry = numbers()
    with pytest.raises(PluginError, match=r"more 1\.2 .*KeyError: 'x'"), registry.blaming("two"):
        raise KeyError("x")
    # What is raised on purpose says itself what is wrong.
    with pytest.raises(FovealError, match=r"^said$"), registry.blaming("two"):
        raise FovealError("said")
    with pytest.raises(KeyError), registry.blaming("one"):
        raise KeyError("x")
