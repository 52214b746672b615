"""Rules between settings: a config that breaks one is refused when it is made."""

from collections.abc import Callable
from typing import Any

from helpers.architectures import ARCHITECTURES, OWN
from helpers.settings.conflicts import refuse
from helpers.settings.errors import ConfigError
from helpers.settings.privacy_rules import check_privacy, check_private_training
from helpers.settings.strategy_rules import check_strategy


def check_clients(settings: Any) -> None:
    """Require different ids in CLIENTS that exist.

    Raises:
        ConfigError: an id is too large or occurs twice.
    """
    settings.clients_of(settings.num_clients)
    if len(set(settings.CLIENTS)) < len(settings.CLIENTS):
        raise ConfigError(f"CLIENTS: received {settings.CLIENTS}: an id occurs twice; remove one")


def check_auto(settings: Any) -> None:
    """Refuse settings that need a fixed number of clients with `num_workers=auto`.

    Raises:
        ConfigError: naming the setting. A client id has other rows after a worker joins or leaves.
    """
    if settings.num_workers != "auto":
        return
    other_rows = "the state of a client does not fit the other rows that its id may have later"
    conflicts = {
        "NUM_CLIENTS": (settings.NUM_CLIENTS > 0, "the workers determine the number of clients"),
        "CLIENTS": (bool(settings.CLIENTS), "an id may have other rows in the next round"),
        "PARTITION": (settings.PARTITION == "site", "the sites determine the number of clients"),
        "LR_SCALING": (settings.LR_SCALING == "linear", "it multiplies BASE_LR by a number that may change"),
        "UPDATE_DTYPE": (settings.UPDATE_DTYPE == "int8", other_rows),
        "STRATEGY": (bool(settings.strategy.client_state), other_rows),
        "BATCH_NORM": (settings.BATCH_NORM == "local", other_rows),
        "OPTIMIZER_STATE": (settings.OPTIMIZER_STATE == "keep", other_rows),
    }
    refuse(settings, conflicts, "num_workers=auto", "set num_workers to a number, or ")


def check_sites(settings: Any) -> None:
    """Refuse settings that divide or need all images in one place with `DATA_AT=sites`.

    Raises:
        ConfigError: naming the setting.
    """
    if settings.DATA_AT != "sites":
        if settings.LOCAL_MODELS:
            raise ConfigError("LOCAL_MODELS: received True with DATA_AT=shared; use --compare instead")
        return
    live_sites = "the live sites determine the number of clients"
    conflicts = {
        "PARTITION": (settings.PARTITION != "auto", "every site trains on its own images"),
        "NUM_CLIENTS": (settings.NUM_CLIENTS > 0, live_sites),
        "num_workers": (settings.num_workers != type(settings).num_workers, live_sites),
        "CLIENTS": (bool(settings.CLIENTS), "all live sites take part; stop the workers of the others"),
        "LR_SCALING": (settings.LR_SCALING != "none", "it multiplies BASE_LR by num_workers"),
        "EMA_DECAY": (settings.EMA_DECAY > 0, "the sites score one model in a round"),
        "CLASS_WEIGHT": (
            settings.CLASS_WEIGHT == "balanced_global",
            "no site knows the labels of the others; `balanced` uses its own",
        ),
    }
    refuse(settings, conflicts, "DATA_AT=sites")


def check_secure_aggregation(settings: Any) -> None:
    """Refuse secure aggregation outside site mode, and settings that need single updates.

    Raises:
        ConfigError: naming the setting.
    """
    if not settings.SECURE_AGGREGATION:
        return
    one_place = {"SECURE_AGGREGATION": (settings.DATA_AT != "sites", "any worker trains any client there")}
    refuse(settings, one_place, f"DATA_AT={settings.DATA_AT}", "set DATA_AT=sites, or ")
    strategy, default_ratio = settings.strategy, type(settings).MAX_UPDATE_RATIO
    conflicts = {
        "STRATEGY": (
            not (strategy.needs_only_mean and strategy.weighs_by_images),
            "it needs more of the updates than their mean by images, which is all that is known",
        ),
        "UPDATE_DTYPE": (settings.UPDATE_DTYPE != "float32", "masked updates cannot be compressed"),
        "DP": (settings.DP == "client", "it clips and noises single updates; `example` does so at the sites"),
        "MAX_UPDATE_RATIO": (
            settings.MAX_UPDATE_RATIO not in (default_ratio, 0),
            "the norms of single updates are not known; MAX_UPDATE_NORM is applied by the sites",
        ),
    }
    refuse(settings, conflicts, "SECURE_AGGREGATION=true")


def check_network(settings: Any) -> None:
    """Refuse settings that the network does not support.

    Raises:
        ConfigError: naming the setting.
    """
    network = ARCHITECTURES.get(settings.ARCHITECTURE, OWN)
    imagenet = {name: each.imagenet for name, each in ARCHITECTURES.items() if each.has_body}
    bodies = ", ".join(imagenet)
    conflicts = {
        "TRAIN_STEP": (settings.TRAIN_STEP == "fast" and not network.has_fast_step, "only seed_cnn has one"),
        "PRETRAINED": (
            settings.PRETRAINED in {*imagenet.values()} - {network.imagenet},
            f"its weights from ImageNet are those of PRETRAINED={network.imagenet}"
            if network.has_body
            else f"there are weights from ImageNet for {bodies}",
        ),
        "TRAIN_BODY": (not settings.TRAIN_BODY and not network.has_body, f"only {bodies} have a body"),
        "HEAD_ROUNDS": (settings.HEAD_ROUNDS > 0 and not network.has_body, f"only {bodies} have a body"),
    }
    refuse(settings, conflicts, f"ARCHITECTURE={settings.ARCHITECTURE}")
    if not network.has_batch_norm:
        refuse_batch_norm(settings)
    is_never_trained = {"TRAIN_BODY": not settings.TRAIN_BODY, "BATCH_NORM": settings.BATCH_NORM == "frozen"}
    for name, is_fixed in is_never_trained.items():
        if is_fixed and settings.PRETRAINED == "none":
            raise ConfigError(
                f"{name}: received {getattr(settings, name)!r} with PRETRAINED=none: what it fixes would "
                f"never be trained; set PRETRAINED={network.imagenet or 'to a file'}"
            )


def refuse_batch_norm(settings: Any) -> None:
    """Refuse settings of batch normalization, for a network without any.

    Raises:
        ConfigError: naming the setting.
    """
    is_default_momentum = settings.BATCH_NORM_MOMENTUM == type(settings).BATCH_NORM_MOMENTUM
    is_set = {
        "BATCH_NORM": settings.BATCH_NORM in ("local", "frozen"),
        "BATCH_NORM_MOMENTUM": not is_default_momentum,
        "BATCH_NORM_STATISTICS": settings.BATCH_NORM_STATISTICS == "round",
    }
    conflicts = {name: (each, "it has no batch normalization") for name, each in is_set.items()}
    refuse(settings, conflicts, f"ARCHITECTURE={settings.ARCHITECTURE}")


def check_head_rounds(settings: Any) -> None:
    """Refuse HEAD_ROUNDS that leave nothing to train after them, or states that do not fit.

    Raises:
        ConfigError: naming the setting and the one that it does not fit.
    """
    if not settings.HEAD_ROUNDS:
        return
    is_kept = settings.OPTIMIZER_STATE == "keep"
    two_states = "a kept optimizer begins after HEAD_ROUNDS, and this state before"
    conflicts = {
        "PRETRAINED=none": (settings.PRETRAINED == "none", "a body of random weights would be frozen"),
        "TRAIN_BODY=false": (not settings.TRAIN_BODY, "the body is frozen in all rounds"),
        f"EPOCHS={settings.EPOCHS}": (
            settings.HEAD_ROUNDS >= settings.EPOCHS,
            "the body would never be trained; raise EPOCHS, or set TRAIN_BODY=false",
        ),
        f"STRATEGY={settings.STRATEGY}": (
            bool(settings.strategy.client_state),
            "the state of its clients is of all arrays that are trained, which change after HEAD_ROUNDS",
        ),
        "OPTIMIZER_STATE=keep and UPDATE_DTYPE=int8": (
            is_kept and settings.UPDATE_DTYPE == "int8",
            two_states,
        ),
        "OPTIMIZER_STATE=keep and BATCH_NORM=local": (is_kept and settings.BATCH_NORM == "local", two_states),
    }
    for condition, conflict in conflicts.items():
        refuse(settings, {"HEAD_ROUNDS": conflict}, condition)


def check_optimizer(settings: Any) -> None:
    """Refuse momentum that the optimizer would ignore, and a state that it does not have.

    Raises:
        ConfigError: naming the setting.
    """
    conflicts = {"MOMENTUM": (settings.MOMENTUM > 0, "it is for OPTIMIZER=sgd; Adam has its own")}
    if settings.OPTIMIZER != "sgd":
        refuse(settings, conflicts, f"OPTIMIZER={settings.OPTIMIZER}")
    if settings.NESTEROV and not settings.MOMENTUM:
        raise ConfigError("NESTEROV: received True with MOMENTUM=0; set MOMENTUM, such as 0.9")
    if settings.OPTIMIZER_STATE == "keep" and settings.OPTIMIZER == "sgd" and not settings.MOMENTUM:
        raise ConfigError(
            "OPTIMIZER_STATE: received 'keep' with OPTIMIZER=sgd and MOMENTUM=0, which has no state; set "
            "MOMENTUM, such as 0.9, or leave OPTIMIZER_STATE at its default"
        )


def check_logit_adjustment(settings: Any) -> None:
    """Refuse class weights with logit adjustment.

    Raises:
        ConfigError: both are set.
    """
    is_weighted = settings.CLASS_WEIGHT != "none"
    conflicts = {"CLASS_WEIGHT": (is_weighted, "both correct the frequency of the classes")}
    if settings.LOGIT_ADJUSTMENT:
        refuse(settings, conflicts, "LOGIT_ADJUSTMENT=true")


def check_schedule(settings: Any) -> None:
    """Refuse a warm-up that leaves no round to the schedule.

    Raises:
        ConfigError: naming the setting.
    """
    if settings.LR_WARMUP_ROUNDS >= settings.EPOCHS:
        raise ConfigError(
            f"LR_WARMUP_ROUNDS: received {settings.LR_WARMUP_ROUNDS} with EPOCHS={settings.EPOCHS}: the "
            "learning rate would never be reached; use fewer warm-up rounds, or more EPOCHS"
        )


RULES: tuple[Callable[[Any], None], ...] = (
    check_clients,
    check_strategy,
    check_auto,
    check_sites,
    check_secure_aggregation,
    check_network,
    check_head_rounds,
    check_optimizer,
    check_logit_adjustment,
    check_schedule,
    check_privacy,
    check_private_training,
)
"""Checked in this order."""
