"""README and docs tell the truth: their code runs, their commands parse, their links lead on.

A block is left out by the line `<!-- no test -->` before it. The Python blocks of one page run in
order, in one process, in a folder that holds `photos/` and `held-out/` (two classes) and
`picture.jpg`. On deploy.md and the pages under tutorials/, how-to/ and deploy/ the shell blocks run
between them, with `runs/classify/photos` at hand, and with budgets and counts cut down.
"""

import functools
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import typer
from PIL import Image as PILImage
from uncounted import uncounted

import foveal
from foveal.cli.main import VERBS, run
from foveal.server.options import ServerOptions

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
NO_TEST = "<!-- no test -->"
SHELL = {"bash", "sh", "console", "shell"}

sys.path.insert(0, str(DOCS / "_ext"))
from source_names import (  # noqa: E402
    documented_codes,
    documented_findings,
    error_codes,
    finding_names,
)


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


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def runs_shell(page: Path) -> bool:
    return page.parent.name in {"tutorials", "how-to", "deploy"} or page.stem == "deploy"


LINES = [
    (name_of(page), words)
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


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory, draw_folder: object) -> Path:
    """Return a folder with what the pages expect to find, but for the run."""
    folder = tmp_path_factory.mktemp("pictures")
    draw_folder(folder / "photos", n=24, size=32)  # type: ignore[operator]
    draw_folder(folder / "held-out", n=12, size=32, seed=1)  # type: ignore[operator]
    with PILImage.open(folder / "photos" / "circle" / "0.png") as picture:
        picture.save(folder / "picture.jpg")
    return folder


@pytest.fixture(scope="session")
def pictures_and_run(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """Return the same folder with a trained run in it."""
    folder = tmp_path_factory.mktemp("run") / "all"
    shutil.copytree(pictures, folder)
    foveal.train(folder / "photos", backbone="cnn2", epochs=2, image_size=32, out=folder / "runs")
    # As if it had been trained from here.
    run_json = folder / "runs" / "classify" / "photos" / "run.json"
    run_json.write_text(run_json.read_text(encoding="utf-8").replace(f"{folder}/", ""))
    return folder


PROLOGUE = """
import atexit, re, shlex, subprocess, sys, time, urllib.request

def shell(text):
    for part in re.split(r"^(foveal serve .*)$", text, flags=re.M):
        if part.startswith("foveal serve"):
            serve(shlex.split(part))
        else:
            checked = 'curl() { command curl --fail "$@"; }\\n' + part
            subprocess.run(["bash", "-euo", "pipefail", "-c", checked], check=True)

def serve(words):
    server = subprocess.Popen(words)
    atexit.register(server.terminate)
    url = f"http://127.0.0.1:{words[words.index('--port') + 1]}/readyz"
    while server.poll() is None:
        try:
            urllib.request.urlopen(url)
            return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"{' '.join(words)} ended with status {server.returncode}")
"""


def script_of(page: Path) -> str:
    """Return the blocks of a page as one Python program."""
    return "\n".join([PROLOGUE, *_statements(page)])


def _statements(page: Path) -> Iterator[str]:
    for block in blocks(page):
        if block.language == "python":
            yield block.text
        elif block.language in SHELL and runs_shell(page):
            yield f"shell({cut_down(block.text)!r})"


def cut_down(text: str) -> str:
    """Return commands that do the same on less, and leave what is installed alone."""
    text = re.sub(r"^pip install .*$", "", text, flags=re.M)
    text = re.sub(r"--budget \S+", "--epochs 2", text)
    return re.sub(r"(--count |count=)\d+", r"\g<1>60", text)


RUNNING = [page for page in PAGES if any(_statements(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNING, ids=name_of)
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    given = request.getfixturevalue("pictures_and_run" if runs_shell(page) else "pictures")
    folder = tmp_path / "page"
    shutil.copytree(given, folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "page.py").write_text(script_of(page).replace("8000", str(port)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        # What pages run of foveal is counted where it is tested.
        env={**uncounted(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr


LINKS = [
    (page, *target.partition("#")[::2])
    for page in PAGES
    for target in re.findall(r"\]\(<?([^)>\s]+)>?\)", page.read_text(encoding="utf-8"))
    if "://" not in target
]


@pytest.mark.parametrize(
    ("page", "path", "anchor"), LINKS, ids=[f"{p.name} {t}#{a}" for p, t, a in LINKS]
)
def test_every_link_leads_somewhere(page: Path, path: str, anchor: str) -> None:
    target = page.parent / path if path else page
    assert target.exists()
    assert not anchor or anchor in anchors(target)


def anchors(page: Path) -> set[str]:
    """Return the names that the headings of a page can be reached by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


def test_a_picture_is_piped_to_curl() -> None:
    templates = (ROOT / "src/foveal/server/pages/templates").glob("*.html")
    for page in (*PAGES, *templates):
        # Linux limits an argument to 128 KiB, less than most photographs.
        assert not re.search(r'-d "[^$]*\$\(base64', page.read_text(encoding="utf-8")), page


def test_addresses_are_well_formed() -> None:
    for page in PAGES:
        for address in re.findall(r"https?://[^\s)>'\"`]+", page.read_text(encoding="utf-8")):
            parts = urlsplit(address)
            is_local = parts.hostname in {"localhost", "127.0.0.1"}
            assert parts.hostname, f"{page}: {address}"
            assert parts.scheme == ("http" if is_local else "https"), f"{page}: {address}"


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(p.name[:4]) for p in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_error_code_has_an_entry() -> None:
    assert sorted(documented_codes()) == sorted(error_codes())


def test_every_finding_has_a_row() -> None:
    assert documented_findings() == finding_names()


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", DOCS, tmp_path / "site"],
        env=uncounted(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").is_file()


def test_every_limit_of_the_server_stands_in_its_table() -> None:
    text = (DOCS / "serving.md").read_text(encoding="utf-8")
    for field in fields(ServerOptions):
        assert f"\n| `{field.name}` |" in text, field.name
