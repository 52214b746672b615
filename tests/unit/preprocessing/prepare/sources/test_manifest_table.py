import pytest

from preprocessing.errors import PreprocessingError
from preprocessing.prepare.sources.manifest_table import find_manifest, read_table

ROWS = [["file", "patient", "device"], ["0/a.png", "7", "Größe"], ["1/b.png", "8", "X"]]


def write(folder, rows=ROWS, delimiter=",", encoding="utf-8", mark=b"", before=""):
    path = folder / "manifest.csv"
    text = before + "\r\n".join(delimiter.join(row) for row in rows) + "\r\n"
    path.write_bytes(mark + text.encode(encoding))
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", b""), ("utf-8-sig", b""), ("utf-16", b""), ("utf-16-be", b"\xfe\xff"), ("cp1252", b"")],
)
def test_usual_delimiters_and_encodings_give_the_same_table(tmp_path, delimiter, encoding, mark):
    table = read_table(write(tmp_path, delimiter=delimiter, encoding=encoding, mark=mark))
    assert [table.names, *table.rows] == ROWS
    assert [note for note in table.notes if "Latin-1" in note] == table.notes
    assert bool(table.notes) == (encoding == "cp1252")


def test_the_first_line_of_excel_and_blank_lines_are_passed_over(tmp_path):
    rows = [*ROWS[:2], ["", "", ""], ROWS[2]]
    table = read_table(write(tmp_path, rows, ";", before="sep=;\r\n\r\n"))
    assert [table.names, *table.rows] == ROWS


@pytest.mark.parametrize("file", ["File", "FILENAME", "file_name", "Image", "image path", " path "])
@pytest.mark.parametrize(
    "patient", ["Patient", "patient_id", "PatientID", "Patient ID", "subject", "Subject-Id", "case", "CaseID"]
)
def test_usual_names_of_columns_are_taken_and_told(tmp_path, file, patient):
    table = read_table(write(tmp_path, [[file, patient, "device"], *ROWS[1:]]))
    assert table.names == ["file", "patient", "device"]
    assert f"column {patient} is taken as the patient" in " ".join(table.notes)
    assert f"column {file.strip()} is taken as the file" in " ".join(table.notes)


def test_the_exact_name_precedes_the_others(tmp_path):
    table = read_table(write(tmp_path, [["case", "patient", "image", "file"], ["1", "2", "3", "a.png"]]))
    assert table.names == ["case", "patient", "image", "file"]
    assert table.notes == []


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["name", "patient"], "no column file among name, patient"),
        (["device", "site"], "no column file"),
        (["fiel", "patient"], "did you mean file"),
        (["image_id", "patient"], "did you mean file"),
        (["file", "pateint"], "'pateint': did you mean patient"),
        (["file", "Patients' code no."], "did you mean patient"),
        (["file", "id"], "did you mean patient"),
        (["file", "labels"], "did you mean label"),
        (["file", "splits"], "did you mean split"),
        (["file", "subject", "case"], "subject and case may all mean the patient"),
        (["file", "File"], "file and File may all mean the file"),
    ],
)
def test_other_columns_are_asked_about(tmp_path, header, message):
    with pytest.raises(PreprocessingError, match=message):
        read_table(write(tmp_path, [header, ["a.png", "7"] + ["8"] * (len(header) - 2)]))


def test_attributes_of_patients_are_ordinary_columns(tmp_path):
    header = ["file", "patient_age", "Patient Sex", "site", "PatientBirthDate"]
    assert read_table(write(tmp_path, [header])).names == header


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (";\u00a0\n".encode(), "is empty"),
        ("file,patient\n".encode("utf-16-le"), "not text in UTF-8"),
        (b"file,patient\na,b.png,7\n", "row 2 has 3 fields, the header has 2"),
        (b'file,patient\n"a.png,7\n', "save it as a UTF-8 CSV"),
        (b"\xff\xfe\x00\xd8\x00", "save it as a UTF-8 CSV"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, message):
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(PreprocessingError, match=message):
        read_table(tmp_path / "manifest.csv")


def test_the_name_of_the_file_may_be_in_capitals_but_not_another(tmp_path):
    assert find_manifest(tmp_path) == tmp_path / "manifest.csv"
    (tmp_path / "manifest.tsv").touch()
    with pytest.raises(PreprocessingError, match=r"manifest.tsv: did you mean manifest.csv"):
        find_manifest(tmp_path)
    (tmp_path / "Manifest.CSV").touch()
    assert find_manifest(tmp_path).name == "Manifest.CSV"
    (tmp_path / "manifest.csv").touch()
    with pytest.raises(PreprocessingError, match="keep one"):
        find_manifest(tmp_path)
