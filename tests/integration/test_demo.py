"""The demo itself, as a newcomer runs it: the real scheduler, all eight tasks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_autoremed.demo.expected_outcomes import PROMISES

pytestmark = pytest.mark.integration


def test_every_task_of_the_demo_ends_as_promised():
    command = [Path(sys.executable).with_name("autoremed"), "demo"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    for promise in PROMISES:
        assert promise.task_id in done.stdout
