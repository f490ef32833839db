"""A bundle in a bucket, from which containers of Vertex AI load it."""

from __future__ import annotations

from foveal.bundle.bundle import MANIFEST_NAME, Bundle
from foveal.errors import UsageError
from foveal.remote import open_url


def upload_bundle(bundle: Bundle, bucket: str, name: str) -> str:
    """Put a bundle into a bucket, unless it is there, and return the URL of its folder.

    The manifest comes last: a folder that has one is whole.

    Raises:
        RemoteError: If it cannot be written.
        MissingExtraError: If gcsfs is not installed.
        UsageError: If the bucket is none.
    """
    if not bucket.startswith("gs://") or len(bucket) == len("gs://"):
        raise UsageError(
            f"Invalid bucket. Vertex AI loads models from gs://BUCKET. Received: {bucket}.",
            hint="use --bucket gs://BUCKET",
        )
    url = f"{bucket.rstrip('/')}/foveal/models/{name}/{bundle.version}"
    remote = open_url(url)
    if remote.kind(MANIFEST_NAME) == "missing":
        for file in (*bundle.manifest.files, MANIFEST_NAME):
            remote.write(bundle.read(file), file)
    return url
