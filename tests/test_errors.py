"""Names proposed for one that is not known."""

import pytest

from cptlab.errors import UserError, argument, closest, one_sentence
from cptlab.training.attention.choice import ATTENTIONS
from cptlab.training.machine import Machine


@pytest.mark.parametrize(
    ("given", "meant"),
    [("flash", "flash_attention_2"), ("flash_attention", "flash_attention_2"), ("attention_3", "flash_attention_3"),
     ("spda", "sdpa"), ("eag", "eager"), ("var", "varlen"), ("len", "varlen")],
)  # fmt: skip
def test_a_part_of_a_name_finds_it_as_a_misspelling_does(given, meant):
    words = closest(given, ATTENTIONS)
    assert words.startswith(f" Did you mean {meant}? (others: ")
    assert meant not in words.split("others: ")[1].strip(")").split(", ")


@pytest.mark.parametrize("given", ["", "a", "zzz"])
def test_what_is_near_to_none_is_told_all(given):
    assert closest(given, ["sdpa", "eager"]) == " Known: eager, sdpa."


def test_an_unknown_attention_is_told_the_nearest():
    with pytest.raises(UserError, match=r"machine\.attention is flash\. Did you mean flash_attention_2\?"):
        Machine(attention="flash")


def test_a_mistake_in_a_script_is_one_sentence_and_exit_code_2(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["answer.py", "runs/mine"])
    with one_sentence():
        assert argument(1, "the folder of the runs") == "runs/mine"
    with pytest.raises(SystemExit) as ended, one_sentence():
        argument(2, "the answer's place")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: answer.py needs the answer's place as its argument 2\n"
