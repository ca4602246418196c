"""`model.path` that leads nowhere: what was looked for, where, and what to give instead."""

import re

import pytest

from cptlab.errors import UserError
from cptlab.models.pretrained import Pretrained

WANTED = r"; give the folder of a Hugging Face model, a run folder of cptlab \(runs/<run_id>\), or the name of a model"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return re.escape(str(tmp_path))


def test_a_bare_name_is_looked_for_as_a_folder_and_at_the_hub(here):
    looked = (
        rf"model\.path: there is no folder {here}/nowhere, and as a name of the Hub nowhere \(revision main\) is not"
    )
    with pytest.raises(UserError, match=rf"{looked} in the cache /.*, and HF_HUB_OFFLINE forbids to fetch it{WANTED}"):
        Pretrained(path="nowhere").folder()


def test_a_misspelt_folder_is_told_the_one_beside_it(here, tmp_path):
    (tmp_path / "pythia-70m").mkdir()
    with pytest.raises(UserError, match=rf"there is no folder {here}/pythia70m \(Did you mean pythia-70m\?\), and as"):
        Pretrained(path="pythia70m").folder()
    with pytest.raises(UserError, match=rf"there is no folder {here}/pythia70m \(Did you mean pythia-70m\?\){WANTED}"):
        Pretrained(path="./pythia70m").folder()


def test_a_folder_without_a_model_and_a_file_are_told_apart(here, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UserError, match=rf"{here}/empty holds neither config\.json nor, as a run does, model/config"):
        Pretrained(path="empty").folder()
    with pytest.raises(UserError, match=rf"{here}/model\.safetensors is a file, not the folder with config\.json"):
        Pretrained(path="model.safetensors").folder()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("RepositoryNotFoundError", "does not exist, or is private"),
        ("GatedRepoError", "is gated: accept its terms"),
        ("RevisionNotFoundError", "has no revision v9; mend model.revision"),
        ("LocalEntryNotFoundError", r"\(revision v9\) is not in the cache /.*, and the Hub did not answer"),
    ],
)
def test_what_the_hub_answers_is_told(here, name, words, monkeypatch):
    from huggingface_hub import constants, errors

    error = getattr(errors, name)

    def answer(*_, **__):
        raise error.__new__(error)  # its own arguments are those of the request

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", answer)
    with pytest.raises(UserError, match=f"as a name of the Hub owner/model {words}"):
        Pretrained(path="owner/model", revision="v9").folder()


def test_what_can_be_no_name_of_the_hub_is_not_asked_for(here):
    with pytest.raises(UserError, match="as a name of the Hub my model cannot be one"):
        Pretrained(path="my model").folder()
