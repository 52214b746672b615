"""Redis of the protocol's model: in memory, each command a step of the process that sends it."""

import time
from typing import Any

import fakeredis
import redis

from tests.protocol.actors import pause


class MemoryRedis(fakeredis.FakeRedis):
    """Client and server in one: commands do not travel, which took most of the time of a history.

    Attributes:
        is_away: whether the server does not answer.
    """

    def __init__(self) -> None:
        super().__init__(server=fakeredis.FakeServer())
        connection = self.connection_pool.get_connection()
        self._socket: Any = connection._sock
        self._encode = self.get_encoder().encode
        self.is_away = False

    def execute_command(self, *command: Any, **options: Any) -> Any:
        pause()
        return self._answer(command, options)

    def pipeline(self, *arguments: Any, **options: Any) -> Any:
        """Return a pipeline that is executed in one step."""

        def execute() -> list[Any]:
            pause()
            return [self._answer(*item) for item in pipe.command_stack]

        pipe: Any = super().pipeline(*arguments, **options)
        pipe.execute = execute
        return pipe

    def blpop(self, names: Any, timeout: Any = 0) -> Any:
        end = time.monotonic() + timeout
        while time.monotonic() < end and not self.has(names[0]):
            time.sleep(0.5)
        value = self.lpop(names[0])
        return None if value is None else (names[0], value)

    def has(self, key: str) -> bool:
        """Return whether there is a key, without a step."""
        return key.encode() in self._socket._db

    def _answer(self, command: Any, options: dict[str, Any]) -> Any:
        if self.is_away:
            raise redis.ConnectionError("Redis is away")
        name, *values = command
        self._socket._process_command([*name.encode().split(), *map(self._encode, values)])
        answer = self._socket.responses.get_nowait()
        if isinstance(answer, Exception):
            raise answer
        options.pop("keys", None)
        read = self.response_callbacks.get(name)
        return read(answer, **options) if read else answer
