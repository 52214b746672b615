"""A Flower app with the same rounds, for Flower's simulation on Ray; it runs in benchmarks/.venv.

The model stays in its actor between rounds. Flower's examples build it in every round, which takes seconds;
this app shows Flower at its best. Ray finds `app` by the name of this module, so the cache survives.
"""

import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks.plain_keras import PlainKeras, load

app = ClientApp()


@functools.cache
def warm(folder: str, batch_size: int, threads: int) -> PlainKeras:
    """Return the model of this process."""
    return PlainKeras(Path(folder), np.arange(0), batch_size, threads)


@functools.cache
def share(folder: str, client: int) -> tuple[Any, Any]:
    """Return a client's images and labels."""
    return load(Path(folder), "train", np.load(Path(folder) / f"share-{client}.npy"))


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train one epoch from the received weights, predict the validation images and reply with new weights."""
    config: Any = message.content["config"]
    keras = warm(config["folder"], config["batch-size"], config["threads"])
    keras.images, keras.labels = share(config["folder"], int(context.node_config["partition-id"]))
    arrays: Any = message.content["arrays"]
    keras.model.set_weights(arrays.to_numpy_ndarrays())
    keras.fit()
    keras.predict()
    metrics = MetricRecord({"num-examples": len(keras.labels)})
    content = RecordDict({"arrays": ArrayRecord(keras.model.get_weights()), "metrics": metrics})
    return Message(content=content, reply_to=message)


def simulate(folder: str, clients: int, rounds: int, batch_size: int, threads: int, actors: int) -> None:
    """Run the rounds; print `Run …` at the start and `Round …` after each evaluation."""
    server = ServerApp()
    here = warm(folder, batch_size, threads)

    def evaluate(round_number: int, arrays: ArrayRecord) -> MetricRecord | None:
        if round_number == 0:
            print(f"Run flower: {rounds} rounds", flush=True)
            return None
        here.model.set_weights(arrays.to_numpy_ndarrays())
        scores, labels = here.predict(), here.val_labels.reshape(-1)
        accuracy = float(np.mean((scores > 0.5) == (labels > 0.5)))
        print(f"Round {round_number}/{rounds} ", flush=True)
        return MetricRecord({"accuracy": accuracy})

    @server.main()
    def run(grid: Grid, context: Context) -> None:
        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=clients, min_available_nodes=clients)
        config = ConfigRecord({"folder": folder, "batch-size": batch_size, "threads": threads})
        arrays = ArrayRecord(here.model.get_weights())
        strategy.start(grid, arrays, rounds, train_config=config, evaluate_fn=evaluate)

    backend: Any = {
        "init_args": {"num_cpus": actors, "_node_ip_address": "127.0.0.1"},
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
    }
    run_simulation(server, app, clients, backend_config=backend)


def main() -> None:
    """Run the simulation that the JSON object on the command line describes, without telemetry."""
    os.environ.update(FLWR_TELEMETRY_ENABLED="0", RAY_USAGE_STATS_ENABLED="0")
    simulate(**json.loads(sys.argv[1]))
