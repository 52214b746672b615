"""The training command, traced while its executor runs the warm round.

`python -m benchmarks.traced_orchestrator` takes the options of `distributed_training_index.py`.
"""

import sys

from benchmarks.traced_worker import write_trip
from benchmarks.tracing import Tracer

PART = "orchestrator"
WINDOW = "run_round"
WARM_ROUND = 2


def main() -> int:
    """Run the training command, write the trip of its warm round and return its exit status."""
    from distributed_training_index import main as train

    tracer = Tracer(WINDOW, skipped=WARM_ROUND - 1)
    tracer.start()
    try:
        return train()
    finally:
        tracer.stop()
        write_trip(tracer, PART, WARM_ROUND)


if __name__ == "__main__":
    sys.exit(main())
