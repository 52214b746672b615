"""A site's reads and writes in a round whose updates are summed under masks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from helpers.federated.messages import MessageError, Reference, TrainOrder
from helpers.federated.norm_clipping import clip_update
from helpers.federated.sites.secure_messages import SecureTrainOrder
from helpers.federated.weights import Schema, Weights
from helpers.run_records.checkpoint import FILE_NAME, load_arrays, save_client_state
from helpers.run_records.files import remove
from helpers.secure_aggregation.fixed_point import Residues, encode_change
from helpers.sites.site_session import own_folder
from tasks.client_states import StatefulExchange
from tasks.run_context import RunContext


def masked_schema(model: Schema) -> Schema:
    """Return names, dtypes and shapes of a masked update of a model."""
    return tuple(replace(spec, dtype="int32") for spec in model)


class MaskedExchange(StatefulExchange):
    """Exchange of a site that sends its update masked and keeps its state in a folder of its own.
    Arguments as for `ClientExchange`.
    """

    def __init__(self, context: RunContext, order: TrainOrder) -> None:
        super().__init__(context, order)
        kept = own_folder(context.config) / "states" / order.run
        self._folders = replace(context.folders, models=kept)
        self._local: Weights = []

    def _read_state(self, short: dict[str, Any]) -> Weights:
        name = str(short.get("key"))
        if not FILE_NAME.fullmatch(name):
            raise MessageError(f"{name[:80]!r} is not the name of a state")
        return load_arrays(self._folders, name, self._plan.schema)

    def deliver(self, local: Weights, num_steps: int) -> dict[str, Any]:
        """Keep the weights until they are masked, and write the state; return fields of ClientReply."""
        self._local = local
        plan, order, state = self._plan, self.order, None
        if plan.schema:
            optimizer = self.context.instance.optimizer_state() if plan.optimizer else []
            arrays = [*plan.private_arrays(local), *optimizer]
            state = save_client_state(self._folders, order.round, order.client, plan.schema, arrays)
            before = order.states.get(str(order.client), {}).get("key")
            for file in self._folders.models.glob(f"state-*-{order.client}-*"):
                if file.name not in (state, before):  # the state before: this update may not count
                    remove(file)
        kept = {"key": state} if state else None
        return {"state": kept, "bytes_down": self.bytes_down, "transfer_seconds": self._seconds}

    def put_masked(self, mask: Callable[[Residues], None], num_examples: int) -> Reference:
        """Clip, encode, mask and write the update.

        Args:
            mask: masks it in place.
            num_examples: its weight in the mean.

        Raises:
            SchemaError: a number changed by more than can be sent.
            StoreError: the store cannot be reached.
        """
        context, order = self.context, self.order
        assert isinstance(order, SecureTrainOrder)  # the only orders with this exchange
        model, local, is_shared = context.instance.schema, self._local, context.is_shared
        if context.config.MAX_UPDATE_NORM:
            local = clip_update(local, self._global, is_shared, context.config.MAX_UPDATE_NORM)
        residues = encode_change(model, local, self._global, is_shared, num_examples, order.total)
        mask(residues)
        return self.put("update", masked_schema(model), [array.view(np.int32) for array in residues])
