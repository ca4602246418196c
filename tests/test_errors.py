"""Names proposed for one that is not known."""

import pytest

from cptlab.errors import UserError, closest
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
