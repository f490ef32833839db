"""Work that is done elsewhere: where, how far it is, and bringing back what came of it."""

from foveal.jobs.job import Job, JobState
from foveal.jobs.target import Target

__all__ = ["Job", "JobState", "Target"]
