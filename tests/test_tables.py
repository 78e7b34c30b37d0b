"""Tables as people have them: one bad line costs that line, other separators are read, other files are named."""

import unicodedata

import pytest

from corpora import refusal
from emobraid.config import ModelConfig
from emobraid.data.csv import BadRow, CsvRows, read_rows, read_unlabelled
from emobraid.data.splitting import split_table
from emobraid.data.tables import every_record, layout_of

TEXT = ModelConfig(modalities=("text",))
QUOTE = "a quote is not closed, or is followed by something; write quotes inside a quoted cell twice"
MANY = "more cells than columns; quote texts with commas"


def rows(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(line, row if isinstance(row, str) else list(row.values())) for line, row in every_record(path)]


CASES = {
    "escaped by a backslash": (
        'text\n"I am happy"\n"She said \\"oh, no\\" and left"\n"I am sad"\n"I am angry"\n',
        [(2, ["I am happy"]), (3, QUOTE), (4, ["I am sad"]), (5, ["I am angry"])],
    ),
    "begins with a quoted word": (
        'text\nI am happy\n"Stop!" she said\nI am sad\n"Never," he said, "ever"\n',
        [(2, ["I am happy"]), (3, QUOTE), (4, ["I am sad"]), (5, QUOTE)],
    ),
    "a comma in the first row": ("text\nI am happy, really\nI am sad\n", [(2, MANY), (3, ["I am sad"])]),
    "a quote that is never closed": ('text,id\n"open,1\nb,2\nc,3\n', [(2, QUOTE), (3, ["b", "2"]), (4, ["c", "3"])]),
    "a quote that another row closes": (
        'text,id\n"open,1\nb,2\n"c",3\nd,4\n',
        [(2, QUOTE), (3, ["b", "2"]), (4, ["c", "3"]), (5, ["d", "4"])],
    ),
    "a cell that is too long": (
        f"text,id\n{'x' * 140_000},1\nb,2\n",
        [(2, "a cell is longer than 131,072 characters"), (3, ["b", "2"])],
    ),
    "rows of nothing": ("text,id\na,1\n,,,,\n , \n\nb,2,,\n", [(2, ["a", "1"]), (6, ["b", "2"])]),
    "a byte of another encoding": (
        b"text,id\n" + b"a,1\n" * 20 + b"caf\xe9,2\nb,3\n",
        [
            *((n, ["a", "1"]) for n in range(2, 22)),
            (22, "not UTF-8 at byte 91; save the table as UTF-8"),
            (23, ["b", "3"]),
        ],
    ),
    "line breaks inside quotes": ('text,id\n"a\nb",1\nc,2\n', [(3, ["a\nb", "1"]), (4, ["c", "2"])]),
    "Windows line ends": ("text,id\r\na,1\r\nb,2\r\n", [(2, ["a", "1"]), (3, ["b", "2"])]),
    "old Macintosh line ends": ("text,id\ra,1\rb,2\r", [(2, ["a", "1"]), (3, ["b", "2"])]),
    "short rows": ("text,id\na\n", [(2, ["a", ""])]),
    "a form feed inside a text": ("text,id\na\x0cb,1\n", [(2, ["a\x0cb", "1"])]),
}


@pytest.mark.parametrize("case", CASES)
def test_one_bad_line_costs_that_line_only(tmp_path, case):
    content, wanted = CASES[case]
    assert rows(tmp_path, content) == wanted


@pytest.mark.parametrize("case", ["escaped by a backslash", "begins with a quoted word", "a comma in the first row"])
def test_predicting_a_table_goes_on_behind_a_bad_line_and_tells_it(tmp_path, command, case):
    content, wanted = CASES[case]
    path = tmp_path / "t.csv"
    path.write_text(content)
    bad = [line for line, row in wanted if isinstance(row, str)]
    code, out, err = command("predict", "--csv", path, "--model_path", "emobraid/compact")
    assert code == 1
    assert len(out.splitlines()) == len(wanted)
    assert f"{len(wanted) - len(bad)} rows read, {len(bad)} failed" in err
    assert all(f"t.csv line {line}: " in err for line in bad)


def test_training_names_file_and_line_of_the_first_bad_one(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text('text,emotion\na,sad\n"Stop!" she said,happy\n')
    assert refusal(lambda: list(read_rows(path, TEXT))) == f"{path} line 3: {QUOTE}"


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("text;audio_path\nI am happy, really;a.wav\nI am sad;\n", "t.csv: cells are separated by semicolons"),
        ('"text";"audio_path"\n"I am happy, really";"a.wav"\n"I am sad"\n', "t.csv: cells are separated by semicolons"),
        ("sep=;\ntext;audio_path\nI am happy, really;a.wav\nI am sad;\n", "t.csv: cells are separated by semicolons"),
        ("sep=,\ntext,audio_path\n\"I am happy, really\",a.wav\nI am sad,\n", ""),
        ("text\taudio_path\nI am happy, really\ta.wav\nI am sad\t\n", "t.csv: cells are separated by tabs"),
        ("\ufefftext|audio_path\r\nI am happy, really|a.wav\r\nI am sad|\r\n", "t.csv: cells are separated by bars"),
        ("text,audio_path\n\"I am happy, really\",a.wav\nI am sad,\n", ""),
    ],
    ids=["semicolons", "quoted", "sep=;", "sep=,", "tabs", "bars", "commas"],
)  # fmt: skip
def test_other_separators_are_read_with_a_note(tmp_path, content, note):
    assert [row for _, row in rows(tmp_path, content)] == [["I am happy, really", "a.wav"], ["I am sad", ""]]
    assert layout_of(tmp_path / "t.csv").note == note


def test_semicolons_are_told_in_training_and_in_predicting(tmp_path, command):
    (tmp_path / "train.csv").write_text("text;emotion\na;sad\n")
    assert CsvRows(root=tmp_path, config=TEXT).notes("train") == ("train.csv: cells are separated by semicolons",)
    code, _, err = command("predict", "--csv", tmp_path / "train.csv", "--model_path", "emobraid/compact")
    assert (code, err.splitlines()[0]) == (0, "note: train.csv: cells are separated by semicolons")


def test_a_text_with_semicolons_does_not_make_them_separators(tmp_path):
    assert rows(tmp_path, "text\na; b\nc; d\n") == [(2, ["a; b"]), (3, ["c; d"])]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"PK\x03\x04\x14\0", "an Excel workbook (.xlsx) or another zip archive; save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel workbook (.xls); save it as CSV"),
        (b"RIFF\x24\x08\0\0WAVE", "a WAV or AVI file; --audio and --video take those"),
        ("text\na\n".encode("utf-16"), "UTF-16, not UTF-8; save the table as UTF-8"),
        (b"%PDF-1.7", "a PDF; save its table as CSV"),
    ],
)
def test_what_is_no_table_is_called_what_it_is(tmp_path, head, said):
    assert refusal(lambda: rows(tmp_path, head)) == f"{tmp_path / 't.csv'}: no CSV table but {said}"


@pytest.mark.parametrize("header", ["text,text,audio_path", "text,emotion,text", "emotion, text ,text", "text;a;text"])
def test_a_column_that_is_there_twice_is_refused_everywhere(tmp_path, header):
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\nI am so happy,I am so angry,\n")
    told = f"{path}: column text is there twice; take one of them out, or rename it"
    assert refusal(lambda: list(read_unlabelled(path, TEXT))) == told
    assert refusal(lambda: list(read_rows(path, TEXT))) == told
    assert refusal(lambda: split_table(path, tmp_path / "out", by="row")) == told


def test_columns_without_a_name_are_no_column_twice(tmp_path):
    assert rows(tmp_path, "text,,\na,,\n") == [(2, ["a", ""])]


@pytest.mark.parametrize(
    ("lies", "named"),
    [
        ("audio/happy.wav", "audio\\happy.wav"),
        ("audio/happy.wav", "Audio/Happy.WAV"),
        (unicodedata.normalize("NFD", "audio/süß.wav"), unicodedata.normalize("NFC", "audio/süß.wav")),
        (unicodedata.normalize("NFC", "audio/süß.wav"), unicodedata.normalize("NFD", "audio\\SÜSS.wav")),
        ("audio/a b.wav", "AUDIO\\A B.wav"),
    ],
)
def test_a_file_is_found_whose_name_another_system_wrote(tmp_path, lies, named):
    file = tmp_path / lies
    file.parent.mkdir()
    file.touch()
    (tmp_path / "t.csv").write_text(f"text,audio_path\na,{named}\n")
    [row] = read_unlabelled(tmp_path / "t.csv", ModelConfig(modalities=("text", "audio")))
    assert row.cells["audio"] == file.resolve()


def test_a_name_that_could_be_two_files_is_neither_and_none_leads_outside(tmp_path):
    inside = tmp_path / "data"
    inside.mkdir()
    for name in ("A.wav", "a.WAV"):
        (inside / name).touch()
    (tmp_path / "out.wav").touch()
    (inside / "t.csv").write_text("text,audio_path\na,a.wav\nb,..\\out.wav\nc,../out.wav\n")
    found = list(read_unlabelled(inside / "t.csv", ModelConfig(modalities=("text", "audio"))))
    assert found[0].cells["audio"] == inside.resolve() / "a.wav"  # which is not there, and is said so when it is read
    assert isinstance(found[2], BadRow)
    assert not found[1].cells["audio"].exists() if not isinstance(found[1], BadRow) else True
