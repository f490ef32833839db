"""What runs on Ray: prediction, evaluation, training and serving on several machines."""
