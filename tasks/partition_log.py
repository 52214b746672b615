"""The log of which client had which training image: metrics/<run>/partition.csv."""

from typing import Any

from helpers.federated.messages import RoundOrder
from helpers.run_records.checkpoint import read_state
from helpers.run_records.tables import PARTITION_COLUMNS, write_rows
from preprocessing.feed.partitioning import partition, resolve_partition, sites_of_rows
from tasks.run_context import RunContext


def record_partition(context: RunContext, order: RoundOrder) -> None:
    """Write the partition of a round that differs from the round before, that is, in its number of clients.

    Repeating it leaves the same file. A resume drops the rows of rounds that were not committed.

    Raises:
        RecordError: the records could not be read or written.
    """
    state, _ = read_state(context.folders)
    if state.partition_clients != order.num_clients:
        path = context.folders.metrics / "partition.csv"
        write_rows(path, PARTITION_COLUMNS, order.round, _partition_rows(context, order))


def _partition_rows(context: RunContext, order: RoundOrder) -> list[dict[str, Any]]:
    """Return the rows of partition.csv, in the order of the training rows."""
    data, config = context.data, context.config
    shares = partition(data, config, order.num_clients)
    owner = {int(row): client for client, rows in enumerate(shares) for row in rows}
    files, labels = data.files("train"), data.labels("train").tolist()
    patients = data.patients("train") if data.has_patients else [None] * len(files)
    sites = sites_of_rows(data, config) if resolve_partition(data, config) == "site" else [None] * len(files)
    return [
        dict(zip(PARTITION_COLUMNS, (order.round, files[row], owner[row], *values), strict=True))
        for row, values in enumerate(zip(labels, patients, sites, strict=True))
    ]
