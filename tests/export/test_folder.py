import json
import shutil

import pytest
import torch

from cptlab.cli import main
from cptlab.data.tokenizer import load_tokenizer
from cptlab.errors import UserError
from cptlab.export.check import BOUND, Difference, difference, refuse_another_model
from cptlab.export.folder import export
from cptlab.export.record import open_run
from cptlab.models.base import load_pretrained, weights_sha256


def rewrite(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_an_export_gives_the_logits_of_the_run_bit_for_bit(run):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = export(run)
    assert done.folder == run / "export"
    assert done.reloaded == done.rounded
    assert done.reloaded.exact
    assert done.weights_sha256 == weights_sha256(run / "export")
    tokens = torch.arange(16)[None]
    with torch.no_grad():
        own, exported = (
            AutoModelForCausalLM.from_pretrained(run / name, dtype="float32").eval()(input_ids=tokens).logits
            for name in ("model", "export")
        )
    assert torch.equal(own, exported)
    text = "the river runs past 1+2=3;"
    ids = AutoTokenizer.from_pretrained(run / "export")(text)["input_ids"]
    assert ids == next(load_tokenizer(str(run / "model")).encode([text]))


def test_generation_ends_at_the_token_that_ended_the_documents(run):
    rewrite(run / "model/config.json", eos_token_id=2, bos_token_id=1)  # as models were saved once
    done = export(run)
    eos = load_tokenizer(str(run / "model")).eos_id
    assert eos == 0
    for name in ("config.json", "generation_config.json"):
        assert json.loads((run / "export" / name).read_text())["eos_token_id"] == eos
    assert "ends a text at token 0" in done.sentences()[-1]


def test_bf16_halves_the_weights_and_says_what_it_moves(run, tmp_path):
    from safetensors.torch import load_file

    done = export(run, tmp_path / "half", "bf16")
    assert {tensor.dtype for tensor in load_file(tmp_path / "half/model.safetensors").values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "half/config.json").read_text())["dtype"] == "bfloat16"
    assert done.reloaded.exact
    assert 0 < done.rounded.logit < 0.05 * max(done.rounded.largest, 1)
    assert 0 <= done.rounded.kl < 1e-3
    assert f"moves a logit by at most {done.rounded.logit:.3g}" in (tmp_path / "half/README.md").read_text()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_an_adapter_is_merged_into_the_base_that_the_record_names(run, tmp_path):
    from peft import LoraConfig, get_peft_model

    base = tmp_path / "base"
    shutil.copytree(run / "model", base)
    torch.manual_seed(0)
    adapted = get_peft_model(load_pretrained(base, 0, 0), LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    with torch.no_grad():
        expected = adapted.eval()(input_ids=torch.arange(16)[None]).logits
    tokenizer = [file.read_bytes() for file in (run / "model/tokenizer.json", run / "model/tokenizer_config.json")]
    shutil.rmtree(run / "model")
    adapted.save_pretrained(run / "model")
    for name, content in zip(("tokenizer.json", "tokenizer_config.json"), tokenizer, strict=True):
        (run / "model" / name).write_bytes(content)
    rewrite(run / "done.json", weights_sha256=weights_sha256(run / "model"))
    facts = json.loads((run / "run.json").read_text())
    facts["config"]["model"] |= {"base_run": "", "path": str(base)}
    facts["base"]["weights_sha256"] = weights_sha256(base)
    rewrite(run / "run.json", **facts)
    assert export(run).reloaded.exact
    assert not (run / "export/adapter_config.json").exists()
    assert "adapter merged" in (run / "export/README.md").read_text()
    merged = load_pretrained(run / "export", 0, 0).eval()
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=torch.arange(16)[None]).logits, expected, atol=1e-5, rtol=1e-5)
    (base / "model.safetensors").write_bytes((base / "model.safetensors").read_bytes()[:-4] + b"0000")
    with pytest.raises(UserError, match="is not the one that its adapter was trained on"):
        export(run, tmp_path / "again")


def interrupted(run):
    rewrite(run / "done.json", status="interrupted")


def going_on(run):
    (run / "done.json").unlink()


def without_weights(run):
    shutil.rmtree(run / "model")


def kept_none(run):
    rewrite(run / "done.json", weights_sha256="")


def other_weights(run):
    file = run / "model/model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def other_tokenizer(run):
    rewrite(run / "run.json", tokenizer_hash="0" * 64)


def taken(run):
    (run / "export").mkdir()
    (run / "export/mine.txt").write_text("mine")


def no_run(run):
    run.rename(run.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (interrupted, "that run is interrupted; train it to its end first"),
        (going_on, "that run is not ended; train it to its end first"),
        (without_weights, "that run kept no weights; train it with save_model=true"),
        (kept_none, "that run kept no weights; train it with save_model=true"),
        (other_weights, "the weights are not those of the record"),
        (other_tokenizer, "the tokenizer is not the run's"),
        (taken, "export is not empty; remove it, or name another folder with --to"),
        (no_run, "is no run: it holds no run.json. Known: elsewhere."),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_sentence(run, harm, sentence, capsys):
    harm(run)
    before = sorted(run.parent.rglob("*"))
    with pytest.raises(SystemExit) as exit:
        main(["export", str(run)])
    assert exit.value.code == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert sorted(run.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["--dtype", "fp8"], "--dtype is fp8. Did you mean"), (["--to", "{run}/run.json"], "is a file; name a folder")],
)
def test_a_wrong_option_is_one_sentence(run, arguments, sentence, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["export", str(run), *(argument.format(run=run) for argument in arguments)])
    assert exit.value.code == 2
    assert sentence in capsys.readouterr().err


def test_an_export_that_fails_leaves_nothing(run, tmp_path, monkeypatch):
    from cptlab.export import folder

    def fails(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(folder, "card", fails)
    with pytest.raises(OSError, match="no space left"):
        export(run, tmp_path / "to")
    assert not (tmp_path / "to").exists()
    assert not list(tmp_path.glob(".to*"))


def test_an_empty_folder_is_taken(run, tmp_path):
    (tmp_path / "to").mkdir()
    export(run, tmp_path / "to")
    assert (tmp_path / "to/config.json").exists()


def test_the_difference_of_two_distributions_by_hand():
    # p = (1/2, 1/2), q = (3/4, 1/4): KL = 1/2 log(2/3) + 1/2 log 2.
    p = torch.tensor([[[0.5, 0.5]]]).log()
    q = torch.tensor([[[0.75, 0.25]]]).log()
    found = difference(p, q)
    assert found.kl == pytest.approx(0.5 * torch.tensor(4 / 3).log().item())
    assert found.logit == pytest.approx(torch.tensor(2.0).log().item())
    assert not found.exact
    assert difference(p, p) == Difference(0.0, pytest.approx(torch.tensor(2.0).log().item()), 0.0)


@pytest.mark.parametrize("logit", [2 * BOUND, float("nan")])
def test_a_model_that_does_not_come_back_is_refused(logit, tmp_path):
    refuse_another_model(Difference(0.5 * BOUND, 1.0, 0.0), tmp_path)
    with pytest.raises(UserError, match="is not the saved one"):
        refuse_another_model(Difference(logit, 1.0, 0.0), tmp_path)


def test_a_resumed_run_shows_its_last_attempt(run):
    rows = (run / "evals.jsonl").read_text().splitlines(keepends=True)
    later = [json.loads(row) | {"attempt": 2, "loss_sum": 1.0, "num_tokens": 1} for row in rows]
    (run / "evals.jsonl").write_text("".join([*rows, *(json.dumps(row) + "\n" for row in later)]))
    assert {loss.after for loss in open_run(run).losses()} == {1.0}
