"""Which client had which training image in which round: metrics/<run>/partition.csv."""

from typing import Any

from helpers.federated.messages import RoundOrder
from helpers.run_records.tables import PARTITION_COLUMNS, read_table, trimmed, write_rows
from preprocessing.feed.partitioning import partition, resolve_partition, sites_of_rows
from tasks.run_context import RunContext


def record_partition(context: RunContext, order: RoundOrder) -> None:
    """Write down the division of a round that differs from the one before.

    Doing so twice leaves the same file. What a round that is not committed leaves is dropped by a resume.

    Raises:
        RecordError: the file could not be read or written.
    """
    rows = _division(context, order)
    path = context.folders.metrics / "partition.csv"
    before = trimmed(read_table(path, PARTITION_COLUMNS), order.round - 1)
    latest = before[before["round"] == before["round"].iloc[-1]] if len(before) else before
    if latest[["file", "client"]].to_numpy().tolist() != [[row["file"], str(row["client"])] for row in rows]:
        write_rows(path, PARTITION_COLUMNS, order.round, rows)


def _division(context: RunContext, order: RoundOrder) -> list[dict[str, Any]]:
    """The rows of partition.csv, in the order of the training rows."""
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
