"""The model store: versions of models under names, and aliases."""
