"""Every setting of the project, in one place.

A setting has five sources, later ones winning: the default below, a recipe (recipes/NAME.toml), a TOML
file, the environment (`DT_EPOCHS=5`; the broker from `REDIS_URL`) and the command line (`--epochs 5`).
`docs/configuration.md` and the `--help` of the commands are generated from this file.
Types, rules between settings, loading and derived values are in `helpers.settings`.
"""

from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from helpers.federated.learning_rates import Schedule
from helpers.federated.strategies import DEFAULT as DEFAULT_STRATEGY
from helpers.federated.strategies import STRATEGIES
from helpers.settings.base import DerivedSettings
from helpers.settings.description import setting
from helpers.settings.recipes import recipe_names
from helpers.settings.rules import RULES
from helpers.settings.types import (
    ArchitectureName,
    AugmentationName,
    Channels,
    ClassNames,
    ClientList,
    CountOrAuto,
    NameList,
    Pair,
    PretrainedName,
    ShareScores,
    StrategyName,
    ThresholdRule,
)


class Config(DerivedSettings):
    """The settings of one training run and of this machine: frozen, and validated when made."""

    rules = RULES

    # The five settings of the original README, and INPUT_DIM, which completes INPUT_SHAPE.
    INPUT_SHAPE: Pair = setting((128, 128), "Height and width to which every image is resized.", "pixels")
    num_workers: CountOrAuto = setting(
        3,
        "Number of clients among which the training rows are divided, 1 to 10000, unless NUM_CLIENTS is set. "
        "`auto` uses the number of live workers at the start of each round.",
        "clients",
    )
    EPOCHS: int = setting(
        10,
        "Number of rounds. In each round every client trains LOCAL_EPOCHS on its own rows.",
        "rounds", ge=1,
    )  # fmt: skip
    BASE_LR: float = setting(
        0.001, "Learning rate of the clients' optimizer (OPTIMIZER).", "per step", gt=0, le=10
    )
    TRAIN_BATCH_SIZE: int = setting(2, "Images per training step of a client.", "images", ge=1)
    INPUT_DIM: Channels = setting(3, "Channels of an image: 3 (RGB) or 1 (gray).", "channels")

    RECIPE: str = setting(
        "",
        "Recipe, a named set of settings that replace the defaults: "
        f"{', '.join(f'`{name}`' for name in recipe_names())} (docs/recipes.md).",
    )

    # Network.
    ARCHITECTURE: ArchitectureName = setting(
        "seed_cnn",
        "Network: a name that `python run.py models` lists, or your own function as "
        "`package.module:function`, which every worker must allow in OWN_ARCHITECTURES (docs/networks.md).",
    )
    PRETRAINED: PretrainedName = setting(
        "none",
        "Initial weights: random, from SEED (`none`), from ImageNet, as a download (`imagenet`) or from "
        "requirements-pretrained.txt (`package`), or the name of a file in PRETRAINED_DIR.",
    )
    TRAIN_BODY: bool = setting(
        True,
        "Whether the body of a pretrained network is trained. Otherwise only the head is, and the body's "
        "batch normalization stays fixed.",
    )
    HEAD_ROUNDS: int = setting(
        0,
        "First rounds in which only the head of a pretrained network is trained, as with `TRAIN_BODY=false`.",
        "rounds", ge=0,
    )  # fmt: skip
    BATCH_NORM_MOMENTUM: float = setting(
        0.99,
        "Share of its running averages that batch normalization keeps at every step. At 0.9 they cover about "
        "10 steps, at 0.99 about 100.",
        "per step", ge=0, lt=1,
    )  # fmt: skip
    BATCH_NORM_STATISTICS: Literal["moving", "round"] = setting(
        "moving",
        "Statistics with which batch normalization evaluates: moving averages that go on from round to round "
        "(`moving`), or those of the round alone (`round`), which are the mean over its steps, or a moving "
        "average where it has more steps than BATCH_NORM_MOMENTUM covers.",
    )
    PRECISION: Literal["float32", "mixed_float16", "mixed_bfloat16"] = setting(
        "float32",
        "Number format of the clients' computations. Weights, updates, evaluation and saved models are "
        "always float32.",
    )
    TRAIN_STEP: Literal["plain", "fast"] = setting(
        "plain",
        "Layers of the training step: those of Keras (`plain`), or faster ones for a CPU (`fast`), with the "
        "same weights up to rounding. In half precision dropout then has other masks.",
    )
    XLA: bool = setting(
        False,
        "Whether TensorFlow compiles the training step with XLA. This is for GPUs and can be far slower on "
        "a CPU.",
    )

    # Training of a client.
    LOCAL_EPOCHS: int = setting(
        1,
        "Passes of a client over its images in a round, with one optimizer state.",
        "passes", ge=1, le=1000,
    )  # fmt: skip
    OPTIMIZER: Literal["adam", "sgd"] = setting(
        "adam",
        "Optimizer of the clients: Adam, or stochastic gradient descent.",
    )
    OPTIMIZER_STATE: Literal["reset", "keep"] = setting(
        "reset",
        "Whether a client's optimizer is new in each round (`reset`), or goes on with the momentum of the "
        "client's round before (`keep`).",
    )
    MOMENTUM: float = setting(
        0.0, "Momentum of `OPTIMIZER=sgd`. 0 is plain gradient descent.", "per step", ge=0, lt=1
    )
    NESTEROV: bool = setting(False, "Whether MOMENTUM is Nesterov's.")
    WEIGHT_DECAY: float = setting(
        0.0,
        "Decoupled weight decay: every step shrinks weights by WEIGHT_DECAY times the learning rate, except "
        "biases and normalization.",
        "per step and rate", ge=0, le=1,
    )  # fmt: skip
    MAX_GRADIENT_NORM: float = setting(
        0.0,
        "Maximum Euclidean norm of a step's gradient over all weights, to which longer ones are scaled down. "
        "0 sets no limit.",
        ge=0, allow_inf_nan=False,
    )  # fmt: skip
    SEED: int = setting(
        42, "Seed of the splits, the initial weights, shuffling, dropout and augmentation.",
        ge=0, le=2**32 - 1,
    )  # fmt: skip
    LR_SCALING: Literal["none", "linear"] = setting(
        "none",
        "`linear` multiplies BASE_LR by num_workers (not by NUM_CLIENTS), as the original project did.",
    )
    LR_SCHEDULE: Schedule = setting(
        "constant",
        "Learning rate over the rounds: `constant`, `cosine` (falls toward 0 at the end of EPOCHS), or "
        "`step` (times LR_STEP_FACTOR every LR_STEP_ROUNDS rounds). Within a round it is constant.",
    )
    LR_WARMUP_ROUNDS: int = setting(
        0, "Rounds with a linearly growing learning rate, before LR_SCHEDULE begins.", "rounds", ge=0
    )
    LR_STEP_ROUNDS: int = setting(10, "Rounds with one learning rate in `LR_SCHEDULE=step`.", "rounds", ge=1)
    LR_STEP_FACTOR: float = setting(
        0.1, "What `LR_SCHEDULE=step` multiplies the learning rate by.", gt=0, lt=1
    )
    AUGMENTATION: AugmentationName = setting(
        "readme",
        "Augmentation of the training images: the pipeline of the README (`readme`), horizontal flips and "
        "brightness (`light`), small or many changes for ultrasound images and mammograms (`ultrasound`, "
        "`strong`), `none`, or a `.json` or `.yaml` file that Albumentations' `A.save` wrote.",
    )
    CLASS_WEIGHT: Literal["none", "balanced", "balanced_global"] = setting(
        "none",
        "Larger weights of rare classes in the training loss, from each client's own class counts "
        "(`balanced`) or from those of all clients (`balanced_global`).",
    )
    LABEL_SMOOTHING: float = setting(
        0.0,
        "Label smoothing ε of the training loss: a label counts as 1 − ε of its class and ε of all classes "
        "alike.",
        ge=0, lt=1,
    )  # fmt: skip
    LOGIT_ADJUSTMENT: bool = setting(
        False,
        "Whether a client adds the log priors of its own classes to the logits of its training, against "
        "unlike classes at the clients. The saved model has the prior of all clients' images.",
    )
    BATCH_NORM: Literal["auto", "average", "local", "frozen"] = setting(
        "auto",
        "Batch normalization: shared by all clients (`average`), kept by each client between rounds "
        "(`local`, FedBN; the evaluated and saved model holds the average), or not trained and working as in "
        "inference (`frozen`). `auto` is `frozen` for a network with a body that starts from PRETRAINED "
        "weights, otherwise `average`.",
    )

    # Clients.
    NUM_CLIENTS: int = setting(
        0,
        "Number of clients, independent of the number of workers. 0 uses num_workers or, with "
        "`PARTITION=site`, the number of sites.",
        "clients", ge=0, le=10_000,
    )  # fmt: skip
    CLIENTS: ClientList = setting(
        (),
        "Ids of the clients that may take part, such as `0,2`; empty for all. CLIENT_FRACTION applies to "
        "these clients.",
        "client ids",
    )
    CLIENT_FRACTION: float = setting(
        1.0,
        "Fraction of the clients that takes part in a round, rounded to at least one client. They are drawn "
        "from SEED and the round number.",
        "of the clients", gt=0, le=1,
    )  # fmt: skip
    PARTITION: Literal["auto", "iid", "dirichlet", "site", "patient", "quantity"] = setting(
        "auto",
        "How the training rows are divided among clients: at random (`iid`), with different class shares "
        "(`dirichlet`), one client per value of SITE_COLUMN (`site`), by whole patients (`patient`), or in "
        "different sizes (`quantity`). `auto` is `patient` if the patients are known, otherwise `iid`.",
    )
    DIRICHLET_ALPHA: float = setting(
        0.5,
        "Similarity of the clients' class shares with `PARTITION=dirichlet`. 100 is close to `iid`, and with "
        "0.01 most clients have a single class.",
        gt=0, le=1e9,
    )  # fmt: skip
    SITE_COLUMN: str = setting(
        "site", "Column of manifest.csv that names the site of an image, for `PARTITION=site`."
    )

    # Strategy.
    STRATEGY: StrategyName = setting(
        DEFAULT_STRATEGY,
        f"How updates become the next global model: {', '.join(f'`{name}`' for name in STRATEGIES)}, or your "
        "own class as `package.module:Class`, which every machine must allow in OWN_STRATEGIES "
        "(docs/strategies.md).",
    )
    MAX_UPDATE_NORM: float = setting(
        0.0,
        "Maximum Euclidean norm of a client's change of the weights, to which longer changes are scaled "
        "down. 0 sets no limit.",
        ge=0, allow_inf_nan=False,
    )  # fmt: skip
    MAX_UPDATE_RATIO: float = setting(
        100.0,
        "With three or more updates in a round, one is refused if the Euclidean norm of its weights is more "
        "than this many times the median. 0 sets no limit.",
        ge=0, allow_inf_nan=False,
    )  # fmt: skip
    PROXIMAL_MU: float = setting(
        0.01,
        "Proximal weight μ: clients add μ/2 ‖w − w₀‖² to their loss, w₀ being the global weights of the "
        "round.",
        ge=0, le=1000,
    )  # fmt: skip
    DYNAMIC_ALPHA: float = setting(
        0.01,
        "Weight α of dynamic regularization. A larger one holds clients nearer to the global weights.",
        gt=0, le=1000,
    )  # fmt: skip
    SERVER_LEARNING_RATE: float = setting(
        0.0,
        "Learning rate η of the server optimizer. 0 is the default of the strategy: 1 with plain momentum, "
        "0.01 with adaptive optimizers.",
        "per round", ge=0, le=100,
    )  # fmt: skip
    SERVER_MOMENTUM: float = setting(0.9, "Momentum β₁ of the server optimizer.", "per round", ge=0, lt=1)
    SERVER_BETA_2: float = setting(
        0.99, "Decay rate β₂ of the mean squared step in an adaptive server optimizer.", "per round",
        ge=0, lt=1,
    )  # fmt: skip
    SERVER_TAU: float = setting(
        0.001, "Adaptivity constant τ of the server optimizer; larger is less adaptive.", gt=0, le=1
    )
    TRIM_FRACTION: float = setting(
        0.2,
        "Fraction of the clients, rounded down, that a trimmed mean removes at each end of every coordinate.",
        "of the clients", gt=0, lt=0.5,
    )  # fmt: skip
    NUM_MALICIOUS: int = setting(
        1,
        "Number of malicious clients that a rule by distances tolerates. It needs 2 · NUM_MALICIOUS + 3 "
        "clients.",
        "clients", ge=0,
    )  # fmt: skip
    UPDATE_DTYPE: Literal["float32", "float16", "int8"] = setting(
        "float32",
        "Format of an update: the weights (`float32`), or their change in half the bytes (`float16`) or a "
        "quarter (`int8`, with error feedback).",
    )

    SECURE_AGGREGATION: bool = setting(
        False,
        "With `DATA_AT=sites`, whether updates leave the sites masked, so that only their sum becomes known "
        "(docs/secure-aggregation.md).",
    )

    # Differential privacy.
    DP: Literal["off", "example", "client"] = setting(
        "off",
        "Differential privacy: clipped gradients and noise at every client (`example`, for a single image or "
        "patient), clipped updates and noise at the server (`client`, for a whole client among many), or "
        "none (`off`; docs/privacy.md).",
    )
    DP_TARGET_EPSILON: float = setting(
        0.0,
        "Privacy budget ε. The run stops before a round that would exceed it. 0 sets no budget.",
        ge=0, allow_inf_nan=False,
    )  # fmt: skip
    DP_NOISE_MULTIPLIER: float = setting(
        0.0,
        "Standard deviation of the noise, in units of DP_CLIP_NORM. 0 uses the least noise with which EPOCHS "
        "rounds stay within DP_TARGET_EPSILON.",
        ge=0, allow_inf_nan=False,
    )  # fmt: skip
    DP_DELTA: float = setting(
        1e-5,
        "Probability δ with which the guarantee ε may fail; below 1 / number of training images.",
        gt=0, lt=1,
    )  # fmt: skip
    DP_CLIP_NORM: float = setting(
        1.0,
        "Maximum Euclidean norm of the gradient of one image or patient, or of the update of one client.",
        ge=1e-6, le=1e6,  # in float32 a norm below 1e-19 is 0, and nothing would be limited
    )  # fmt: skip
    DP_UNIT: Literal["image", "patient"] = setting(
        "image",
        "What `DP=example` protects: one image, or all images of one patient.",
    )

    # Rounds and evaluation.
    EMA_DECAY: float = setting(
        0.0,
        "Decay of an exponential moving average (EMA) of the global model over the rounds, which is one more "
        "candidate for the best model. 0 keeps none.",
        "per round", ge=0, lt=1,
    )  # fmt: skip
    CHOICE: Literal["best", "smoothed"] = setting(
        "best",
        "Which round has the best model: that of the highest validation ROC-AUC (`best`), or, from two "
        "thirds of EPOCHS on, that of the highest mean over it and the two before (`smoothed`): less left to "
        "chance.",
    )
    PATIENCE: int = setting(
        0,
        "Stop after this many rounds without a better validation ROC-AUC. 0 never stops early.",
        "rounds", ge=0,
    )  # fmt: skip
    ROUND_DEADLINE_S: float = setting(
        3600.0, "Time after which a round closes with the replies received so far.", "seconds",
        gt=0, allow_inf_nan=False,
    )  # fmt: skip
    MIN_CLIENTS: float = setting(
        0.5,
        "Minimum number of clients that a round needs: a fraction if below 1, otherwise a number. With fewer "
        "the run stops.",
        "clients", gt=0, allow_inf_nan=False,
    )  # fmt: skip
    PARTIAL_UPDATES: bool = setting(
        True,
        "Whether a client that would miss the deadline stops early and counts with the images it has seen. "
        "Otherwise its work is discarded.",
    )
    THRESHOLD: ThresholdRule = setting(
        "youden",
        "Rule that chooses the decision threshold on the validation split: `youden`, `sensitivity>=0.90`, "
        "`specificity>=0.90`, or a number. With more than two classes the most probable one is the decision.",
    )
    EVALUATION_BATCH_SIZE: int = setting(32, "Images per prediction step.", "images", ge=1)

    # Data.
    DATA_AT: Literal["shared", "sites"] = setting(
        "shared",
        "Where the images are: the same at every worker (`shared`), or different ones at each site, which "
        "is then a client and never sends images (`sites`, docs/sites.md).",
    )
    LOCAL_MODELS: bool = setting(
        False,
        "With `DATA_AT=sites`: whether each site compares the global model with two that it trains itself: "
        "the global one fine-tuned, and one alone in the same number of rounds (`sites.csv`). `--compare` "
        "sets it.",
    )
    CLASS_NAMES: ClassNames = setting(
        (),
        'Class names in order of the labels, such as `normal,benign,malignant`, or `["a, b", "c"]` if names '
        "contain commas. Empty uses the names in the data; with `DATA_AT=sites` those of TEST_DIR, or "
        "non-cancerous and cancerous.",
        "names",
    )
    DATA_DIR: Path = setting(
        Path("vanitha_mam_breast_cancer_dataset"),
        "Image folder with the subfolders `0/` (non-cancerous) and `1/` (cancerous), or with a manifest.csv "
        "(docs/data.md).",
        local=True,
    )
    PREPROCESSED_DIR: Path = setting(
        Path("preprocessed"), "Folder of the prepared splits and their manifest.json.", local=True
    )
    NEAR_COPIES: Literal["check", "report", "off"] = setting(
        "check",
        "Near copies among the images: found and kept in one split (`check`), only listed in audit.csv "
        "(`report`), or not looked for (`off`). Likeness alone never joins two known patients.",
        local=True,
    )
    TEST_FRACTION: float = setting(
        0.3, "Fraction of all images that is kept for the final test.", "of all", gt=0, lt=1, local=True
    )
    VALIDATION_FRACTION: float = setting(
        0.1, "Fraction of the remaining images that is used for validation.", "of the rest",
        gt=0, lt=1, local=True,
    )  # fmt: skip
    TEST_DIR: str = setting(
        "",
        "Folder of prepared images whose test split tests the best model with `DATA_AT=sites`, the same at "
        "the orchestrator and the aggregating worker. Empty: the sites test on their own splits.",
        local=True,
    )

    # This machine.
    REDIS_URL: SecretStr = setting(
        SecretStr("redis://127.0.0.1:6379/0"),
        "Address of Redis, the broker and default weight store (environment: `REDIS_URL`).",
        local=True,
    )
    WEIGHT_STORE: str = setting(
        "redis",
        "Where weights are stored between tasks: `redis`, or `file:///folder`, a folder that all workers of "
        "a run share. Every worker needs the same value (environment: `DT_WEIGHT_STORE`). Not with sites.",
        local=True,
        pattern=r"^(redis|file:///[^?#]+)$",
    )
    NAMESPACE: str = setting(
        "",
        "Prefix of all queues and keys in Redis, which keeps two projects on one Redis apart. Every process "
        "of a project needs the same, from its environment: `DT_NAMESPACE`.",
        local=True,
        pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,39})?$",
    )
    METRICS_DIR: Path = setting(
        Path("metrics"), "Folder in which every run gets a folder of CSV files.", local=True
    )
    MODELS_DIR: Path = setting(
        Path("models"), "Folder in which every run gets a folder of models.", local=True
    )
    PRETRAINED_DIR: Path = setting(
        Path("pretrained"),
        "Folder of the weights files that PRETRAINED may name. Only a worker that serves the queue "
        "`aggregate` reads it, at the start of a run.",
        local=True,
    )
    OWN_ARCHITECTURES: NameList = setting(
        (),
        "Your own functions that runs may name as ARCHITECTURE on this machine, such as "
        "`mynets.small:build`. Importing a function runs its code.",
        local=True,
    )
    OWN_STRATEGIES: NameList = setting(
        (),
        "Your own classes that runs may name as STRATEGY on this machine, such as `rules.mine:MyStrategy`. "
        "Importing a class runs its code.",
        local=True,
    )
    OBSERVERS: NameList = setting(
        (),
        "Observers in addition to terminal and report: `tensorboard`, `mlflow`, or your own classes such as "
        "`mypackage.watch:Watch` (described in helpers/monitoring/registry.py).",
        local=True,
    )
    WORKER_TIMEOUT_S: float = setting(
        300.0, "How long the orchestrator continues without a live worker or without Redis.", "seconds",
        gt=0, allow_inf_nan=False, local=True,
    )  # fmt: skip
    GPU: str = setting(
        "",
        "Index of the GPU that a worker uses, among those that TensorFlow sees. `none` uses the CPU, empty "
        "uses all GPUs.",
        local=True,
        pattern=r"^(none|\d{0,3})$",
    )
    THREADS: int = setting(
        0, "TensorFlow threads of a worker. 0 leaves the number to TensorFlow.", "threads",
        ge=0, local=True,
    )  # fmt: skip
    SITE: str = setting(
        "",
        "Name of the site whose images this worker has. With `DATA_AT=sites` the worker serves only that "
        "site.",
        local=True,
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,39})?$",  # as SITE_NAME of helpers.federated.sites.site
    )
    SITE_DIR: Path = setting(
        Path("sites"),
        "Folder of what a site keeps for itself, in a subfolder by its name: policy (site.toml), approvals "
        "and audit log.",
        local=True,
    )
    DEPLOYMENT: str = setting(
        "",
        "Folder that `python run.py provision` wrote for this machine: its keys and certificates "
        "(docs/provisioning.md). With it, orders, replies and what sites store are signed and sealed.",
        local=True,
    )
    SHARE_SCORES: ShareScores = setting(
        "counts",
        "What this site shares of the scores of its validation and test images, in addition to sums: counts "
        "by bins of the score and class (`counts`), label and rounded score of each image (`pairs`), or "
        "nothing (`none`).",
        local=True,
    )
