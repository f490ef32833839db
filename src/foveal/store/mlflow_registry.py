"""Versions of models in an MLflow registry: publish one, and fetch one by `mlflow:NAME/3`."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foveal.atomic import atomic_path, locked
from foveal.bundle.bundle import MANIFEST_NAME, Bundle
from foveal.destination import cache_directory
from foveal.errors import BundleError, StoreError, UsageError, reason
from foveal.extras import import_extra
from foveal.retries import causes
from foveal.store.record import StoredVersion
from foveal.store.state import LIVE
from foveal.version import __version__

PREFIX = "mlflow:"
# Loads the model for `mlflow.pyfunc`; the bundle is data, so that nothing is pickled.
_LOADER = "foveal.mlflow"
_FOLDER = "model"
_NETWORK_ERRORS = (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError)
# MLflow asks a server that cannot be reached for four minutes, in silence; with three attempts
# after the first it is a quarter of a minute.
_ATTEMPTS = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")


def push_to_registry(bundle: Bundle, name: str, target: str, *, note: str = "") -> StoredVersion:
    """Publish a bundle as the next version of a registered model, with a pyfunc flavour.

    Args:
        bundle: The bundle.
        name: Name of the registered model; a new one is made.
        target: `mlflow:URI` of the tracking server or database; `mlflow:` takes MLflow's own
            settings.
        note: Description of the version.

    Raises:
        MissingExtraError: If MLflow is not installed.
        StoreError: If the registry refuses, or cannot be reached.
    """
    mlflow = _mlflow()
    with _asking(target):
        client = _client(mlflow, target)
        found = client.get_experiment_by_name(name)
        experiment = client.create_experiment(name) if found is None else found.experiment_id
        run = client.create_run(experiment, run_name=bundle.name)
        _describe(client, run.info.run_id, bundle)
        with tempfile.TemporaryDirectory() as temporary:
            folder = _write_model(mlflow, bundle, Path(temporary))
            client.log_artifacts(run.info.run_id, str(folder), _FOLDER)
        client.set_terminated(run.info.run_id)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        made = client.create_model_version(
            name,
            source=f"{run.info.artifact_uri}/{_FOLDER}",
            run_id=run.info.run_id,
            tags={"foveal.bundle": bundle.version, "foveal.task": bundle.manifest.task},
            description=note or None,
        )
    return StoredVersion(name, int(made.version), (), None)


def fetch_from_registry(model: str) -> tuple[Bundle, StoredVersion]:
    """Open `mlflow:NAME/VERSION`, `mlflow:NAME@ALIAS` or `mlflow:NAME`, verified.

    A name alone stands for its alias `live`, or else for its newest version. MLflow's own settings,
    such as the variable `MLFLOW_TRACKING_URI`, say where the registry is. A copy is kept in the
    cache.

    Raises:
        MissingExtraError: If MLflow is not installed.
        StoreError: If there is no such version, or the registry cannot be reached.
        BundleError: If it is not one that foveal published, or damaged.
    """
    mlflow = _mlflow()
    with _asking(PREFIX):
        client = _client(mlflow, PREFIX)
        version = _find(client, model.removeprefix(PREFIX))
        source = client.get_model_version_download_uri(version.name, version.version)
    folder = cache_directory() / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(source.encode()).hexdigest()
    copy = folder / key
    with locked(folder / f".lock-{key[:12]}"):
        if not (copy / MANIFEST_NAME).is_file():
            with tempfile.TemporaryDirectory(dir=folder) as temporary:
                with _asking(PREFIX):
                    mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=temporary)
                _keep(Path(temporary), copy, model)
    stored = StoredVersion(version.name, int(version.version), tuple(version.aliases), None)
    return Bundle.open(copy), stored


def _keep(downloaded: Path, copy: Path, model: str) -> None:
    """Verify the bundle in what was downloaded, and keep it."""
    found = list(downloaded.rglob(MANIFEST_NAME))
    if len(found) != 1:
        raise BundleError(
            f"{model} is not a foveal model: it has no {MANIFEST_NAME}.",
            hint=f"foveal models push RUN NAME --to {PREFIX}URI",
        )
    with atomic_path(copy) as temporary:
        found[0].parent.rename(temporary)
        Bundle.open(temporary)


def _find(client: Any, text: str) -> Any:
    name, slash, number = text.rpartition("/")
    if slash and number.isdecimal():
        return client.get_model_version(name, number)
    name, at, alias = text.rpartition("@")
    if at:
        return client.get_model_version_by_alias(name, alias)
    if not text or "/" in text:
        raise UsageError(
            f"Invalid model {PREFIX + text!r}. Expected {PREFIX}NAME/VERSION or {PREFIX}NAME@ALIAS."
        )
    if LIVE in client.get_registered_model(text).aliases:
        return client.get_model_version_by_alias(text, LIVE)
    versions = client.search_model_versions(f"name = '{text}'")
    if not versions:
        raise StoreError(f"The registered model {text!r} has no versions.")
    return max(versions, key=lambda version: int(version.version))


def _describe(client: Any, run_id: str, bundle: Bundle) -> None:
    manifest = bundle.manifest
    about = {
        "task": manifest.task,
        "backbone": manifest.backbone,
        "recipe": manifest.recipe_digest,
        "data": manifest.data.get("fingerprint", ""),
        "foveal": manifest.foveal_version,
    }
    for name, value in about.items():
        client.log_param(run_id, name, value)
    for name, metric in manifest.metrics.items():
        for end, value in metric.items():
            if value is not None:
                client.log_metric(run_id, name if end == "value" else f"{name}_{end}", value)


def _write_model(mlflow: Any, bundle: Bundle, folder: Path) -> Path:
    data = folder / "bundle"
    data.mkdir()
    for name in (MANIFEST_NAME, *bundle.manifest.files):
        (data / name).write_bytes(bundle.read(name))
    mlflow.pyfunc.save_model(
        str(folder / _FOLDER),
        loader_module=_LOADER,
        data_path=str(data),
        pip_requirements=[f"foveal[mlflow]=={__version__}"],
        # Only what is named here can be set when the model is loaded.
        model_config={"paths": False},
    )
    return folder / _FOLDER


def _client(mlflow: Any, target: str) -> Any:
    uri = target.removeprefix(PREFIX) or None
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def _mlflow() -> Any:
    mlflow = import_extra("mlflow", "mlflow", "A registry of models needs MLflow")
    import_extra("mlflow.pyfunc", "mlflow", "A registry of models needs MLflow")
    import_extra("mlflow.artifacts", "mlflow", "A registry of models needs MLflow")
    return mlflow


@contextmanager
def _asking(target: str) -> Iterator[None]:
    """Say where MLflow's own errors come from, and do not wait long for a server."""
    # Known by now to be there.
    from mlflow.exceptions import MlflowException

    is_ours = _ATTEMPTS[0] not in os.environ
    os.environ.setdefault(*_ATTEMPTS)
    try:
        yield
    except MlflowException as error:
        where = target.removeprefix(PREFIX) or "MLflow"
        failure = _network_failure(error)
        if failure is not None:
            raise StoreError(
                f"MLflow cannot be reached: {failure}.",
                hint="the address is what follows mlflow:"
                if target != PREFIX
                else "export MLFLOW_TRACKING_URI=http://localhost:5000",
                code="store_unreachable",
            ) from error
        raise StoreError(
            f"{where} answers: {' '.join(str(error).split())}", code="store_unreachable"
        ) from error
    finally:
        if is_ours:
            os.environ.pop(_ATTEMPTS[0], None)


def _network_failure(error: BaseException) -> str | None:
    """Return why a server was not reached: the error of the system that MLflow's is about."""
    failures = [reason(each) for each in causes(error) if isinstance(each, _NETWORK_ERRORS)]
    return failures[-1] if failures else None
