"""A worker that ends without a word when it receives a certain task: the project's own Celery app.

Started with `--app=tests.integration.dying_worker`; DIES_IN names the task and the round, as `task:round`.
"""

import os
import signal
from typing import Any

from celery.signals import task_prerun

from celery_app import app

__all__ = ["app"]

VARIABLE = "DIES_IN"


@task_prerun.connect
def _die(task: Any, args: Any, **_: Any) -> None:
    if os.environ.get(VARIABLE) == f"{task.name}:{args[0]['round']}":
        os.kill(os.getpid(), signal.SIGKILL)
