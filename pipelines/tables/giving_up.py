"""A Ray Data execution that ends when its attempt is given up; its thread can't be ended from outside."""

from typing import TYPE_CHECKING

from ray.data._internal.execution.execution_callback import ExecutionCallback
from ray.data.exceptions import ExecutionTimeoutError

from cluster.on_ray import given_up

if TYPE_CHECKING:
    from ray.data._internal.execution.streaming_executor import StreamingExecutor


class GivenUpError(ExecutionTimeoutError):
    """The attempt was given up; of Ray Data's errors this kind alone is not called a fault of Ray's."""


class EndsWithAttempt(ExecutionCallback):
    """Ends the execution at its next step once the attempt that began it is given up."""

    def before_execution_starts(self, executor: "StreamingExecutor") -> None:
        """Called in the attempt's thread."""
        self._given_up = given_up()

    def on_execution_step(self, executor: "StreamingExecutor") -> None:
        """Called in the thread of Ray Data's loop.

        Raises:
            GivenUpError: the attempt was given up.
        """
        if self._given_up is not None and self._given_up.is_set():
            raise GivenUpError("the attempt was given up")
