"""The store: versions of models under names, and the aliases that say which of them is used."""
