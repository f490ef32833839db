"""Work that is done elsewhere: where, how far it is, and bringing back what came of it."""

from foveal.jobs.job import Job, JobState
from foveal.jobs.options import JobOptions
from foveal.jobs.target import Target
from foveal.jobs.work import Work

__all__ = ["Job", "JobOptions", "JobState", "Target", "Work"]
