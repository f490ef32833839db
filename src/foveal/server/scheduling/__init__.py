"""From waiting pictures to answers: whose turn it is, batches, threads."""
