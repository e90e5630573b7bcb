"""Runs of a task on several days, each in a worker of its own."""

from __future__ import annotations

from tests.support.tasks import TaskInstance, forget


def day(task, number, **kwargs):
    """The task instance of one day's run, in a worker of its own."""
    forget()
    return TaskInstance(task, run_id=f"scheduled__{number}", **kwargs)


def heal(task, number=1, **kwargs):
    """A run that fails on its first try and succeeds on its second."""
    ti = day(task, number, **kwargs)
    ti.run()
    forget()
    assert ti.run().error is None
    return ti
