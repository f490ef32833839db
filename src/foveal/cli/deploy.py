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
        str, typer.Option("--on", metavar="vertex:PROJECT/REGION", help="Where it is served.")
    ],
    image: Annotated[
        str, typer.Option("--image", metavar="URI", help="Container image of foveal's server.")
    ],
    bucket: Annotated[
        str, typer.Option("--bucket", metavar="URL", help="Where the model goes: gs://BUCKET.")
    ],
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="NAME", help="Endpoint; default: that of the model."),
    ] = None,
    machine: Annotated[
        str | None, typer.Option("--machine", metavar="TYPE", help="Type of machine.")
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", metavar="TYPE", help="Type of accelerator.")
    ] = None,
    accelerators: Annotated[
        int, typer.Option("--accelerators", metavar="N", min=1, help="Of each machine.")
    ] = 1,
    replicas: Annotated[
        int, typer.Option("--replicas", metavar="N", min=1, help="Machines that always run.")
    ] = 1,
    max_replicas: Annotated[
        int | None, typer.Option("--max-replicas", metavar="N", min=1, help="That may run.")
    ] = None,
    service_account: Annotated[
        str | None,
        typer.Option("--service-account", metavar="ACCOUNT", help="That the server acts as."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="KEY=VALUE", help="For the costs; repeatable."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Serve a model at an endpoint of Vertex AI.

    What is there already is used; what the endpoint answered with before is taken down at the end.
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
