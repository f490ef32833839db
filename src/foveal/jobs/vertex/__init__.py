"""Vertex AI: jobs, models, endpoints and predictions, through its REST interface."""
