"""Turn a trained network into the file that ships, and prove that both answer alike."""
