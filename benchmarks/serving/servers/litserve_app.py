"""LitServe with two workers, each of which answers what waits as one batch.

A picture comes in base64, as in LitServe's own examples: it parses every body as JSON or a form.
"""

import base64
import os

import litserve as ls
import numpy as np
from handler import Handler


class Api(ls.LitAPI):
    """Decodes one by one, runs the network on batches."""

    def setup(self, device):
        """Load the model."""
        self.handler = Handler()

    def decode_request(self, request):
        """Return the model input."""
        return self.handler.pixels(base64.b64decode(request["image"]))

    def batch(self, inputs):
        """Join model inputs."""
        return np.stack(inputs)

    def predict(self, inputs):
        """Run the network."""
        return self.handler.answers(inputs)

    def unbatch(self, outputs):
        """Take the answers apart."""
        return outputs

    def encode_response(self, output):
        """Return the answer."""
        return output


if __name__ == "__main__":
    server = ls.LitServer(
        Api(max_batch_size=16, batch_timeout=0.0),
        accelerator="cpu",
        workers_per_device=int(os.environ["BENCH_WORKERS"]),
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        log_level="error",
        generate_client_file=False,
    )
