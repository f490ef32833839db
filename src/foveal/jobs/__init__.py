"""Jobs on other machines: submission, state, and results."""

from foveal.jobs.job import Job, JobState
from foveal.jobs.options import JobOptions
from foveal.jobs.target import Target
from foveal.jobs.work import Work

__all__ = ["Job", "JobOptions", "JobState", "Target", "Work"]
