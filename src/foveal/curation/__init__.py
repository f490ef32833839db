"""Data curation: decisions about samples, and cleaning."""
