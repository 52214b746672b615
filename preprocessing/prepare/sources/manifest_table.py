"""manifest.csv as text: its encoding, its delimiter, and which columns name the file and the patient."""

import csv
import difflib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from preprocessing.errors import PreprocessingError, name_some

MANIFEST = "manifest.csv"
DELIMITERS = ",;\t|"
ENCODINGS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
MISTAKEN_SUFFIXES = (".tsv", ".txt", ".csv.txt", ".xlsx", ".xls", ".ods")
FILE_NAMES = """
file files filename filenames filepath image images imagefile imagefilename imagename imagepath img imgname
imgpath path picture datei dateiname bild fichier archivo imagen
"""
PATIENT_NAMES = """
patient patients patientid patientids patientno patientnr patientnum patientnumber patientname patientkey
patientcode pid subject subjects subjectid subjectno subjectnumber subjectname case cases caseid caseno
casenumber person personid participant participantid individual individualid mrn paciente patientennummer
patientenid
"""
USUAL_NAMES = {
    "file": FILE_NAMES.split(),
    "patient": PATIENT_NAMES.split(),
    "label": ["label"],
    "split": ["split"],
}
"""Names of a column by its meaning, in lower case without spaces and punctuation."""
SUSPECTS = ("patient", "subject", "participant")
ATTRIBUTES = (
    *(
        "age",
        "sex",
        "gender",
        "birth",
        "dob",
        "weight",
        "height",
        "race",
        "ethnic",
        "position",
        "orientation",
    ),
    *("history", "comment", "status", "size", "country", "zip", "bmi"),
)
"""What a column such as `patient_age` says about a patient without naming the patient."""
CLOSE = 0.75  # likeness of two names by difflib


@dataclass(frozen=True)
class Table:
    """The rows of manifest.csv.

    Attributes:
        names: the columns. Those for file, patient, label and split have these names.
        rows: the fields of each row, in order of the names.
        notes: what was assumed, for the user.
    """

    names: list[str]
    rows: list[list[str]]
    notes: list[str]


def find_manifest(folder: Path) -> Path:
    """Return the path of manifest.csv in a folder, whether or not it exists, in any capitalization.

    Raises:
        PreprocessingError: there are two, or only a file such as manifest.xlsx.
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    exact = [name for name in names if name.casefold() == MANIFEST]
    if len(exact) > 1:
        raise PreprocessingError(f"{folder}: has {' and '.join(exact)}; keep one")
    mistaken = [
        name for name in names if name.casefold() in {f"manifest{suffix}" for suffix in MISTAKEN_SUFFIXES}
    ]
    if mistaken and not exact:
        raise PreprocessingError(
            f"{folder / mistaken[0]}: did you mean {MANIFEST}? Save it under that name, or move it away"
        )
    return folder / (exact[0] if exact else MANIFEST)


def read_table(manifest: Path) -> Table:
    """Read manifest.csv with any usual encoding, delimiter and names of columns.

    Raises:
        PreprocessingError: not a table, no column for the file, or one that may be meant differently.
    """
    text, notes = _decode(manifest)
    lines = list(io.StringIO(text, newline=""))
    while lines and (not lines[0].strip() or lines[0].startswith("sep=")):  # a line of Excel
        lines.pop(0)
    delimiter = _delimiter(lines[0]) if lines else ","
    try:
        parsed = [
            row for row in csv.reader(lines, delimiter=delimiter, strict=True) if any(map(str.strip, row))
        ]
    except csv.Error as error:
        raise PreprocessingError(f"{manifest}: {error}; save it as a UTF-8 CSV file") from None
    if not parsed:
        raise PreprocessingError(f"{manifest}: is empty; add a header with a column file, or remove it")
    header = [name.strip() for name in parsed[0]]
    names, renamed = _name_columns(manifest, header)
    return Table(names, list(_rows(manifest, header, parsed[1:])), notes + renamed)


def _decode(manifest: Path) -> tuple[str, list[str]]:
    data = manifest.read_bytes()
    encoding = next((name for mark, name in ENCODINGS.items() if data.startswith(mark)), "utf-8")
    notes = []
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise PreprocessingError(f"{manifest}: {error}; save it as a UTF-8 CSV file") from None
        text = data.decode("cp1252", errors="replace")
        if "\ufffd" in text:
            text = data.decode("latin-1")
        notes = [f"{manifest.name} is not UTF-8; read as Latin-1 (Windows-1252). Check names with accents"]
    if "\0" in text:
        raise PreprocessingError(f"{manifest}: is not text in UTF-8 or UTF-16; save it as a UTF-8 CSV file")
    return text, notes


def _delimiter(line: str) -> str:
    """Return the delimiter that makes the header most meaningful, and else the one that occurs most."""

    def rank(delimiter: str) -> tuple[int, int]:
        fields = next(csv.reader([line], delimiter=delimiter), [])
        known = {name for names in USUAL_NAMES.values() for name in names}
        return sum(_plain(field) in known for field in fields), len(fields)

    return max(DELIMITERS, key=rank)


def _name_columns(manifest: Path, header: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the columns' names with those of USUAL_NAMES made uniform, and notes for the user."""
    names, notes = list(header), []
    for meaning, usual in USUAL_NAMES.items():
        exact = [place for place, name in enumerate(header) if _plain(name) == meaning]
        places = exact or [place for place, name in enumerate(header) if _plain(name) in usual]
        if len(places) > 1:
            several = " and ".join(header[place] for place in places)
            raise PreprocessingError(
                f"{manifest}: the columns {several} may all mean the {meaning}; rename one to {meaning}, and "
                "remove or rename the others"
            )
        if places:
            names[places[0]] = meaning
            if header[places[0]] != meaning:
                notes.append(f"{manifest.name}: column {header[places[0]]} is taken as the {meaning}")
        elif near := [name for name in header if _is_near(name, meaning, usual)]:
            raise PreprocessingError(
                f"{manifest}: column {near[0]!r}: did you mean {meaning}? Rename it to {meaning}, or to "
                "another name if it is something else"
            )
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):
        raise PreprocessingError(
            f"{manifest}: has more than one column {name_some(repeated)}; rename or remove the others"
        )
    if "file" not in names:
        raise PreprocessingError(
            f"{manifest}: no column file among {', '.join(header)}; name the column with the images' paths "
            "file (0/image.png, …), or remove the manifest"
        )
    return names, notes


def _is_near(name: str, meaning: str, usual: Sequence[str]) -> bool:
    plain = _plain(name)
    if meaning == "patient":
        about = any(word in name.casefold() for word in ATTRIBUTES)
        if any(word in plain for word in SUSPECTS) or plain in ("id", "hospitalid", "studyid", "accession"):
            return not about
        usual = ("patient", "patientid", "subject", "subjectid")
    elif meaning == "file":
        usual = ("file", "filename", "image", "path", "filepath", "imageid")
    return bool(difflib.get_close_matches(plain, usual, 1, CLOSE))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _rows(manifest: Path, header: Sequence[str], rows: Sequence[list[str]]) -> Iterator[list[str]]:
    """Yield rows as long as the header.

    Raises:
        PreprocessingError: a row with more fields, such as a name with a comma.
    """
    for number, row in enumerate(rows, 2):
        if any(field.strip() for field in row[len(header) :]):
            raise PreprocessingError(
                f"{manifest}: row {number} has {len(row)} fields, the header has {len(header)}; put a field "
                'with a delimiter in quotes ("")'
            )
        yield [field.strip() for field in row[: len(header)]] + [""] * (len(header) - len(row))
