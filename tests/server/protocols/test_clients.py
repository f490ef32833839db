"""Other projects' clients, as they are, ask a server.

They need older packages than foveal, so they run with a Python of their own:

    python -m venv CLIENTS && CLIENTS/bin/pip install 'tritonclient[http,grpc]' kserve
    FOVEAL_CLIENTS=CLIENTS/bin/python python -m pytest tests/server/protocols/test_clients.py
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from foveal.predict import Predictor
from foveal.server import start_in_thread


@pytest.mark.slow
@pytest.mark.parametrize("name", ["triton", "kserve_client"])
def test_a_client_works_as_it_is(
    name: str, predictor: Predictor, dark_png: bytes, tmp_path: Path
) -> None:
    python = os.environ.get("FOVEAL_CLIENTS")
    if python is None:
        pytest.skip("FOVEAL_CLIENTS names no Python with tritonclient and kserve")
    picture = tmp_path / "dark.png"
    picture.write_bytes(dark_png)
    script = Path(__file__).parent / "clients" / f"{name}.py"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with start_in_thread({"tiny": predictor}, port=0, grpc_port=0) as handle:
        addresses = [handle.url.removeprefix("http://"), f"127.0.0.1:{handle.grpc_port}"]
        run = subprocess.run(
            [python, script, *addresses, picture],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stderr
