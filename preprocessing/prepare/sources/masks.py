"""Masks among the images, recognized by their names: outlines of lesions that must not be trained on."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

SURE = {"mask", "masks", "segmentation", "segmentations", "groundtruth", "groundtruths"}
LIKELY = SURE | {
    *("gt", "gts", "seg", "segs", "roi", "rois", "label", "labels", "annotation", "annotations", "anno"),
    *("contour", "contours", "outline", "outlines", "overlay", "overlays", "lesion", "tumor", "tumour"),
    *("segmented", "annotated"),
}
"""Words that name a mask for certain, and words that name one if the image of that name exists, too."""


def find_masks(files: Sequence[str]) -> list[str]:
    """Return the files that are masks, sorted.

    `masks/x.png`, `benign_masks/x.png` and `x_mask_1.png` are masks. `x_seg.png` and `labels/x.png` are masks
    if there is an image `x.png`, with any suffix.

    Args:
        files: paths of images, relative to one folder.
    """
    stems: dict[str, set[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        stems.setdefault(path.stem.casefold(), set()).add(path.parent.as_posix())
    return sorted(file for file in files if _is_mask(PurePosixPath(file), stems))


def is_mask_name(name: str) -> bool:
    """Return whether a file or folder is a mask by its name alone."""
    return _ends_in(_words(name), SURE) or _words(name)[:1] in ([word] for word in SURE)


def _is_mask(path: PurePosixPath, stems: dict[str, set[str]]) -> bool:
    if is_mask_name(path.stem) or any(is_mask_name(part) for part in path.parent.parts):
        return True
    if (base := _base(path.stem)) and path.parent.as_posix() in stems.get(base, ()):
        return True
    # Folders such as `labels`, where another folder has an image of the same name.
    for place, part in enumerate(path.parent.parts):
        if _ends_in(_words(part), LIKELY):
            within = "/".join(path.parent.parts[:place]) or "."
            for stem in (path.stem.casefold(), base):
                if any(_is_below(other, within) and not _is_likely(other) for other in stems.get(stem, ())):
                    return True
    return False


def _is_below(folder: str, root: str) -> bool:
    return root == "." or folder == root or folder.startswith(f"{root}/")


def _is_likely(folder: str) -> bool:
    return any(_ends_in(_words(part), LIKELY) for part in PurePosixPath(folder).parts)


def _words(name: str) -> list[str]:
    """Split a name into lower-case words; `GroundTruth` and `ground_truth` are one."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W_]+", apart)
    return re.sub(r"\bground truth", "groundtruth", " ".join(words).casefold()).split()


def _ends_in(words: list[str], meanings: set[str]) -> bool:
    while words and words[-1].isdecimal():
        words = words[:-1]
    return bool(words) and words[-1].rstrip("0123456789") in meanings


def _base(stem: str) -> str:
    """Return the name before a word such as `_seg` or `_gt1`, lower case; empty if there is none."""
    end = re.fullmatch(r"(.+?)[\s_.-]+([a-z]+)[\s_-]*\d*", stem.casefold())
    return end[1] if end and end[2] in LIKELY else ""
