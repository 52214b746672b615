"""Sections of a run's report: the values of each, or a sentence on why it is empty."""

from collections.abc import Callable, Sequence
from typing import Any

from helpers.evaluation.operating_points import chosen_thresholds, operating_points
from helpers.reporting import curves, operating_curves, tables
from helpers.reporting.calibration import draw_calibration
from helpers.reporting.case_panels import panels
from helpers.reporting.cautions import cautions
from helpers.reporting.decision_curve import draw_decision_curve
from helpers.reporting.groups import describe_worst, draw_forest
from helpers.reporting.run_files import RunFiles, SplitScores
from helpers.reporting.shares import draw_shares
from helpers.reporting.timeline import draw_timeline

MOST_FINDINGS = 50
KINDS = {  # of findings, most serious first
    "copy_in_two_splits": "copy in another split",
    "patient_in_two_splits": "patient in two splits",
    "label_conflict": "in two classes",
    "exact_duplicate": "exact duplicate",
    "near_duplicate": "near duplicate",
    "cropped": "cropped to the breast",
}
LATER = "is added with the test, after the last round."

Section = dict[str, Any]


class NothingToShow(Exception):
    """A section has no data; the message is shown instead."""


def all_sections(files: RunFiles) -> dict[str, Section]:
    """Return every section by name. One without usable files has only the sentence `missing`."""
    return some_sections(files, tuple(BUILDERS))


def some_sections(files: RunFiles, names: Sequence[str]) -> dict[str, Section]:
    """Return the sections of these names; see `all_sections`."""
    return {name: _built(BUILDERS[name], files) for name in names}


def _built(build: Callable[[RunFiles], Section], files: RunFiles) -> Section:
    try:
        return {"missing": None, **build(files)}
    except NothingToShow as reason:
        return {"missing": str(reason)}
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return {"missing": f"The files of this section are not as expected: {type(error).__name__}: {error}"}


def headline(files: RunFiles) -> Section:
    rounds, test = files.rounds, files.test
    planned = files.settings.get("EPOCHS")
    return {
        "is_finished": files.is_finished,
        "done": len(rounds),
        "planned": planned,
        "best_round": files.best_round,
        "best_validation_auc": files.best_auc,
        "is_ema": files.is_ema,
        "test": test,
        "seconds": rounds["seconds"].sum(),
        "how_chosen": files.how_threshold_was_chosen,
        "privacy": tables.privacy(files.settings, files.rounds),
        "megabytes": rounds[["bytes_down", "bytes_up", "state_bytes"]].sum().sum() / 1e6,
    }


def warnings(files: RunFiles) -> Section:
    return {"sentences": cautions(files)}


def rounds(files: RunFiles) -> Section:
    if not len(files.rounds):
        raise NothingToShow("No round is finished yet.")
    headers, rows = tables.round_rows(files.rounds)
    pictures = [
        curves.draw_auc(files.rounds, files.clients, files.best_round, is_binary=files.is_binary),
        curves.draw_losses(files.rounds, files.clients, is_binary=files.is_binary),
        curves.draw_rates(files.rounds)
        if files.is_binary
        else curves.draw_class_recalls(files.rounds, files.classes),
        curves.draw_calibration_errors(files.rounds),
    ]
    return {"pictures": pictures, "headers": headers, "rows": rows}


def decisions(files: RunFiles) -> Section:
    """Return ROC, precision-recall and calibration curves, and the confusion matrix."""
    name, split = _scored_split(files)
    if len(set(split.labels)) < 2:
        raise NothingToShow(f"The {name} images are all of one class: no curve can be drawn.")
    if files.is_binary:
        pictures = [
            operating_curves.draw_roc(split, name, files.test),
            operating_curves.draw_precision_recall(split, name, files.test),
            draw_decision_curve(split, name, files.class_names[1]),
        ]
    else:
        pictures = [
            operating_curves.draw_class_rocs(split, name, files.class_names),
            operating_curves.draw_class_precision_recalls(split, name, files.class_names),
        ]
    return {
        "split": name,
        "pictures": [*pictures, draw_calibration(split, name, files.class_names)],
        "threshold": files.threshold,
        "confusion": tables.confusion_rows(split, files.threshold, files.class_names),
        "has_patients": bool(files.data.get("patients")),
        **(_points(files, name, split) if files.is_binary else {"points": []}),
    }


def _points(files: RunFiles, name: str, split: SplitScores) -> Section:
    """Return the operating points of a split, and the split on whose images the thresholds were chosen."""
    validation = files.scores.get("val")
    has_classes = validation is not None and len(set(validation.labels)) == 2
    chosen_on = validation if validation is not None and has_classes else split
    others = chosen_thresholds(chosen_on.labels, chosen_on.scores)
    return {
        "points": operating_points(split.labels, split.scores, files.threshold, others),
        "chosen_on": tables.SPLITS["val"] if chosen_on is validation else name,
    }


def _scored_split(files: RunFiles) -> tuple[str, SplitScores]:
    for split in ("test", "val"):
        if split in files.scores:
            return tables.SPLITS[split], files.scores[split]
    raise NothingToShow(f"This {LATER}" if not files.is_finished else "scores.npz contains no scores.")


def test(files: RunFiles) -> Section:
    if not files.is_finished:
        raise NothingToShow(f"This {LATER}")
    return {
        "metrics": tables.test_metrics(files.test),
        "row": files.test,
        "by_class": tables.class_rows(files.test_classes),
        "last": _last_round(files),
    }


def _last_round(files: RunFiles) -> dict[str, float] | None:
    """Return the AUCs of the last round's model, and by how much the best one differs on the test.

    None if the last one is the best, or was not tested.
    """
    auc = files.best.get("test_roc_auc_of_last")
    if not isinstance(auc, float):
        return None
    last = files.rounds.iloc[-1]
    return {
        "round": last["round"], "validation_auc": last["roc_auc"], "test_auc": auc,
        "gain": files.test["roc_auc"] - auc,
    }  # fmt: skip


def clients(files: RunFiles) -> Section:
    if not len(files.clients):
        raise NothingToShow("No client has reported yet.")
    return {"rows": tables.client_rows(files), "have_own_images": bool(files.state.get("sites"))}


def sites(files: RunFiles) -> Section:
    if not len(files.sites_table):
        raise NothingToShow("Only the sites of a run with DATA_AT=sites test models on their own images.")
    return {"rows": files.sites_table.to_dict("records")}


def groups(files: RunFiles) -> Section:
    """Return the metrics of groups on each split, test first, and the columns that make none."""
    if not len(files.groups):
        raise NothingToShow("No columns of manifest.csv were kept with the images of this run.")
    records = files.groups.to_dict("records")
    parts = []
    for split in ("test", "val"):
        rows = [row for row in records if row["split"] == split]
        if len(rows) > 1:
            name = tables.SPLITS[split]
            picture, worst = draw_forest(rows, name), describe_worst(rows)
            parts.append({"split": name, "picture": picture, "worst": worst, "rows": rows})
    return {"parts": parts, "skipped": [row for row in records if not row["split"]]}


def timeline(files: RunFiles) -> Section:
    if not len(files.rounds) or not files.clients["started_at"].notna().any():
        raise NothingToShow("The start times of the clients are not recorded in this run.")
    picture, first = draw_timeline(
        files.rounds, files.clients.assign(client=files.clients["client"].map(files.name_of))
    )
    return {"pictures": [picture], "first": first, "is_cut": first > files.rounds["round"].min()}


def cases(files: RunFiles) -> Section:
    if not files.cases:
        raise NothingToShow(f"This {LATER}" if not files.is_finished else "This run has no recorded cases.")
    shown = panels(files.cases, files.class_names)
    return {kind: [panel for panel in shown if panel.kind == kind] for kind in ("right", "wrong")}


def data(files: RunFiles) -> Section:
    if not files.data:
        raise NothingToShow("The data are not recorded in this run.")
    shares = [draw_shares(files.partition, files.class_names, files.sites)] if files.partition else []
    return {
        "source": files.data.get("source"),
        "how_split": tables.how_split(files.data),
        "how_divided": tables.how_divided(files.facts, files.settings),
        "left_out": files.data.get("left_out") or [],
        "digest": files.facts.get("data_digest"),
        "rows": tables.split_rows(files.data, len(files.class_names)),
        "pictures": shares,
    }


def audit(files: RunFiles) -> Section:
    counts = tables.audit_counts(files.data)
    if not counts and not len(files.audit):
        raise NothingToShow("The images were not audited for duplicates, or the audit has no findings.")
    by_severity = [*KINDS]
    findings = sorted(
        files.audit.to_dict("records"),
        key=lambda item: by_severity.index(item["kind"]) if item["kind"] in KINDS else len(KINDS),
    )[:MOST_FINDINGS]
    for finding in findings:
        finding["kind"] = KINDS.get(finding["kind"], finding["kind"])
    return {"counts": counts, "findings": findings, "further": len(files.audit) - len(findings)}


def settings(files: RunFiles) -> Section:
    if not files.settings:
        raise NothingToShow("The settings of this run are not recorded.")
    return {"rows": sorted(files.settings.items(), key=lambda item: item[0].upper())}


def versions(files: RunFiles) -> Section:
    if not files.versions:
        raise NothingToShow("The versions of this run are not recorded.")
    environment = files.facts.get("environment") or {}
    return {"rows": sorted({**files.versions, **environment}.items())}


BUILDERS: dict[str, Callable[[RunFiles], Section]] = {
    "headline": headline,
    "warnings": warnings,
    "test": test,
    "rounds": rounds,
    "decisions": decisions,
    "groups": groups,
    "cases": cases,
    "clients": clients,
    "sites": sites,
    "timeline": timeline,
    "data": data,
    "audit": audit,
    "settings": settings,
    "versions": versions,
}
