"""The start and the end of a run: initial weights, and the single test of the best model."""

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np

from celery_app import app, worker_session
from helpers.cluster import keys
from helpers.cluster.heartbeat import live_workers
from helpers.cluster.versions import environment_here
from helpers.federated.logit_adjustment import prior_logits
from helpers.federated.messages import FinishOrder, StartOrder
from helpers.federated.results import RunState
from helpers.federated.sites.site import Site, described
from helpers.federated.weights import Weights
from helpers.model_instance_helper import initial_weights, keras_file
from helpers.reporting.model_card import write_model_card
from helpers.run_records import fence, journal
from helpers.run_records.checkpoint import load_arrays, read_state
from helpers.run_records.files import remove, write_whole
from helpers.run_records.origin import origin_of_run, record_end
from helpers.run_records.run_log import SMOOTHED_ROUNDS, begin_run, resume_run
from helpers.run_records.tables import (
    GROUP_COLUMNS,
    TEST_CLASS_COLUMNS,
    TEST_COLUMNS,
    confusion_table,
    to_csv,
    write_table,
)
from helpers.weight_store.store import put_arrays
from preprocessing.feed.partitioning import (
    count_clients,
    counts_of_all_clients,
    partition,
    resolve_partition,
    sites_of_rows,
)
from preprocessing.feed.prepared_data import MANIFEST
from tasks.client_states import put_states
from tasks.final_test import (
    FinalTest,
    auc_on_test,
    explained_cases,
    final_test,
    groups_of_splits,
    score_splits,
)
from tasks.privacy_account import budget_is_spent
from tasks.run_context import RunContext, keys_of_weights


@app.task(name="tasks.start_run", ignore_result=True)
def start_run(message: dict[str, Any]) -> None:
    """Prepare a run; see `StartOrder`. The answer is {state, weights, states}."""
    worker_session().run_order(StartOrder, message, start)


def start(order: StartOrder) -> dict[str, Any]:
    """Start or resume the records; put the global weights and the clients' states into the weight store."""
    context = RunContext.of(order)
    schema = context.instance.schema
    if order.resume:
        state, weights = resume_run(context.folders, order, schema)
        if context.config.DP != "off":
            state = replace(state, budget_is_spent=budget_is_spent(context, state))
    else:
        weights = initial_weights(context.config)
        state = begin_run(context.folders, order, schema, weights)
    write_description(context, state)
    if worker_session().still_expects(order):  # not of a session that has taken the run over meanwhile
        context.store.delete_others(keys.of_session(order.run, ""), context.key(""))
    key = context.key("weights", state.round, order.attempt)
    reference = put_arrays(context.store, key, context.instance.names, weights)
    return {
        "state": state.to_message(),
        "weights": reference.to_message(),
        "states": put_states(context, state),
    }


def write_description(context: RunContext, state: RunState) -> None:
    """Write run.json and, where this machine has the images, a copy of their manifest.

    Raises:
        RecordError: one could not be written.
    """
    client, folders = worker_session().client, context.folders
    workers = live_workers(client)
    description = _description(context, environment_here(client), state)
    description["workers"] = {name: status.get("bits") for name, status in workers.items()}
    description |= origin_of_run(folders, context.order.origin, context.worker, workers)
    write_whole(folders.metrics / "run.json", _to_json(description))
    if context.own_data:
        write_whole(folders.metrics / MANIFEST, (context.own_data.folder / MANIFEST).read_bytes())


@app.task(name="tasks.finish_run", ignore_result=True)
def finish_run(message: dict[str, Any]) -> None:
    """Test the best model and write the models; see `FinishOrder`. The answer is {test, results}."""
    worker_session().run_order(FinishOrder, message, finish)


def finish(order: FinishOrder) -> dict[str, Any]:
    """Score the best model and write the results."""
    context = RunContext.of(order)
    state, best = best_model(context)
    auc_of_last = None
    if state.best_weights_file not in (None, state.weights_file):
        auc_of_last = auc_on_test(context, saved_weights(context, state, state.weights_file))
    arrays = score_splits(context, best)  # last, as the cases are explained with the weights of the model
    test = final_test(context, arrays, state.best_round or state.round)
    write_results(context, state, best, test, arrays, auc_of_last)
    return {"test": test.row, "results": context.folders.results_here()}


def best_model(context: RunContext) -> tuple[RunState, Weights]:
    """Return the state of the run, and the saved weights of its best round. Repair changed CSV files.

    Raises:
        RecordError: they could not be read.
    """
    state, _ = read_state(context.folders)
    journal.write_csv_files(context.folders, state.tables)
    file = state.best_weights_file or state.weights_file
    return state, saved_weights(context, state, file)


def saved_weights(context: RunContext, state: RunState, file: str) -> Weights:
    """Return global weights as a model file has them: after LOGIT_ADJUSTMENT, with the prior of all clients'
    classes in the last bias.
    """
    weights = load_arrays(context.folders, file, context.instance.schema)
    if not context.config.LOGIT_ADJUSTMENT:
        return weights
    if state.sites:
        counts = np.sum([Site.from_message(site).train for site in state.sites], axis=0)
    else:
        counts = counts_of_all_clients(context.data, context.config)
    return context.instance.with_shifted_logits(weights, prior_logits(counts))


def write_results(
    context: RunContext, state: RunState, best: Weights, test: FinalTest, arrays: dict[str, np.ndarray],
    auc_of_last: float | None = None,
) -> None:  # fmt: skip
    """Write the models, best.json, scores.npz, cases.npz, the tables of the test and, from these,
    model_card.md.

    Earlier scores, cases and groups are deleted if there are no new ones.
    """
    config, folders, order = context.config, context.folders, context.order
    last = saved_weights(context, state, state.weights_file)
    write_whole(folders.models / "last.keras", keras_file(config, last))
    write_whole(folders.models / "best.keras", keras_file(config, best))
    if state.ema_file:
        ema = saved_weights(context, state, state.ema_file)
        write_whole(folders.models / "ema.keras", keras_file(config, ema))
    write_whole(folders.models / "best.json", _to_json(_provenance(context, state, test.row, auc_of_last)))
    cases = explained_cases(context, arrays, test.row["threshold"]) if context.own_data else None
    for name, content in (("scores.npz", arrays), ("cases.npz", cases)):
        if content:
            write_whole(folders.metrics / name, _to_npz(content))
        else:
            remove(folders.metrics / name)
    if groups := groups_of_splits(context, arrays, test.row["threshold"]):
        write_table(folders.metrics / "groups.csv", GROUP_COLUMNS, groups)
    else:
        remove(folders.metrics / "groups.csv")
    write_table(folders.metrics / "test.csv", TEST_COLUMNS, [test.row])
    if test.classes:
        write_table(folders.metrics / "test_classes.csv", TEST_CLASS_COLUMNS, test.classes)
    write_whole(
        folders.metrics / "confusion.csv", to_csv(confusion_table(test.confusion, config.class_names))
    )
    write_model_card(config.METRICS_DIR, config.MODELS_DIR, order.run)
    record_end(folders)
    fence.release()
    context.store.delete([key for ago in (0, 1) for key in keys_of_weights(context, state.round - ago)])


def _provenance(
    context: RunContext, state: RunState, row: dict[str, Any], auc_of_last: float | None
) -> dict[str, Any]:
    """Return the origin of best.keras, and how its scores become decisions."""
    order = context.order
    return {
        "run": order.run,
        "round": row["round"],
        "metric": "validation roc_auc"
        + (f", mean of {SMOOTHED_ROUNDS} rounds" if context.config.CHOICE == "smoothed" else ""),
        "value": state.best_roc_auc,
        "test_roc_auc_of_last": auc_of_last,
        "is_ema": (state.best_weights_file or "").startswith("ema-"),
        "threshold": row["threshold"],
        "threshold_rule": None if row["threshold"] is None else order.settings["THRESHOLD"],
        "classes": context.config.class_names,
        "settings": order.settings,
        "data_digest": order.data_digest,
        "versions": order.versions,
    }


def _description(context: RunContext, environment: dict[str, str], state: RunState) -> dict[str, Any]:
    """Return the content of run.json: what was trained, on what data, and where."""
    order, config = context.order, context.config
    is_here = config.DATA_AT != "sites"
    data_facts = (
        "source", "license", "settings", "split_by", "grouped_by", "allowed", "counts", "patients",
        "left_out", "audit",
    )  # fmt: skip
    return {
        "run": order.run,
        "settings": order.settings,
        "data_digest": order.data_digest,
        "versions": order.versions,
        "environment": environment,
        "classes": context.config.class_names,
        "is_reproducible": config.DP == "off",  # noise and samples come from the operating system
        "num_workers": config.num_workers,
        **_division(context),
        "data": {name: context.data.manifest.get(name) for name in data_facts}
        if is_here
        else described(state.sites),
    }


_CHANGING = {"num_clients": None, "partition": None, "sites": None}
"""Placeholders where the partition follows live workers (see partition.csv) or sites (see state.json)."""


def _division(context: RunContext) -> dict[str, Any]:
    """Return how the training rows are divided, and among how many clients."""
    config = context.config
    if config.DATA_AT == "sites":
        return {"divided_by": "own", **_CHANGING}
    data = context.data
    kind, num_clients = resolve_partition(data, config), count_clients(data, config)
    if num_clients is None:
        return {"divided_by": kind, **_CHANGING}
    labels, shares = data.labels("train"), partition(data, config, num_clients)
    return {
        "divided_by": kind,
        "num_clients": num_clients,
        "partition": {
            client: {label: int(np.sum(labels[rows] == label)) for label in range(len(config.class_names))}
            for client, rows in enumerate(shares)
        },
        "sites": sorted(set(sites_of_rows(data, config))) if kind == "site" else None,
    }


def _to_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode()


def _to_npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
