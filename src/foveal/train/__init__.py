"""Training: the loop, its data, its schedules, its checkpoints. Knows no task and no bundle."""
