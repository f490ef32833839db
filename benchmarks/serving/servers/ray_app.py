"""Ray Serve with two replicas; the picture is the body."""

import os

import ray
from handler import Handler
from ray import serve
from starlette.requests import Request

WORKERS = int(os.environ["BENCH_WORKERS"])


@serve.deployment(
    num_replicas=WORKERS,
    max_ongoing_requests=64,
    ray_actor_options={"num_cpus": 0.1},
)
class Pictures:
    """Answers one picture at a time."""

    def __init__(self) -> None:
        self.handler = Handler()

    async def __call__(self, request: Request) -> dict:
        """Return the answer to the picture in the body."""
        return self.handler(await request.body())


if __name__ == "__main__":
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])})
    serve.run(Pictures.bind(), route_prefix="/predict", blocking=True)
