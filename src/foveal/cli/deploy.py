"""`foveal deploy` lets an endpoint of Vertex AI answer with a model."""

from __future__ import annotations

from typing import Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, ModelName, Quiet
from foveal.cli.output import note, write, write_json


def deploy(
    model: ModelName,
    on: Annotated[
        str,
        typer.Option(
            "--on", metavar="vertex:PROJECT/REGION", help="Project and region of the endpoint."
        ),
    ],
    image: Annotated[
        str, typer.Option("--image", metavar="URI", help="Container image of foveal's server.")
    ],
    bucket: Annotated[
        str,
        typer.Option("--bucket", metavar="URL", help="Bucket to upload the model to: gs://BUCKET."),
    ],
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint", metavar="NAME", help="Name of the endpoint; default: the model's name."
        ),
    ] = None,
    machine: Annotated[
        str | None, typer.Option("--machine", metavar="TYPE", help="Type of machine.")
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", metavar="TYPE", help="Type of accelerator.")
    ] = None,
    accelerators: Annotated[
        int, typer.Option("--accelerators", metavar="N", min=1, help="Accelerators per machine.")
    ] = 1,
    replicas: Annotated[
        int,
        typer.Option("--replicas", metavar="N", min=1, help="Machines that are always running."),
    ] = 1,
    max_replicas: Annotated[
        int | None,
        typer.Option("--max-replicas", metavar="N", min=1, help="Maximum number of machines."),
    ] = None,
    service_account: Annotated[
        str | None,
        typer.Option(
            "--service-account", metavar="ACCOUNT", help="Account that the server runs as."
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="KEY=VALUE", help="Label for attributing costs; repeatable."
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Deploy a model to a Vertex AI endpoint.

    Existing resources are reused; the version that served before is undeployed at the end.
    """
    deployed = foveal.deploy(
        model,
        on=on,
        image=image,
        bucket=bucket,
        endpoint=endpoint,
        machine=machine,
        accelerator=accelerator,
        accelerators=accelerators,
        replicas=replicas,
        max_replicas=max_replicas,
        service_account=service_account,
        labels=labels or (),
    )
    if as_json:
        write_json(deployed.to_json())
        return
    write(f"model     {deployed.model}@{deployed.version}")
    write(f"endpoint  {deployed.endpoint}")
    note(f"next      foveal predict {deployed.url} PICTURE", quiet=quiet)
