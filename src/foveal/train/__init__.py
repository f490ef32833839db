"""Training: loop, data, schedules and checkpoints. Independent of tasks and bundles."""
