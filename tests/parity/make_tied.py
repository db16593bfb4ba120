#!/usr/bin/env python3
"""Makes tests/fixtures/tied.json: which checkpoints with only some of the tables that are one (words of the source, words of
the target, output layer) `transformers` opens, and which tables it finds missing. The checkpoints are those that the other
scripts made, with other tables in them; tests/parity/tied.rs makes the same.

    pip install -r training/requirements.txt
    python3 tests/parity/make_tied.py        (once with each version of transformers: what others said stays)

A model that is opened twice and answers differently has made up a table. One "same" is like the whole checkpoint.
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification, GPT2LMHeadModel, MarianMTModel, T5ForConditionalGeneration

from make_fixtures import OUT

transformers.logging.set_verbosity_error()
SHARED, ENCODER, DECODER, HEAD = "shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"
WTE, WORDS = "transformer.wte.weight", "bert.embeddings.word_embeddings.weight"


def model(name):
    return "model." + name


# Fixture, class, all of its tables, and sets of tables (by name: which table of the whole checkpoint, and what is added to it).
FAMILIES = [
    ("seq2seq-t5", T5ForConditionalGeneration, [SHARED], {}, [
        *[{name: (SHARED, 0)} for name in (SHARED, ENCODER, DECODER, HEAD)], {},
        {ENCODER: (SHARED, 0), DECODER: (SHARED, 0)}, {ENCODER: (SHARED, 0), DECODER: (SHARED, 0.3), HEAD: (SHARED, 0.6)},
        {DECODER: (SHARED, 0), HEAD: (SHARED, 0)}, {SHARED: (SHARED, 0), ENCODER: (SHARED, 0.3), HEAD: (SHARED, 0.6)},
    ]),
    ("seq2seq-t5-gated", T5ForConditionalGeneration, [SHARED, HEAD], {}, [
        {SHARED: (SHARED, 0), HEAD: (HEAD, 0)}, {SHARED: (SHARED, 0)}, {HEAD: (HEAD, 0)}, {ENCODER: (SHARED, 0), HEAD: (HEAD, 0)},
        {DECODER: (SHARED, 0), HEAD: (HEAD, 0)}, {ENCODER: (SHARED, 0), DECODER: (SHARED, 0)},
    ]),
    ("seq2seq-marian", MarianMTModel, [model(SHARED)], {}, [
        *[{name: (model(SHARED), 0)} for name in (model(SHARED), model(ENCODER), model(DECODER), HEAD)], {},
        {model(ENCODER): (model(SHARED), 0), model(DECODER): (model(SHARED), 0.3)}, {model(DECODER): (model(SHARED), 0), HEAD: (model(SHARED), 0)},
    ]),
    ("seq2seq-marian-separate", MarianMTModel, [model(ENCODER), model(DECODER), HEAD], {}, [
        {model(ENCODER): (model(ENCODER), 0), model(DECODER): (model(DECODER), 0), HEAD: (HEAD, 0)},
        {model(ENCODER): (model(ENCODER), 0), model(DECODER): (model(DECODER), 0)},
        {model(ENCODER): (model(ENCODER), 0), HEAD: (HEAD, 0)}, {model(DECODER): (model(DECODER), 0), HEAD: (HEAD, 0)},
        {model(SHARED): (model(ENCODER), 0), HEAD: (HEAD, 0)},
    ]),
    ("decoder-gpt2", GPT2LMHeadModel, [WTE], {}, [
        {WTE: (WTE, 0)}, {HEAD: (WTE, 0)}, {WTE: (WTE, 0), HEAD: (WTE, 0)}, {},
    ]),
    ("decoder-gpt2", GPT2LMHeadModel, [WTE], {"tie_word_embeddings": False}, [
        {WTE: (WTE, 0), HEAD: (WTE, 0)}, {WTE: (WTE, 0)}, {HEAD: (WTE, 0)},
    ]),
    ("bert-tiny", BertForSequenceClassification, [WORDS], {}, [
        {WORDS: (WORDS, 0)}, {"embeddings.word_embeddings.weight": (WORDS, 0)}, {"cls.predictions.decoder.weight": (WORDS, 0)}, {},
    ]),
]


def tensors_of(folder):
    if (folder / "model.safetensors").exists():
        return load_file(folder / "model.safetensors")
    return torch.load(folder / "pytorch_model.bin")


def variant(fixture, own, config, tables, to):
    shutil.copytree(OUT / fixture, to, copy_function=shutil.copyfile)
    whole = tensors_of(to)
    (to / "pytorch_model.bin").unlink(missing_ok=True)
    made = {name: t for name, t in whole.items() if name not in own}
    made.update({name: whole[of] + shift for name, (of, shift) in tables.items()})
    save_file({name: t.clone().contiguous() for name, t in made.items()}, to / "model.safetensors", metadata={"format": "pt"})
    words = json.loads((to / "config.json").read_text()) | config
    (to / "config.json").write_text(json.dumps(words))


def answers(kind, folder):
    """The logits of two openings, and what was missing."""
    ids, outs = torch.tensor([[5, 6, 7, 1]]), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        opened, info = kind.from_pretrained(folder, output_loading_info=True)
        more = {"decoder_input_ids": torch.tensor([[0, 9, 8]])} if "encoder" in folder.name or opened.config.is_encoder_decoder else {}
        with torch.no_grad():
            outs.append(opened.eval()(input_ids=ids, **more).logits)
    return outs, sorted(info["missing_keys"])


def judged(kind, folder, want):
    try:
        outs, missing = answers(kind, folder)
    except Exception as error:  # some combinations end in a model that cannot run
        return {"is": "no model", "missing": [], "why": str(error)[:80]}
    if not torch.equal(*outs):
        return {"is": "made up", "missing": missing}
    return {"is": "same" if torch.allclose(outs[0], want, atol=1e-5) else "other", "missing": missing}


if __name__ == "__main__":
    path, rows = OUT / "tied.json", []
    before = {json.dumps(r["case"]): r["said"] for r in json.loads(path.read_text())} if path.exists() else {}
    for fixture, kind, own, config, sets in FAMILIES:
        want = answers(kind, OUT / fixture)[0][0]
        for tables in sets:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / "model"
                variant(fixture, own, config, tables, folder)
                case = {"fixture": fixture, "own": own, "config": config, "tables": {n: list(t) for n, t in tables.items()}}
                said = before.get(json.dumps(case), {}) | {transformers.__version__: judged(kind, folder, want)}
                rows.append({"case": case, "said": said})
                print(fixture, list(tables), said[transformers.__version__])
    path.write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
