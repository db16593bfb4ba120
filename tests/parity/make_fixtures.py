#!/usr/bin/env python3
"""Makes tests/fixtures: tiny random checkpoints and the logits that `transformers` gives for them.

    pip install -r training/requirements.txt
    python3 tests/parity/make_fixtures.py

Weights are drawn wide (std 0.2 to 0.4), so that every layer matters and a wrong mask, scale or
activation shows far above the tolerance of 1e-4.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizerFast,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

OUT = Path(__file__).parent.parent / "fixtures"
TEXTS = [
    "a good film .",
    "bad",
    "The acting is SUPERB, and the ending moved me!",
    "slow start but a fine end " * 9,
    "unaffable café naïve x-ray 123",
    "一 film 🙂 good",
]
WORDS = (
    "a good film bad the acting is superb and ending moved me slow start but fine end cafe naive ray "
    "un ##aff ##able . , ! - x 一"
).split()


def vocabulary():
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + [str(d) for d in range(10)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + WORDS + letters + ["##" + c for c in letters]
    return list(dict.fromkeys(pieces))


def randomize(model, std):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "LayerNorm.weight" in name or "layer_norm.weight" in name:
                p.normal_(1.0, 0.2)
            else:
                p.normal_(0.0, std)


def make(name, model, std, binary=False):
    torch.manual_seed(sum(map(ord, name)))
    randomize(model, std)
    model.eval()
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary()) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True)
    model.config.architectures = [type(model).__name__]
    (folder / "config.json").write_text(model.config.to_json_string())
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    if binary:
        torch.save(state, folder / "pytorch_model.bin")
        (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}\n')
    else:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    cases = []
    for text in TEXTS:
        ids = tokenizer(text, truncation=True, max_length=model.config.max_position_embeddings)["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].tolist()
        cases.append({"text": text, "ids": ids, "logits": logits})
    (folder / "expected.json").write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    size = len(vocabulary())
    bert = dict(vocab_size=size, max_position_embeddings=64, attn_implementation="eager")
    make("bert-tiny", BertForSequenceClassification(BertConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, **bert)), 0.2)
    make("bert-odd", BertForSequenceClassification(BertConfig(
        hidden_size=60, num_hidden_layers=2, num_attention_heads=5, intermediate_size=100, num_labels=5,
        hidden_act="gelu_new", layer_norm_eps=1e-5, **bert)), 0.2)
    make("bert-bin", BertForSequenceClassification(BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48, **bert)), 0.3, binary=True)
    make("distilbert-tiny", DistilBertForSequenceClassification(DistilBertConfig(
        vocab_size=size, max_position_embeddings=64, dim=32, n_layers=3, n_heads=4, hidden_dim=64, num_labels=3,
        attn_implementation="eager")), 0.2)


if __name__ == "__main__":
    main()
