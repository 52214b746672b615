"""The page docs/configuration.md: `python -m helpers.settings.page > docs/configuration.md`."""

from helpers.federated.strategies import STRATEGIES
from helpers.global_config import Config
from helpers.settings.base import SettingsBase
from helpers.settings.names import RENAMED

PAGE = """\
# Settings

Generated from `helpers/global_config.py` by `python -m helpers.settings.page > docs/configuration.md`.

A setting has five sources, later ones winning: the default, a [recipe](recipes.md) (`--recipe NAME`), a TOML
file (`--config FILE`, settings by name), the environment (`DT_` and the name: `DT_EPOCHS=5`,
`DT_INPUT_SHAPE=[64,64]`; the broker from `REDIS_URL`) and the command line (`--epochs 5`). `REDIS_URL`,
`WEIGHT_STORE`, `NAMESPACE` and `DEPLOYMENT` are no options: workers need them too, and other users of a
machine can read a command line. A wrong name or value ends the command with one line and exit status 2.

## Settings of a run

These travel with the run: every worker uses the values of the orchestrator.

{of_runs}
## Settings of a machine

Every machine has its own values, which do not travel with a run.

{of_machines}
## Renamed settings

The former names still work.

{renamed}"""
HEAD = "| setting | type | default | range | unit | meaning |\n|---|---|---|---|---|---|\n"


def configuration_page(settings: type[SettingsBase]) -> str:
    """Return the text of docs/configuration.md."""
    tables = {False: HEAD, True: HEAD}
    for name in settings.model_fields:
        about = settings.describe(name)
        text = about.text + _readers(name)
        cells = (name, about.type, f"`{about.default}`", about.range, about.unit, text)
        tables[about.is_local] += f"| {' | '.join(cells)} |\n"
    renamed = "| former name | name |\n|---|---|\n"
    renamed += "".join(f"| {former} | {current} |\n" for former, current in RENAMED.items())
    return PAGE.format(of_runs=tables[False], of_machines=tables[True], renamed=renamed)


def _readers(name: str) -> str:
    """Return which strategies read a setting, if only some do."""
    readers = [f"`{strategy}`" for strategy, kind in STRATEGIES.items() if name in kind.reads]
    return f" Read by {', '.join(readers)}." if readers else ""


if __name__ == "__main__":
    print(configuration_page(Config), end="")
