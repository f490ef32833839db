"""Write a bundle as an app, prove it in a browser, and seal it for its service worker."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from string import Template

from foveal.bundle.bundle import Bundle
from foveal.errors import MissingExtraError, ParityError, UsageError
from foveal.export.description import describe
from foveal.export.job import ExportJob, Pictures
from foveal.export.proof import Proof, prove_target
from foveal.export.web.checks import Check, choose_checks, drawn_checks
from foveal.export.web.icons import ICONS, draw_icon
from foveal.export.web.place import Place, find_place, install_place
from foveal.export.web.runtime import PACKAGE, VERSION, read_runtime
from foveal.export.web.server import ProofServer
from foveal.export.web.target import WebTarget, running
from foveal.predict.predictor import Predictor
from foveal.render.masks import palette
from foveal.types import JsonObject

APP = Path(__file__).parent / "app"
"""The app's own files, the same for every bundle."""
_TEMPLATES = frozenset({"index.html", "check.html"})
_MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def write_web(job: ExportJob, out: Path) -> Proof:
    """Write an app, and return the proof that it answers as the bundle does.

    Raises:
        UsageError: If no pictures are at hand.
        MissingExtraError: If the runtime, or a browser to prove it in, is not here.
        ParityError: If it answers differently.
    """
    pictures, place = job.needed_pictures("A web app is proven"), _place()
    write_app(job.bundle, out)
    proof = _prove(job, pictures, place, out)
    add_proof(job.bundle, None if job.options.without_pictures else pictures, proof, out)
    return proof


def verify_web(job: ExportJob, path: Path) -> Proof:
    """Let an exported app answer pictures as the bundle does.

    Raises:
        UsageError: If it is none that foveal exported, or there are no pictures.
        MissingExtraError: If no browser is here.
        ParityError: If it answers differently, or files of it were changed.
    """
    if not (path / "model" / "model.json").is_file() or not (path / "files.js").is_file():
        raise UsageError(
            f"{path} is not an app that foveal exported.",
            hint=f"foveal export MODEL --to web --out {path.name}",
        )
    cache, _ = _sealed(job.bundle, path)
    if json.dumps(cache) not in (path / "files.js").read_text(encoding="utf-8"):
        raise ParityError(
            f"The files in {path} are not those that were exported from {job.bundle.name} "
            f"{job.bundle.version}: they were changed, or belong to another version."
        )
    return _prove(job, job.needed_pictures("A web app is proven"), _place(), path)


def _place() -> Place:
    if (place := find_place()) is None:
        raise MissingExtraError(
            "Proving a web app needs Chromium or Node, and neither was found.", hint=install_place()
        )
    return place


def _prove(job: ExportJob, pictures: Pictures, place: Place, out: Path) -> Proof:
    """Let the app in a folder answer the validation pictures in a browser."""
    with ProofServer(out) as server, running(out, place, server) as process:
        manifest = job.bundle.manifest
        target = WebTarget(
            server, process, place, job.bundle.task, manifest.calibration, manifest.limits
        )
        proof = prove_target(job, pictures, target)
        runtime, in_node = target.runtime, target.decoded_by_foveal
    proof = replace(proof, runtime=runtime)
    if in_node:
        proof = replace(proof, measured={**proof.measured, "decoded_by_foveal": in_node})
    return proof


def check_fits(bundle: Bundle) -> None:
    """Raise unless a bundle can be answered in a browser.

    Raises:
        UsageError: If it reads pages, its texts follow a pattern, or it tells objects apart.
    """
    if steps := bundle.pipeline.steps:
        raise UsageError(
            f"A web app cannot clean pages, and this bundle has the steps {', '.join(steps)}.",
            hint="serve it instead: foveal serve MODEL",
        )
    if bundle.manifest.task_options.get("pattern"):
        raise UsageError(
            "A web app does not support task_options.pattern, since browsers cannot match regular "
            "expressions partially.",
            hint="use task_options.words or grammar, or foveal serve MODEL",
        )
    if bundle.manifest.task_options.get("instances", "none") != "none":
        raise UsageError(
            "A web app cannot tell objects apart (task_options.instances).",
            hint="serve it instead: foveal serve MODEL",
        )


def write_app(bundle: Bundle, out: Path) -> None:
    """Write everything but the proof.

    Raises:
        MissingExtraError: If the runtime is not here.
    """
    runtime = read_runtime()
    shutil.copytree(APP, out, ignore=shutil.ignore_patterns(*_TEMPLATES))
    values = {"name": html.escape(bundle.name), "version": bundle.version}
    for name in _TEMPLATES:
        text = Template((APP / name).read_text(encoding="utf-8")).substitute(values)
        (out / name).write_text(text, encoding="utf-8")
    for folder in ("model", "runtime", "icons"):
        (out / folder).mkdir()
    (out / "model" / "model.onnx").write_bytes(bundle.model_bytes())
    (out / "runtime" / "ort.mjs").write_bytes(runtime.script)
    # No time in it: the same bundle gives the same folder.
    packed = gzip.compress(runtime.program, compresslevel=9, mtime=0)
    (out / "runtime" / "ort.wasm.bin").write_bytes(packed)
    for name, (side, share) in ICONS.items():
        (out / "icons" / name).write_bytes(draw_icon(side, share))
    (out / "manifest.webmanifest").write_text(_json(_web_manifest(bundle)), encoding="utf-8")
    (out / "LICENSES.txt").write_text(_licences(bundle), encoding="utf-8")
    _write_model_json(bundle, out, None)


def write_served_app(bundle: Bundle, out: Path) -> None:
    """Write an app as a server offers it: without a proof, checking itself with drawn inputs.

    Raises:
        MissingExtraError: If the runtime is not here.
    """
    write_app(bundle, out)
    _write_checks(drawn_checks(bundle), out)
    seal(bundle, out)


def add_proof(bundle: Bundle, pictures: Pictures | None, proof: Proof, out: Path) -> None:
    """Write the proof, the pictures of the app's own check, and what its service worker keeps.

    Args:
        bundle: The model.
        pictures: Where the pictures of the check come from; None takes drawn inputs instead.
        proof: Proves that the app answers as the bundle does.
        out: The app.
    """
    _write_model_json(bundle, out, proof)
    if pictures is None:
        _write_checks(drawn_checks(bundle), out)
    else:
        _write_checks(choose_checks(Predictor(bundle), pictures), out)
    seal(bundle, out)


def seal(bundle: Bundle, out: Path) -> None:
    """List the files of an app for its service worker; the cache is named after their content."""
    cache, files = _sealed(bundle, out)
    listed = [name for name in files if name != "sw.js"]
    text = f"self.CACHE = {json.dumps(cache)};\nself.FILES = {json.dumps(listed, indent=1)};\n"
    (out / "files.js").write_text(text, encoding="utf-8")


def _sealed(bundle: Bundle, out: Path) -> tuple[str, list[str]]:
    """Return the name of the cache, which says what is in the files, and their names."""
    digest = hashlib.sha256()
    files = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    files = [name for name in files if name != "files.js"]
    for name in files:
        digest.update(name.encode() + b"\0" + hashlib.sha256((out / name).read_bytes()).digest())
    return f"foveal {bundle.name} {bundle.version} {digest.hexdigest()[:12]}", files


def _write_checks(checks: Iterable[Check], out: Path) -> None:
    (out / "check").mkdir()
    listed: list[JsonObject] = []
    for check in checks:
        (out / "check" / check.name).write_bytes(check.data)
        listed.append({"file": check.name, **check.expected})
    (out / "check" / "checks.json").write_text(_json(listed), encoding="utf-8")


def _write_model_json(bundle: Bundle, out: Path, proof: Proof | None) -> None:
    described = describe(bundle, proof=proof)
    limits = bundle.manifest.limits
    described["limits"] = {"max_pixels": limits.max_pixels, "max_bytes": limits.max_bytes}
    described["colors"] = [list(color) for color in palette(bundle.manifest.labels)]
    (out / "model" / "model.json").write_text(_json(described), encoding="utf-8")


def _web_manifest(bundle: Bundle) -> JsonObject:
    icons = [
        {
            "src": f"icons/{name}",
            "sizes": f"{side}x{side}",
            "type": "image/png",
            "purpose": "maskable" if name.startswith("maskable") else "any",
        }
        for name, (side, _) in ICONS.items()
        if not name.startswith("apple")
    ]
    return {
        "id": f"foveal-{bundle.name}",
        "name": bundle.name,
        "short_name": bundle.name[:12],
        "description": f"Answers pictures with {bundle.name}, on this device.",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#f6f5f1",
        "theme_color": "#0f766e",
        "icons": icons,
    }


def _licences(bundle: Bundle) -> str:
    weights = "".join(
        f"{entry['weights']}: {entry['licence']}, {entry['origin']}\n"
        for entry in bundle.manifest.to_json()["licences"]
    )
    return (
        f"The app is part of foveal, Apache-2.0.\n\n{weights}"
        f"\n{PACKAGE} {VERSION}: MIT License\n\n"
        f"Copyright (c) Microsoft Corporation\n\n{_MIT}"
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
