"""Every setting of the project, in one place.

A value is taken from, later ones winning: the default below, a TOML file, the environment
(`DT_EPOCHS=5`; the broker from `REDIS_URL`), the command line (`--epochs 5`).
`docs/configuration.md` and the `--help` of the commands are made from this file.

Errors:
    UserError            something the user can mend: one line, exit status 2
    └── ConfigError      a setting is wrong: names it, the value received and what is allowed
"""

import argparse
import functools
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from helpers.architectures import ARCHITECTURES, OWN, OWN_FUNCTION
from helpers.evaluation.threshold_rule import parse_rule
from helpers.federated.quorum import sample_size
from helpers.federated.sites.site import LONGEST_CLASS_NAME as LONGEST_CLASS_NAME
from helpers.federated.sites.site import is_class_name as is_class_name
from helpers.federated.strategies import DEFAULT as DEFAULT_STRATEGY
from helpers.federated.strategies import Strategy
from helpers.settings.strategy_rules import check_name as check_strategy_name
from helpers.settings.strategy_rules import check_strategy, make_strategy

AUGMENTATION_PRESETS = ("readme", "light", "strong", "none")
"""Those of `preprocessing.feed.augment_images`."""
USUAL_CLASS_NAMES = ("non-cancerous", "cancerous")
"""What the labels 0 and 1 mean where nobody says it."""


class UserError(Exception):
    """Something the user can mend; the message says what and how. Exit status 2."""


class ConfigError(UserError):
    """A setting has a value that is not allowed."""


def _as_list(value: Any) -> Any:
    """Let `64,64`, `64x64` and `[64,64]` stand for (64, 64) in the environment and on the command line."""
    if not isinstance(value, str):
        return value
    return [part for part in value.strip("[]() ").replace("x", ",").split(",") if part.strip()]


def _as_pair(value: Any) -> Any:
    """As `_as_list`, of two."""
    parts = _as_list(value)
    if not isinstance(parts, list | tuple) or len(parts) != 2:
        raise ValueError(f"received {value!r}: expected a pair of whole numbers, such as 64,64")
    return parts


def _as_number(value: Any) -> Any:
    """Let the text of a whole number stand for it."""
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


def _as_count_or_auto(value: Any) -> Any:
    """Let through `auto` and whole numbers from 1 to 10,000, also as text."""
    if value == "auto":
        return value
    try:
        count = int(str(value))
    except ValueError:
        count = 0
    if not 1 <= count <= 10_000:
        raise ValueError(
            f"received {value!r}: expected a whole number greater than or equal to 1, at most 10000, or auto"
        )
    return count


def _as_names(value: Any) -> Any:
    """Let `a,b` stand for a list of names in the environment and on the command line."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.strip("[]").split(",") if part.strip()]


def _as_class_names(value: Any) -> Any:
    """Let `a,b` and, for names with a comma in them, `["a", "b"]` stand for a list of names."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return tuple(name.strip() for name in value.split(","))
    try:
        return tuple(json.loads(value))
    except ValueError:
        raise ValueError(f'received {value!r}: expected names as a,b or as ["a", "b"]') from None


def _check_class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Let through none, or two and more names that a table can show and tell apart."""
    if names and (len(names) < 2 or len(set(names)) < len(names)):
        raise ValueError(f"received {names}: expected two or more names, no two of them the same")
    if wrong := [name for name in names if not is_class_name(name)]:
        raise ValueError(f"received {wrong[0]!r}: expected 1 to {LONGEST_CLASS_NAME} letters, in one line")
    return names


def _as_architecture(name: str) -> str:
    """Let through a registered network, and what may be a function of one's own."""
    if name not in ARCHITECTURES and not OWN_FUNCTION.fullmatch(name):
        known = ", ".join(ARCHITECTURES)
        raise ValueError(
            f"received {name!r}: expected {known}, or a function of your own as package.module:function"
        )
    return name


def _as_pretrained(name: str) -> str:
    """Let through `none`, `imagenet` and names of files, never a path."""
    if name not in ("none", "imagenet") and not re.fullmatch(r"\w[\w.-]*\.(keras|h5)", name, re.ASCII):
        raise ValueError(
            f"received {name!r}: expected none, imagenet, or the name of a .keras or .h5 file that lies in "
            "PRETRAINED_DIR on the machine that starts the run"
        )
    return name


def _as_augmentation(name: str) -> str:
    """Let through a preset, the name of a file of `A.save`, or what is in one."""
    is_file = name.lower().endswith((".json", ".yaml", ".yml"))
    if name not in AUGMENTATION_PRESETS and not name.startswith("{") and not is_file:
        raise ValueError(
            f"received {name!r}: expected {', '.join(AUGMENTATION_PRESETS)}, or a .json or .yaml file that "
            "Albumentations' A.save wrote"
        )
    return name


def _as_rule(text: str) -> str:
    """Let through what the choice of the threshold will read; its sentence otherwise."""
    parse_rule(text)
    return text


def setting(default: Any, description: str, unit: str = "", *, local: bool = False, **limits: Any) -> Any:
    """Declare one setting.

    Args:
        default: the value without any other source.
        description: one sentence, shown in `--help` and in `docs/configuration.md`.
        unit: what the number counts.
        local: the value belongs to this machine and never travels with a run.
        **limits: pydantic limits (`ge`, `gt`, `le`, `lt`, `validation_alias`).
    """
    extra: dict[str, Any] = {"unit": unit, "local": local}
    return Field(default, description=description, json_schema_extra=extra, **limits)


class _ReadableDefaults(type(BaseSettings)):  # type: ignore[misc]
    """Lets `Config.EPOCHS` give the default, as a plain class of constants would."""

    def __getattr__(cls, name: str) -> Any:
        fields = cls.__dict__.get("__pydantic_fields__", {})
        if name in fields:
            return fields[name].default
        return super().__getattr__(name)


Channels = Annotated[Literal[1, 3], BeforeValidator(_as_number)]
NameList = Annotated[tuple[str, ...], BeforeValidator(_as_names)]
ClassNames = Annotated[tuple[str, ...], BeforeValidator(_as_class_names), AfterValidator(_check_class_names)]
ArchitectureName = Annotated[str, AfterValidator(_as_architecture)]
PretrainedName = Annotated[str, AfterValidator(_as_pretrained)]
CountOrAuto = Annotated[int | Literal["auto"], BeforeValidator(_as_count_or_auto)]
ClientList = Annotated[tuple[NonNegativeInt, ...], BeforeValidator(_as_list)]
StrategyName = Annotated[str, AfterValidator(check_strategy_name)]
ThresholdRule = Annotated[str, AfterValidator(_as_rule)]
AugmentationName = Annotated[str, AfterValidator(_as_augmentation)]
Pair = Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_as_pair)]


class Config(BaseSettings, metaclass=_ReadableDefaults):
    """The settings of one training run and of this machine. Frozen; checked when made."""

    model_config = SettingsConfigDict(
        env_prefix="DT_",
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        env_ignore_empty=True,
        enable_decoding=False,
    )

    # The five of the original README, and INPUT_DIM, which belongs to the first.
    INPUT_SHAPE: Pair = setting((128, 128), "Height and width to which every image is resized.", "pixels")
    INPUT_DIM: Channels = setting(3, "Channels of an image: 3 (RGB) or 1 (gray).", "channels")
    num_workers: CountOrAuto = setting(
        3,
        "Number of clients the training rows are divided among, 1 to 10000, unless NUM_CLIENTS says another; "
        "`auto`: at the start of every round as many as there are live workers that train.",
        "clients",
    )
    EPOCHS: int = setting(
        10,
        "Number of rounds; in each, every client trains LOCAL_EPOCHS on its own rows.",
        "rounds",
        ge=1,
    )
    BASE_LR: float = setting(
        0.001,
        "Learning rate of the clients' optimizer, Adam or what OPTIMIZER says.",
        "per step",
        gt=0,
        le=10,
    )
    TRAIN_BATCH_SIZE: int = setting(2, "Images per training step of a client.", "images", ge=1)
    LOCAL_EPOCHS: int = setting(
        1,
        "How often a client goes through its images in a round, with one optimizer.",
        "times",
        ge=1,
        le=1000,
    )

    # Network.
    ARCHITECTURE: ArchitectureName = setting(
        "seed_cnn",
        "The network: one that `python run.py models` lists, or a function of your own as "
        "`package.module:function`, which every worker must allow in OWN_ARCHITECTURES (docs/networks.md).",
    )
    PRETRAINED: PretrainedName = setting(
        "none",
        "What the run begins with: weights drawn from SEED, those from ImageNet (`imagenet`), or a file in "
        "PRETRAINED_DIR, by its name.",
    )
    TRAIN_BODY: bool = setting(
        True,
        "Whether the body of a pretrained network is trained too; otherwise only its head, and the body's "
        "batch normalization stays as it is.",
    )
    PRECISION: Literal["float32", "mixed_float16", "mixed_bfloat16"] = setting(
        "float32",
        "What clients compute in; weights, updates, evaluation and saved models are float32 either way.",
    )
    XLA: bool = setting(
        False,
        "Whether TensorFlow compiles the training step with XLA; for GPUs, on a CPU it may be far slower.",
    )

    # Training.
    OPTIMIZER: Literal["adam", "sgd"] = setting(
        "adam", "What a client trains with, new each round: Adam, or plain stochastic gradient descent."
    )
    SEED: int = setting(
        42, "Seed of the splits, the initial weights, shuffling, dropout and augmentation.", ge=0
    )
    LR_SCALING: Literal["none", "linear"] = setting(
        "none",
        "`linear` multiplies BASE_LR by num_workers (not by NUM_CLIENTS), as the original project did.",
    )
    AUGMENTATION: AugmentationName = setting(
        "readme",
        "Online augmentation of the training images: the README's pipeline (`readme`), left-right flips and "
        "brightness alone (`light`), many changes for few mammograms or ultrasound images (`strong`), "
        "`none`, or a `.json` or `.yaml` file that Albumentations' `A.save` wrote.",
    )
    NUM_CLIENTS: int = setting(
        0,
        "Number of clients, whatever the number of workers; 0: as many as num_workers (with `PARTITION=site` "
        "as many as there are sites).",
        "clients",
        ge=0,
        le=10_000,
    )
    CLIENT_FRACTION: float = setting(
        1.0,
        "Part of the clients that takes part in a round, drawn anew for each from SEED and the round's "
        "number; rounded to a whole number, at least one.",
        "of the clients",
        gt=0,
        le=1,
    )
    PARTITION: Literal["auto", "iid", "dirichlet", "site", "patient", "quantity"] = setting(
        "auto",
        "How the training rows are divided among clients: by lot (`iid`), with unlike shares of the classes "
        "(`dirichlet`), a client for each value of SITE_COLUMN (`site`), whole patients (`patient`), or with "
        "unlike sizes (`quantity`); `auto` is `patient` where patients are known and `iid` elsewhere.",
    )
    DIRICHLET_ALPHA: float = setting(
        0.5,
        "With `PARTITION=dirichlet`, how alike clients are in their classes: 100 is about `iid`, 0.01 gives "
        "most of them one class.",
        gt=0,
        le=1e9,
    )
    SITE_COLUMN: str = setting(
        "site", "With `PARTITION=site`, the column of manifest.csv that says where an image comes from."
    )
    BATCH_NORM_MOMENTUM: float = setting(
        0.99,
        "Share of its running averages that batch normalization keeps at every step: at 0.9 they follow the "
        "images within some 10 steps, at 0.99 within some 100.",
        "per step",
        ge=0,
        lt=1,
    )
    TRAIN_STEP: Literal["plain", "fast"] = setting(
        "plain",
        "Keras' own layers, or faster ones for a CPU: the same weights, other last digits.",
    )
    BATCH_NORM: Literal["average", "local"] = setting(
        "average",
        "Whether clients share batch normalization, or each keeps its own from round to round (FedBN); the "
        "model that is evaluated and saved holds the average either way.",
    )
    STRATEGY: StrategyName = setting(
        DEFAULT_STRATEGY,
        "How updates become the next model (docs/strategies.md): a mean, a mean of clients whose gradients "
        "are corrected, an optimizer at the server, a rule that tolerates malicious clients, or a class of "
        "your own as `package.module:Class`, which every machine must allow in OWN_STRATEGIES.",
    )
    MAX_UPDATE_NORM: float = setting(
        0.0,
        "Largest Euclidean norm of a client's change of the weights, longer ones are shortened to it, with "
        "any STRATEGY; 0 sets no bound.",
        ge=0,
        allow_inf_nan=False,
    )
    PROXIMAL_MU: float = setting(
        0.01,
        "Proximal weight μ: clients add μ/2 ‖w − w₀‖² to their loss, w₀ being the round's global weights.",
        ge=0, le=1000,
    )  # fmt: skip
    DYNAMIC_ALPHA: float = setting(
        0.01,
        "Weight α of dynamic regularization: larger holds clients nearer to the global weights.",
        gt=0, le=1000,
    )  # fmt: skip
    SERVER_LEARNING_RATE: float = setting(
        0.0,
        "Learning rate η of the server's optimizer; 0 means the default of the strategy, 1 with plain "
        "momentum and 0.01 for adaptive ones.",
        "per round", ge=0, le=100,
    )  # fmt: skip
    SERVER_MOMENTUM: float = setting(0.9, "Momentum β1 of the server's optimizer.", "per round", ge=0, lt=1)
    SERVER_BETA_2: float = setting(
        0.99,
        "Share β2 of the mean squared step that an adaptive server optimizer keeps each round.",
        "per round", ge=0, lt=1,
    )  # fmt: skip
    SERVER_TAU: float = setting(
        0.001,
        "Adaptivity constant τ of the server optimizer; larger is less adaptive.",
        gt=0, le=1,
    )  # fmt: skip
    TRIM_FRACTION: float = setting(
        0.2,
        "Fraction of the clients, rounded down, whose values a trimmed mean drops at each end of every "
        "coordinate.",
        "of the clients", gt=0, lt=0.5,
    )  # fmt: skip
    NUM_MALICIOUS: int = setting(
        1,
        "Malicious clients that a rule by distances tolerates; it needs 2 · NUM_MALICIOUS + 3 clients.",
        "clients", ge=0,
    )  # fmt: skip
    UPDATE_DTYPE: Literal["float32", "float16", "int8"] = setting(
        "float32",
        "What a client sends: its weights, or their change in half the bytes (`float16`) or a quarter "
        "(`int8`, with error feedback).",
    )
    PATIENCE: int = setting(
        0, "Stop after so many rounds without a better validation ROC-AUC; 0 never stops early.", "rounds",
        ge=0,
    )  # fmt: skip
    CLASS_WEIGHT: Literal["none", "balanced", "balanced_global"] = setting(
        "none",
        "Weights the rarer class up in the training loss: by each client's own counts, or by those of all.",
    )
    THRESHOLD: ThresholdRule = setting(
        "youden",
        "How the decision threshold for the test is chosen on validation: `youden`, `sensitivity>=0.90`, "
        "`specificity>=0.90`, or a number. For two classes; of more, the most probable one is the decision.",
    )
    CLIENTS: ClientList = setting(
        (),
        "Which clients take part, such as `0,2`; empty means all. CLIENT_FRACTION is of these.",
        "client ids",
    )
    EVALUATION_BATCH_SIZE: int = setting(32, "Images per prediction step.", "images", ge=1)

    # Data.
    DATA_AT: Literal["shared", "sites"] = setting(
        "shared",
        "Where the images are: every worker has the same (`shared`), or each site has its own, which never "
        "leave it, and is a client (`sites`, see docs/sites.md).",
    )
    DATA_DIR: Path = setting(
        Path("vanitha_mam_breast_cancer_dataset"),
        "Folder of the images, with `0/` (non-cancerous) and `1/` (cancerous) or a manifest.csv in it "
        "(docs/data.md).",
        local=True,
    )
    CLASS_NAMES: ClassNames = setting(
        (),
        "Names of the classes in order of their labels, such as `normal,benign,malignant`: that of label 0 "
        'first; names with commas as `["a, b", "c"]`. Empty: as the images have them; with `DATA_AT=sites` '
        "those of TEST_DIR, or non-cancerous and cancerous.",
        "names",
    )
    PREPROCESSED_DIR: Path = setting(
        Path("preprocessed"),
        "Folder of the NumPy splits and their manifest.json; a worker has its own setting (environment: "
        "`DT_PREPROCESSED_DIR`).",
        local=True,
    )
    TEST_FRACTION: float = setting(
        0.3, "Part of all images kept for the one test at the end.", "of all",
        gt=0, lt=1, local=True,
    )  # fmt: skip
    VALIDATION_FRACTION: float = setting(
        0.1, "Part of the images left after the test split used for validation.", "of the rest",
        gt=0, lt=1, local=True,
    )  # fmt: skip

    TEST_DIR: str = setting(
        "",
        "With `DATA_AT=sites`, folder of prepared images whose test split tests the best model in place of "
        "the sites' own; the same at orchestrator and averaging worker; empty: the sites test "
        "(environment: `DT_TEST_DIR`).",
        local=True,
    )

    # Cluster.
    ROUND_DEADLINE_S: float = setting(
        3600.0, "A round closes after this time with the clients that have replied.", "seconds", gt=0
    )
    MIN_CLIENTS: float = setting(
        0.5,
        "Clients a round needs: below 1 a fraction of them, from 1 a number; with fewer the run stops.",
        "clients",
        gt=0,
    )
    PARTIAL_UPDATES: bool = setting(
        True,
        "A client that would miss the deadline stops early and counts with the images it saw; "
        "otherwise it does not count.",
    )
    WORKER_TIMEOUT_S: float = setting(
        300.0, "How long the orchestrator goes on without a live worker, or without Redis.", "seconds",
        gt=0, local=True,
    )  # fmt: skip

    # This machine.
    OWN_ARCHITECTURES: NameList = setting(
        (),
        "Functions of your own that runs may name as ARCHITECTURE on this machine, such as "
        "`mynets.small:build`; importing one runs its code (environment: `DT_OWN_ARCHITECTURES`).",
        local=True,
    )
    OWN_STRATEGIES: NameList = setting(
        (),
        "Classes of your own that runs may name as STRATEGY on this machine, such as "
        "`rules.mine:MyStrategy`; importing one runs its code (environment: `DT_OWN_STRATEGIES`).",
        local=True,
    )
    PRETRAINED_DIR: Path = setting(
        Path("pretrained"),
        "Folder of the weights files that PRETRAINED may name; only the start of a run reads it, on a "
        "machine that serves the queue `aggregate`.",
        local=True,
    )
    GPU: str = setting(
        "",
        "Which of the GPUs that TensorFlow sees a worker takes, by index; `none`: it computes on the CPU; "
        "empty: all (environment: `DT_GPU`).",
        local=True,
        pattern=r"^(none|\d{0,3})$",
    )
    SITE: str = setting(
        "",
        "Name of the site whose images this worker has: it serves that site alone, with `DATA_AT=sites`; "
        "empty: it belongs to no site (environment: `DT_SITE`).",
        local=True,
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,39})?$",  # as SITE_NAME of helpers.federated.sites.site
    )
    SHARE_SCORES: bool = setting(
        True,
        "Whether this site gives labels and scores of its validation and test images, one pair an image; "
        "otherwise counts and sums alone.",
        local=True,
    )
    REDIS_URL: SecretStr = setting(
        SecretStr("redis://127.0.0.1:6379/0"),
        "Address of Redis, the broker and, by default, the weight store (environment: `REDIS_URL`).",
        local=True,
        validation_alias=AliasChoices("REDIS_URL", "DT_REDIS_URL"),
    )
    WEIGHT_STORE: str = setting(
        "redis",
        "Where weights lie between tasks: `redis`, or `file:///folder`, a folder that all workers of a run "
        "see; every worker needs the same (environment: `DT_WEIGHT_STORE`).",
        local=True,
        pattern=r"^(redis|file:///[^?#]+)$",
    )
    METRICS_DIR: Path = setting(
        Path("metrics"), "Folder under which every run gets a folder of CSV files.", local=True
    )
    MODELS_DIR: Path = setting(
        Path("models"), "Folder under which every run gets a folder of models.", local=True
    )
    THREADS: int = setting(
        0, "TensorFlow threads of a worker; 0 leaves it to TensorFlow.", "threads",
        ge=0, local=True,
    )  # fmt: skip
    OBSERVERS: NameList = setting(
        (),
        "Observers in addition to terminal and report: `tensorboard`, or classes of your own such as "
        "`mypackage.watch:Watch` (helpers/monitoring/registry.py says how they are called).",
        local=True,
    )

    @model_validator(mode="after")
    def _check_clients(self) -> Self:
        self.clients_of(self.num_clients)
        if len(set(self.CLIENTS)) < len(self.CLIENTS):
            raise ValueError(f"CLIENTS: received {self.CLIENTS}: an id stands there twice")
        return self

    @model_validator(mode="after")
    def _check_strategy(self) -> Self:
        check_strategy(self.strategy, self.cohort_size)
        return self

    @model_validator(mode="after")
    def _check_auto(self) -> Self:
        """With `auto` a client's id means other rows whenever a worker joins or leaves."""
        remembers = "what a client remembers is of no use with the other rows that its id may have later"
        conflicts = {
            "NUM_CLIENTS": (self.NUM_CLIENTS > 0, "the workers give the number of clients"),
            "CLIENTS": (bool(self.CLIENTS), "an id may have other rows in the next round"),
            "PARTITION": (self.PARTITION == "site", "the sites give the number of clients"),
            "LR_SCALING": (
                self.LR_SCALING == "linear",
                "it multiplies BASE_LR by a number that is not fixed",
            ),
            "UPDATE_DTYPE": (self.UPDATE_DTYPE == "int8", remembers),
            "STRATEGY": (bool(self.strategy.client_state), remembers),
            "BATCH_NORM": (self.BATCH_NORM == "local", remembers),
        }
        for name, (is_set, reason) in conflicts.items():
            if is_set and self.num_workers == "auto":
                raise ValueError(
                    f"{name}: received {getattr(self, name)!r} with num_workers=auto: {reason}; "
                    f"set num_workers to a number, or leave {name} at its default"
                )
        return self

    @model_validator(mode="after")
    def _check_sites(self) -> Self:
        """What divides or needs all images at one place has no meaning where every site keeps its own."""
        conflicts = {
            "PARTITION": (self.PARTITION != "auto", "every site trains on its own images"),
            "NUM_CLIENTS": (self.NUM_CLIENTS > 0, "the live sites give the number of clients"),
            "num_workers": (
                self.num_workers != type(self).num_workers,
                "the live sites give the number of clients",
            ),
            "CLIENTS": (bool(self.CLIENTS), "the live sites take part; stop the workers of the others"),
            "LR_SCALING": (self.LR_SCALING != "none", "it multiplies BASE_LR by num_workers"),
            "CLASS_WEIGHT": (
                self.CLASS_WEIGHT == "balanced_global",
                "no site knows the labels of the others; `balanced` goes by its own",
            ),
        }
        for name, (is_set, reason) in conflicts.items():
            if is_set and self.DATA_AT == "sites":
                raise ValueError(
                    f"{name}: received {getattr(self, name)!r} with DATA_AT=sites: {reason}; "
                    f"leave {name} at its default"
                )
        return self

    @model_validator(mode="after")
    def _check_network(self) -> Self:
        """What the network, known or of one's own, cannot do."""
        network = ARCHITECTURES.get(self.ARCHITECTURE, OWN)
        bodies = ", ".join(name for name, about in ARCHITECTURES.items() if about.has_body)
        no_averages = "it has no batch normalization"
        momentum = type(self).BATCH_NORM_MOMENTUM
        conflicts = {
            "TRAIN_STEP": (self.TRAIN_STEP == "fast" and not network.has_fast_step, "only seed_cnn has one"),
            "PRETRAINED": (
                self.PRETRAINED == "imagenet" and not network.has_body,
                f"there are weights from ImageNet for {bodies}",
            ),
            "TRAIN_BODY": (not self.TRAIN_BODY and not network.has_body, f"only {bodies} have a body"),
            "BATCH_NORM": (self.BATCH_NORM == "local" and not network.has_batch_norm, no_averages),
            "BATCH_NORM_MOMENTUM": (
                momentum != self.BATCH_NORM_MOMENTUM and not network.has_batch_norm,
                no_averages,
            ),
        }
        for name, (is_set, reason) in conflicts.items():
            if is_set:
                raise ValueError(
                    f"{name}: received {getattr(self, name)!r} with ARCHITECTURE={self.ARCHITECTURE}: "
                    f"{reason}; leave {name} at its default"
                )
        if not self.TRAIN_BODY and self.PRETRAINED == "none":
            raise ValueError(
                "TRAIN_BODY: received False with PRETRAINED=none: nobody would ever have trained the body; "
                "set PRETRAINED=imagenet, or to a file"
            )
        return self

    @model_validator(mode="after")
    def _check_precision(self) -> Self:
        if self.PRECISION != "float32" and self.TRAIN_STEP == "fast":
            raise ValueError(
                f"PRECISION: received {self.PRECISION!r} with TRAIN_STEP=fast, whose layers are for float32 "
                "on a CPU; set TRAIN_STEP=plain"
            )
        return self

    def check_input_shape(self) -> None:
        """Refuse images that are too small for the network; preparing them is possible at any size.

        Raises:
            ConfigError: naming the least size.
        """
        least = ARCHITECTURES.get(self.ARCHITECTURE, OWN).least_side
        if min(self.INPUT_SHAPE) < least:
            raise ConfigError(
                f"INPUT_SHAPE: received {self.INPUT_SHAPE}: ARCHITECTURE={self.ARCHITECTURE} needs at least "
                f"{least}x{least} pixels; prepare larger images, or take another network"
            )

    def check_threshold(self) -> None:
        """Refuse a rule for the threshold where there is none, with more than two classes.

        Raises:
            ConfigError: it is not at its default.
        """
        if len(self.class_names) > 2 and self.THRESHOLD != type(self).THRESHOLD:
            raise ConfigError(
                f"THRESHOLD: received {self.THRESHOLD!r}: of {len(self.class_names)} classes the most "
                "probable one is the decision; leave THRESHOLD at its default"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """What each label means, in order of the labels."""
        return self.CLASS_NAMES or USUAL_CLASS_NAMES

    @functools.cached_property
    def strategy(self) -> Strategy:
        """The strategy that STRATEGY names.

        Raises:
            ValueError: this machine does not allow it, or it cannot be used.
        """
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return make_strategy(values | {"learning_rate": self.learning_rate})

    @property
    def num_clients(self) -> int | None:
        """How many clients there are; None where the live workers or the sites decide that."""
        if self.NUM_CLIENTS:
            return self.NUM_CLIENTS
        if self.DATA_AT == "sites":
            return None
        return None if self.num_workers == "auto" or self.PARTITION == "site" else self.num_workers

    def clients_of(self, num_clients: int | None) -> list[int]:
        """Ids of the clients that may take part when there are so many, ascending; None: not known yet.

        Raises:
            ConfigError: CLIENTS names one that is not among them.
        """
        if num_clients is not None and any(client >= num_clients for client in self.CLIENTS):
            raise ConfigError(
                f"CLIENTS: received {self.CLIENTS}, the number of clients is {num_clients}: ids below that"
            )
        return sorted(self.CLIENTS) or list(range(num_clients or 0))

    @property
    def cohort_size(self) -> int | None:
        """How many clients take part in a round; None where the live workers or the sites decide that."""
        number = self.num_clients
        return None if number is None else sample_size(len(self.clients_of(number)), self.CLIENT_FRACTION)

    @property
    def learning_rate(self) -> float:
        """The clients' learning rate after LR_SCALING."""
        if self.LR_SCALING == "none" or self.num_workers == "auto":  # these two are refused together
            return self.BASE_LR
        return self.BASE_LR * self.num_workers

    def for_run(self) -> dict[str, Any]:
        """The settings that travel with a run: all but this machine's, JSON-ready."""
        local = {name for name in type(self).model_fields if describe(name)["local"]}
        return self.model_dump(mode="json", exclude=local)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line (init) over environment over TOML file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @classmethod
    def load(cls, file: Path | None = None, **values: Any) -> Self:
        """Make a Config from all sources; `values` win.

        Args:
            file: a TOML file with settings by name, as in this class.
            **values: settings by name; strings are parsed.

        Raises:
            ConfigError: naming the setting, what it received and what is allowed.
        """
        known = {f"DT_{name.upper()}" for name in cls.model_fields}
        for name in sorted(os.environ):
            if name.startswith("DT_") and name.upper() not in known:
                raise ConfigError(
                    f"environment variable {name}: there is no such setting; "
                    "docs/configuration.md lists them all"
                )
        if file is not None and not file.is_file():
            raise ConfigError(f"settings file {file}: not found")
        maker: Any = cls if file is None else type("Config", (cls,), {}, toml_file=file)
        try:
            return maker(**values)  # type: ignore[no-any-return]
        except ValidationError as error:
            raise ConfigError("; ".join(_explain(item) for item in error.errors())) from None
        except (SettingsError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"settings file {file}: {error}") from None

    @classmethod
    def from_run(cls, settings: dict[str, Any]) -> Self:
        """The config of a run as this machine sees it: `settings` of the run, local ones from here."""
        return cls.load(**settings)


def _explain(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"])
    if not name:  # a rule over several settings, which names them itself
        return str(item["msg"].removeprefix("Value error, "))
    if item["type"] == "extra_forbidden":
        return f"{name}: there is no such setting; docs/configuration.md lists them all"
    if item["type"] == "value_error":  # our own sentence says what was received
        return f"{name}: {item['msg'].removeprefix('Value error, ')}"
    return f"{name}: received {item['input']!r}: {item['msg']}"


_TYPE_WORDS: dict[Any, str] = {
    "INPUT_SHAPE": "pair of int",
    "CLIENTS": "list of int",
    "CLASS_NAMES": "list of text",
    "OWN_ARCHITECTURES": "list of text",
    "OBSERVERS": "list of text",
    "num_workers": "int or `auto`",
    int: "int",
    float: "float",
    bool: "bool",
    str: "text",
    Path: "path",
    SecretStr: "address",
}


def describe(name: str) -> dict[str, Any]:
    """Type, default, unit, range and sentence of one setting, as text; `local` as bool."""
    field: FieldInfo = Config.model_fields[name]
    extra: Any = field.json_schema_extra
    default = field.default
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    kind = field.annotation
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    limits = [
        f"{sign} {getattr(limit, attribute):g}"
        for limit in field.metadata
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(limit, attribute, None) is not None
    ]
    return {
        "type": _TYPE_WORDS.get(name) or ("choice" if choices else _TYPE_WORDS.get(kind, str(kind))),
        "default": json.dumps(default, default=str),
        "range": " or ".join(f"`{choice}`" for choice in choices) or ", ".join(limits),
        "unit": extra["unit"],
        "local": extra["local"],
        "description": field.description,
    }


def add_settings(parser: argparse.ArgumentParser, only: tuple[str, ...] = ()) -> None:
    """Add `--config FILE` and one option for every setting (or those named in `only`)."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    group = parser.add_argument_group("settings (see docs/configuration.md)")
    # Workers must have these two from their environment; and a command line is for all to see.
    for name in only or [name for name in Config.model_fields if name not in ("REDIS_URL", "WEIGHT_STORE")]:
        about = describe(name)
        details = ", ".join(part for part in (about["range"].replace("`", ""), about["unit"]) if part)
        group.add_argument(
            "--" + name.lower().replace("_", "-"),
            dest=name,
            default=argparse.SUPPRESS,
            metavar="VALUE",
            help=f"{about['description']} [{details or about['type']}; default {about['default']}]".replace(
                "%", "%%"
            ),
        )


def config_from_arguments(arguments: argparse.Namespace) -> Config:
    """Make the Config from what `add_settings` parsed.

    Raises:
        ConfigError: as `Config.load`.
    """
    given = {name: value for name, value in vars(arguments).items() if name in Config.model_fields}
    return Config.load(arguments.config, **given)


def configuration_page() -> str:
    """The text of docs/configuration.md; `python -m helpers.global_config` prints it."""
    head = "| setting | type | default | range | unit | meaning |\n|---|---|---|---|---|---|\n"
    tables = {True: head, False: head}
    for name in Config.model_fields:
        about = describe(name)
        cells = (name, about["type"], f"`{about['default']}`", about["range"], about["unit"])
        tables[about["local"]] += f"| {' | '.join(cells)} | {about['description']} |\n"
    return f"""# Settings

Made from `helpers/global_config.py` by `python -m helpers.global_config > docs/configuration.md`.

A value is taken from, later ones winning: the default, a TOML file (`--config FILE`, settings by name),
the environment (`DT_` and the name: `DT_EPOCHS=5`, `DT_INPUT_SHAPE=[64,64]`; the broker from `REDIS_URL`),
the command line (`--epochs 5`). A wrong name or value ends the command with one line and exit status 2.

## Settings of a run

They travel with the run: every worker uses the orchestrator's.

{tables[False]}
## Settings of a machine

Every machine has its own; they never travel.

{tables[True]}"""


if __name__ == "__main__":
    print(configuration_page(), end="")
