"""The turns before an utterance, out of a table's columns dialogue, turn and speaker."""

import pytest

from emobraid.config import ModelConfig
from emobraid.data.csv import read_rows

DIALOGUES = """id,text,dialogue,turn,speaker,emotion
c,third,d1,10,Ross,happy
x,elsewhere,d2,1,Joey,sad
a,first,d1,2,Monica,happy
none,alone,,,Gunther,sad
b,second,d1,9,Ross,sad
mute,,d1,9.5,Chandler,sad
y,elsewhere too,d2,2,,sad
"""


def dialogue_rows(folder, table, turns):
    (folder / "train.csv").write_text(table)
    return {s.id: s for s in read_rows(folder / "train.csv", ModelConfig(modalities=("text",), context_turns=turns))}


def test_turns_before_are_those_of_the_dialogue_by_number_not_by_row(tmp_path):
    rows = dialogue_rows(tmp_path, DIALOGUES, 5)
    # the turn without words says nothing; 9 comes before 10
    assert rows["c"].context == (("Monica", "first"), ("Ross", "second"))
    assert rows["b"].context == (("Monica", "first"),)
    assert rows["mute"].context == (("Monica", "first"), ("Ross", "second"))
    assert rows["y"].context == (("Joey", "elsewhere"),)
    assert rows["a"].context == rows["x"].context == rows["none"].context == ()
    assert [rows[i].speaker for i in ("c", "x", "a", "none", "y")] == ["Ross", "Joey", "Monica", "Gunther", ""]


def test_as_many_turns_as_are_asked_for(tmp_path):
    assert dialogue_rows(tmp_path, DIALOGUES, 1)["c"].context == ()  # the one before was without words
    assert dialogue_rows(tmp_path, DIALOGUES, 2)["c"].context == (("Ross", "second"),)
    assert dialogue_rows(tmp_path, DIALOGUES, 3)["c"].context == (("Monica", "first"), ("Ross", "second"))


def test_without_context_turns_nobody_is_named_and_no_column_is_needed(tmp_path):
    rows = dialogue_rows(tmp_path, DIALOGUES, 0)
    assert {(s.speaker, s.context) for s in rows.values()} == {("", ())}
    assert len(dialogue_rows(tmp_path, "id,text,emotion\n1,hi,sad\n", 0)) == 1


@pytest.mark.parametrize(
    ("header", "missing"),
    [("text,emotion", "dialogue, turn"), ("text,turn,emotion", "dialogue"), ("text,dialogue,emotion", "turn")],
)
def test_context_needs_columns_and_says_which(tmp_path, header, missing):
    row = ",".join("1" for _ in header.split(","))
    with pytest.raises(ValueError, match="context_turns") as refused:
        dialogue_rows(tmp_path, f"{header}\n{row}\n", 2)
    table = tmp_path / "train.csv"
    assert str(refused.value) == f"{table}: context_turns needs columns dialogue and turn; missing {missing}"


def test_a_turn_that_is_no_number_is_named_with_its_line(tmp_path):
    with pytest.raises(ValueError, match=r"train\.csv line 3: turn 'two' is not a number$"):
        dialogue_rows(tmp_path, "text,dialogue,turn,emotion\nhi,d,1,sad\nho,d,two,sad\n", 2)
