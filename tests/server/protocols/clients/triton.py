"""Ask a server with tritonclient: `python triton.py HTTP_ADDRESS GRPC_ADDRESS PICTURE`."""

import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http


def check(module, address: str, picture: bytes) -> None:  # type: ignore[no-untyped-def]
    client = module.InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("tiny") and client.is_model_ready("tiny", "1")
    client.get_server_metadata()
    client.get_model_metadata("tiny")
    client.get_model_repository_index()

    files = module.InferInput("image", [2], "BYTES")
    files.set_data_from_numpy(np.array([picture, picture], object))
    result = client.infer("tiny", [files], request_id="a1", timeout=20_000_000, priority=1)
    assert result.as_numpy("label").tolist() == [b"circle", b"circle"]
    assert result.as_numpy("probabilities").shape == (2, 2)
    assert result.as_numpy("unsure").tolist() == [False, False]

    best = module.InferRequestedOutput("probabilities", class_count=1)
    named = client.infer("tiny", [files], outputs=[best]).as_numpy("probabilities")
    assert named[0][0].endswith(b":0:circle")

    pixels = module.InferInput("image", [1, 30, 40, 3], "UINT8")
    pixels.set_data_from_numpy(np.full((1, 30, 40, 3), 220, np.uint8))
    assert client.infer("tiny", [pixels]).as_numpy("label").tolist() == [b"square"]
    try:
        client.infer("none", [pixels])
    except tritonclient.utils.InferenceServerException as error:
        assert "Unknown model 'none'" in str(error)
    else:
        raise AssertionError("an unknown model answers")
    client.close()


if __name__ == "__main__":
    http, grpc, path = sys.argv[1:]
    check(tritonclient.http, http, Path(path).read_bytes())
    check(tritonclient.grpc, grpc, Path(path).read_bytes())
