"""The order of the work: data, choices, training, proof, bundle, evaluation. Knows no task."""
