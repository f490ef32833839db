"""Workflows: the sequence of steps of each command. Independent of tasks."""
