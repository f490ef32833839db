"""What Google's own SDK does with Vertex AI, run by an interpreter that has it: sdk_calls.py URL.

It prints what it got as JSON. The SDK pins much and is large, so it never is in foveal's own
environment: python -m venv SDK && SDK/bin/pip install google-cloud-aiplatform==2.7.0
"""

import json
import sys

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform


def main(url: str) -> None:
    """Make a job, a model, an endpoint, and ask it."""
    aiplatform.init(
        project="my-project",
        location="europe-west4",
        api_endpoint=url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
        staging_bucket="gs://bucket",
    )
    container = {"imageUri": "image:1", "command": ["python", "-c", "print('hello')"], "args": []}
    machine = {"machine_type": "n1-standard-4"}
    pool = {
        "machine_spec": machine,
        "replica_count": 1,
        "container_spec": {"image_uri": container["imageUri"], "command": container["command"]},
    }
    job = aiplatform.CustomJob("job", [pool], labels={"team": "vision"})
    job.submit(timeout=3600, service_account="a@b.iam.gserviceaccount.com")
    job.wait()
    again = aiplatform.CustomJob.get(job.resource_name)
    model = aiplatform.Model.upload(
        display_name="model",
        model_id="cats",
        serving_container_image_uri="image:1",
        serving_container_predict_route="/predict",
        serving_container_health_route="/readyz",
        serving_container_ports=[8080],
        artifact_uri="gs://bucket/model",
        version_aliases=["live"],
    )
    second = aiplatform.Model.upload(
        display_name="model",
        parent_model=model.resource_name,
        serving_container_image_uri="image:2",
        version_aliases=["live"],
    )
    endpoint = aiplatform.Endpoint.create(display_name="endpoint")
    endpoint.deploy(second, machine_type="n1-standard-2", traffic_percentage=100)
    answer = endpoint.predict(instances=[{"b64": "aGVsbG8="}])
    listed = aiplatform.Endpoint.list(filter='display_name="endpoint"')
    batch = aiplatform.BatchPredictionJob.create(
        job_display_name="batch",
        model_name=model.resource_name,
        gcs_source="gs://bucket/instances.jsonl",
        gcs_destination_prefix="gs://bucket/out",
        machine_type="n1-standard-4",
        sync=False,
    )
    batch.wait_for_resource_creation()
    endpoint.undeploy_all()
    found = {
        "sdk": aiplatform.__version__,
        "job": again.state.name,
        "labels": dict(again.labels),
        "versions": [model.version_id, second.version_id],
        "aliases": list(aiplatform.Model(f"{model.resource_name}@live").version_aliases),
        "endpoints": len(listed),
        "predictions": answer.predictions,
        "answered_by": answer.model_version_id,
        "deployed": len(endpoint.list_models()),
        "batch": batch.state.name,
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
