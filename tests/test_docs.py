"""README and docs tell the truth: their Python runs, their commands parse, their links lead on.

A block is left out by the line `<!-- no test -->` before it. The Python blocks of one page run in
order, in one process, in a folder that holds `photos/` (two classes) and `picture.jpg`.
"""

import functools
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from PIL import Image as PILImage

from foveal.cli.main import VERBS, run

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NO_TEST = "<!-- no test -->"
SHELL = {"bash", "sh", "console", "shell"}


class Block(NamedTuple):
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks that are to be tested."""
    fence = re.compile(rf"^({re.escape(NO_TEST)}\n)?```(\w*)\n(.*?)^```$", re.M | re.S)
    found = fence.finditer(page.read_text(encoding="utf-8"))
    return [Block(match[2], match[3]) for match in found if not match[1]]


def commands(text: str) -> list[list[str]]:
    """Return the arguments of every `foveal …` line, without comments, pipes and redirections."""
    joined = text.replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words[:1] == ["foveal"]:
            ends = [i for i, word in enumerate(words) if word in {"|", ">", "<", "&", "&&", ">>"}]
            found.append(words[1 : min(ends, default=len(words))])
    return found


def with_python(page: Path) -> bool:
    return any(block.language == "python" for block in blocks(page))


LINES = [
    (page.relative_to(ROOT).as_posix(), words)
    for page in PAGES
    for block in blocks(page)
    if block.language in SHELL
    for words in commands(block.text)
]


@pytest.fixture
def verbs_that_only_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace what each verb does by nothing; its options stay."""
    for name, verb in VERBS.items():
        module = import_module(verb.module)
        entry = getattr(module, name)
        if isinstance(entry, typer.Typer):
            for command in entry.registered_commands:
                monkeypatch.setattr(command, "callback", parsing_only(command.callback))
        else:
            monkeypatch.setattr(module, name, parsing_only(entry))


def parsing_only(function: object) -> object:
    return functools.wraps(function)(lambda **_: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("page", "words"), LINES, ids=[" ".join(w)[:60] for _, w in LINES])
def test_every_command_of_the_docs_parses(
    page: str,
    words: list[str],
    verbs_that_only_parse: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(words) == 0, f"{page}: {capsys.readouterr().err}"


def test_the_docs_show_every_verb() -> None:
    shown = {words[0] for _, words in LINES if words}
    assert set(VERBS) - shown == set()


def test_a_wrong_command_would_be_noticed(
    verbs_that_only_parse: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "photos", "--epoch", "3"]) == 2
    assert run(["trian", "photos"]) == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p in PAGES if with_python(p)], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, draw_folder: object) -> None:
    draw_folder(tmp_path / "photos", n=24, size=32)  # type: ignore[operator]
    with PILImage.open(tmp_path / "photos" / "circle" / "0.png") as picture:
        picture.save(tmp_path / "picture.jpg")
    script = tmp_path / "page.py"
    script.write_text(
        "\n".join(block.text for block in blocks(page) if block.language == "python"),
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, script.name], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


LINKS = [
    (page, target)
    for page in PAGES
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    if "://" not in target
]


@pytest.mark.parametrize(("page", "target"), LINKS, ids=[f"{p.name} {t}" for p, t in LINKS])
def test_every_link_leads_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists()


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(p.name[:4]) for p in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
