#!/usr/bin/env python3
"""Writes models/embed-minilm: all-MiniLM-L6-v2 as it is, its layers rounded to Q5_1.

    python3 training/embeddings.py --data ../shared/data --models models
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import BertModel

import encoder


class Base(torch.nn.Module):
    """The bare encoder under the names of the models with a head."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.bert = BertModel(config, add_pooling_layer=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--models", default="models")
    args = parser.parse_args()
    model = encoder.base_model(Path(args.data), Base)
    out = Path(args.models) / "embed-minilm"
    encoder.export(model, out, "embeddings.manifest.json", {"architectures": ["BertModel"]})
    describe(out)


def describe(out):
    """How a text becomes a vector, as sentence-transformers says it: the mean, of length 1."""
    parts = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    kind = "sentence_transformers.models."
    modules = [{"idx": i, "name": str(i), "path": path, "type": kind + name} for i, (path, name) in enumerate(parts)]
    flags = {f"pooling_mode_{name}": name == "mean_tokens" for name in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}
    files = {"modules.json": modules, "1_Pooling/config.json": {"word_embedding_dimension": 384} | flags}
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    for name, content in files.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(json.dumps(content, indent=2) + "\n")
        manifest["files"].append(encoder.entry(out, name))
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
