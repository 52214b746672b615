"""An object in a separate process, called through a pipe. It uses no processor time while it waits."""

import importlib
import multiprocessing
import os
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, Self

from helpers.cluster.process_tuning import tune_process


class ContenderFailed(Exception):
    """A contender raised an exception. The message is its traceback."""


class RemoteObject:
    """A process that makes an object and calls its methods. A context manager that ends the process.

    Args:
        make: dotted name of a class; only the new process imports it.
        *arguments: of the class.
        is_tuned: whether the process is tuned as the project's workers are.
    """

    def __init__(self, make: str, *arguments: Any, is_tuned: bool = True) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make, arguments, is_tuned), daemon=True)
        self.process.start()
        theirs.close()
        self.receive()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None  # it was started
        return self.process.pid

    def send(self, method: str, *arguments: Any) -> None:
        """Call a method without waiting for its answer."""
        self._pipe.send((method, arguments))

    def receive(self) -> Any:
        """Return the answer to the oldest call.

        Raises:
            ContenderFailed: the method raised, or the process has ended.
        """
        try:
            is_good, answer = self._pipe.recv()
        except EOFError:
            raise ContenderFailed(f"a contender ended with status {self.process.exitcode}") from None
        if not is_good:
            raise ContenderFailed(answer)
        return answer

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method and return its answer; raise as `receive`."""
        self.send(method, *arguments)
        return self.receive()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self.process.join(5)
        self.process.kill()
        self.process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask_all(group: Sequence[RemoteObject], method: str, *arguments: Any) -> list[Any]:
    """Call a method of all at the same time and return the answers in order."""
    for one in group:
        one.send(method, *arguments)
    return [one.receive() for one in group]


def _serve(pipe: Connection, make: str, arguments: Sequence[Any], is_tuned: bool) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # hides TensorFlow's remarks; tracebacks use the pipe
    if is_tuned:
        tune_process()
    try:
        module, _, name = make.rpartition(".")
        subject = getattr(importlib.import_module(module), name)(*arguments)
        pipe.send((True, None))
        while True:
            method, values = pipe.recv()
            pipe.send((True, getattr(subject, method)(*values)))
    except EOFError:  # the other end is closed
        return
    except Exception:
        pipe.send((False, traceback.format_exc()))
        raise
