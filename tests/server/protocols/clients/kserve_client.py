"""Ask a server with KServe's client: `kserve_client.py HTTP_ADDRESS GRPC_ADDRESS PICTURE`."""

import asyncio
import base64
import sys
from pathlib import Path

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def check(url: str, grpc: str, picture: bytes) -> None:
    asked = InferInput("image", [1], "BYTES")
    asked.set_data_from_numpy(np.array([picture], object), binary_data=True)
    request = InferRequest(model_name="tiny", infer_inputs=[asked])

    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(url) and await client.is_server_ready(url)
    assert await client.is_model_ready(url, "tiny")
    reply = await client.infer(url, request, model_name="tiny")
    assert reply.outputs[0].as_numpy().tolist() == ["circle"]

    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    assert await client.is_model_ready(url, "tiny")
    instances = {"instances": [{"image": {"b64": base64.b64encode(picture).decode()}}]}
    answer = await client.infer(url, instances, model_name="tiny")
    assert answer["predictions"][0]["label"] == "circle"
    answer = await client.explain(url, "tiny", instances)
    assert "explanation" in answer["explanations"][0]

    client = InferenceGRPCClient(grpc)
    assert await client.is_server_ready() and await client.is_model_ready("tiny")
    reply = await client.infer(request)
    assert reply.outputs[0].as_numpy().tolist() == [b"circle"]
    await client.close()


if __name__ == "__main__":
    address, grpc_address, path = sys.argv[1:]
    asyncio.run(check(f"http://{address}", grpc_address, Path(path).read_bytes()))
