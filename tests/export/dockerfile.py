"""Read a Dockerfile, and replay its steps in folders of this machine instead of an image."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Places in the image; here they lie below the replay's folder.
_PLACES = re.compile(
    r"(?<![\w.])/(opt/foveal|build|audit|model|wheels|work|home/foveal)(?=[/\s\"':]|$)"
)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction and what follows it, on one line."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, rest.strip()


def steps(text: str, target: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions that make one stage, those of the stages that it takes from first."""
    stages: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for word, rest in instructions(text):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = (base, [])
        elif stages:
            stages[name][1].append((word, rest))
    base, own = stages[target]
    for word, rest in own:
        if word == "COPY" and (found := re.match(r"--from=(\S+)", rest)):
            yield from steps(text, found[1])
    if base in stages:
        yield from steps(text, base)
    yield from own


def last(text: str, word: str) -> str:
    """Return what follows the last instruction of a kind."""
    return [rest for found, rest in instructions(text) if found == word][-1]


def labels(text: str) -> dict[str, str]:
    """Return the labels as a builder reads them."""
    words = re.findall(r'([\w.]+)="((?:[^"\\]|\\.)*)"', last(text, "LABEL"))
    return {key: re.sub(r"\\(.)", r"\1", value) for key, value in words}


@dataclass(frozen=True)
class Replay:
    """What a Dockerfile makes, in a folder."""

    context: Path
    root: Path
    file: str = "Dockerfile"
    target: str | None = None

    @property
    def text(self) -> str:
        """The Dockerfile, of which nothing is left but what makes the target, if there is one."""
        text = (self.context / self.file).read_text()
        if self.target is None:
            return text
        return "".join(f"{word} {rest}\n" for word, rest in steps(text, self.target))

    def build(self) -> None:
        """Run what RUN and COPY say; both stages have the Python that runs here."""
        here = Path()
        for word, rest in instructions(self.text):
            if word == "WORKDIR":
                here = Path(self.placed(rest))
                here.mkdir(parents=True, exist_ok=True)
            elif word == "RUN":
                # What pip has downloaded for other tests need not be downloaded again, nor need
                # what is not imported be compiled: half of the time.
                command = self.placed(rest).replace(
                    "install --no-cache-dir", "install --no-compile"
                )
                command = command.replace("--no-cache-dir", "")
                command = re.sub(r"\bpython (?=-m)", f"{shlex.quote(sys.executable)} ", command)
                done = subprocess.run(
                    ["/bin/sh", "-c", command], cwd=here, capture_output=True, text=True
                )
                assert done.returncode == 0, f"{command}\n{done.stderr}"
            elif word == "COPY" and "--from=build" not in rest:
                *sources, target = (part.rstrip("/") for part in rest.split())
                for source in sources:
                    to = here / self.placed(target)
                    self._copy(self.context / source, to / source if target == "." else to)

    def _copy(self, source: Path, target: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)

    def placed(self, text: str) -> str:
        """Return a text with the places of the image as they are here."""
        return _PLACES.sub(lambda match: f"{self.root}/{match[1]}", text)

    def command(self, word: str) -> list[str]:
        """Return an instruction in its exec form, with the program as it lies here."""
        rest = last(self.text, word)
        name, *arguments = json.loads(rest[rest.index("[") :])
        if word == "CMD":
            return [name, *arguments]
        return [f"{self.root}/opt/foveal/bin/{name}", *map(self.placed, arguments)]

    def environment(self) -> dict[str, str]:
        """Return the variables of the image."""
        pairs = (word.split("=", 1) for word in shlex.split(last(self.text, "ENV")))
        found = {name: self.placed(value) for name, value in pairs}
        found["PATH"] = found["PATH"].replace("$PATH", "/usr/bin:/bin")
        return found
