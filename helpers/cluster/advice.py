"""How to start the workers that a run needs, for messages to people."""

WORKER = "celery --app=celery_app worker --pool=solo --loglevel=info"
HOW_TO_START = (
    "start workers with `python run.py up --workers 3`, or each in its terminal with "
    f"`{WORKER} --hostname=worker1@%h`"
)
HOW_TO_START_AT_SITES = (
    f"start one for the averages with `{WORKER} --hostname=averaging@%h -Q aggregate`, "
    f"and one at each site with `DT_SITE=name {WORKER} --hostname=name@%h` (docs/sites.md)"
)


def how_to_start_at(site: str) -> str:
    """Return how to start the worker of a site."""
    return f"start it there with `DT_SITE={site} {WORKER} --hostname={site}@%h`"
