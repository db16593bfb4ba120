#!/usr/bin/env python3
"""Writes models/embed-minilm: all-MiniLM-L6-v2 as it is, its layers rounded to Q5_1.

    python3 training/embeddings.py --data ../shared/data --models models
"""

import argparse
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
    encoder.export(model, Path(args.models) / "embed-minilm", "embeddings.manifest.json", {"architectures": ["BertModel"]})


if __name__ == "__main__":
    main()
