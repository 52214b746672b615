"""The runs of the study. Finished ones are skipped, begun ones are resumed."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.pipeline import NOTHING, Pipeline
from benchmarks.watching import CommandFailed
from commands import training_options
from helpers.global_config import Config
from helpers.launcher.child_processes import start_apart, stop_all
from helpers.run_records.files import RunFolders
from helpers.run_records.resume import is_finished
from helpers.settings.command_line import config_from_arguments
from preprocessing.feed.run_data import with_data_settings
from studies.cases import COMMON, Case
from studies.images import Images
from studies.lies import APP, VARIABLE
from studies.outcomes import Outcome, read_outcome

MOST_WORKERS = 4
TAIL_LINES = 15


class Study:
    """The runs in one folder.

    Args:
        folder: receives metrics/, models/, logs/ and workers/.
        images: of all trainings.
        rounds: of every run.
        on_progress: receives one line.
        common: options of every training; cases add theirs.
        environment: further variables of the workers and the command.

    Attributes:
        folder, images, rounds, common: the arguments.
    """

    def __init__(
        self, folder: Path, images: Images, rounds: int, on_progress: Callable[[str], None],
        common: Sequence[str] = COMMON, environment: Mapping[str, str] = NOTHING,
    ) -> None:  # fmt: skip
        self.folder = folder.resolve()
        self.images = images
        self.rounds = rounds
        self.common = tuple(common)
        self._environment = dict(environment)
        self._on_progress = on_progress
        self._expected = self._finished = 0

    def expect(self, count: int) -> None:
        """Set the number of runs, for lines of progress."""
        self._expected, self._finished = count, 0

    def run_cases(self, seed: int, cases: Sequence[Case]) -> None:
        """Train the missing cases, with new workers for each attack.

        Raises:
            UserError: a finished run has other settings.
            CommandFailed: a training ended with an error. The runs before it are kept.
        """
        missing = [case for case in cases if not self.is_finished(seed, case)]
        self._finished += len(cases) - len(missing)
        for lie in dict.fromkeys(case.lie for case in missing):
            workers = self.folder / "workers" / f"seed-{seed}-{lie or 'honest'}"
            shutil.rmtree(workers, ignore_errors=True)
            places = {"DT_METRICS_DIR": self._places.metrics, "DT_MODELS_DIR": self._places.models}
            environment = {name: str(place) for name, place in places.items()}
            environment |= self._environment | ({VARIABLE: lie} if lie else {})
            app = APP if lie else "celery_app"
            count = min(MOST_WORKERS, os.cpu_count() or 1)
            place = self.images.prepared(seed).folder
            with Pipeline(workers, place, count, app=app, more=environment) as pipeline:
                for case in (case for case in missing if case.lie == lie):
                    self._train(pipeline.environment, seed, case)

    def is_finished(self, seed: int, case: Case) -> bool:
        """Return whether a run is finished.

        Raises:
            UserError: it is, with other settings.
        """
        data = self.images.prepared(seed)
        asked = config_from_arguments(Config, training_options.parse(self._options(seed, case)))
        config = with_data_settings(asked, data)  # as the training itself has it
        return is_finished(self._folders(seed, case), config.for_run(), data.digest)

    def _options(self, seed: int, case: Case) -> list[str]:
        """Return the options of the training command, without the name of the run."""
        shape = ",".join(map(str, self.images.input_shape))
        common = [*self.common, "--epochs", str(self.rounds), "--input-shape", shape, "--seed", str(seed)]
        return [*common, *case.options]

    def _train(self, environment: Mapping[str, str], seed: int, case: Case) -> None:
        """Train one case to its end, from its last round if it was begun."""
        run, began = run_name(seed, case), time.monotonic()
        is_begun = self._folders(seed, case).state.exists()
        begin = ["--resume", run] if is_begun else ["--run", run, "--overwrite"]
        command = [sys.executable, "distributed_training_index.py", *begin, *self._options(seed, case)]
        log = self.folder / "logs" / f"{run}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = start_apart(command, output, environment)
            try:
                status = process.wait()
            finally:  # after Ctrl-C the training can be resumed
                stop_all([process])
        if status:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
            raise CommandFailed(f"{run}: status {status}; {log} ends with\n{last}")
        validation = self.outcome(seed, case).best_validation
        self._finished += 1
        took = f"{time.monotonic() - began:.0f} s, validation AUC {validation:.3f}"
        self._on_progress(f"{time.strftime('%H:%M')} {self._finished} of {self._expected}  {run}: {took}")

    def outcome(self, seed: int, case: Case) -> Outcome:
        """Return the outcome of a finished run.

        Raises:
            RecordError: the run is not finished.
        """
        return read_outcome(self._places.metrics, self._places.models, run_name(seed, case), seed, case.title)

    @property
    def _places(self) -> RunFolders:
        """The folders that hold those of every run."""
        return RunFolders(self.folder / "metrics", self.folder / "models")

    def _folders(self, seed: int, case: Case) -> RunFolders:
        run = run_name(seed, case)
        return RunFolders(self._places.metrics / run, self._places.models / run)


def run_name(seed: int, case: Case) -> str:
    return f"seed-{seed}-{case.name}"
