#!/usr/bin/env python3
"""The same tensors as PyTorch writes them now (a zip archive), as it did before 1.6, and as safetensors.

Among them what real checkpoints hold: views with an offset, transposed ones, several on one storage, halves
and bfloat16, a scalar, an empty one, integers that are skipped, an nn.Parameter, nesting in 'state_dict'.
Run: ~/.cache/glossa/py/bin/python tests/parity/make_bins.py   (torch, safetensors)
"""
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

OUT = Path(__file__).parent.parent / "fixtures" / "bins"


def main() -> None:
    torch.manual_seed(7)
    base = torch.randn(6, 8)
    tensors = OrderedDict(
        [
            ("plain", torch.randn(3, 5)),
            ("rows", base[2:5]),
            ("columns", base[:, 1:4]),
            ("turned", base.t()),
            ("every.second", base[::2, ::3]),
            ("half", torch.randn(4, 4).half()),
            ("bfloat", torch.randn(2, 9).bfloat16()),
            ("scalar", torch.tensor(2.5)),
            ("empty", torch.zeros(0, 4)),
            ("parameter", torch.nn.Parameter(torch.randn(7))),
            ("position_ids", torch.arange(5)),
        ]
    )
    OUT.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, OUT / "new.bin")
    torch.save(tensors, OUT / "old.bin", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": tensors, "epoch": 3, "args": {"lr": 1e-3, "name": "x"}}, OUT / "wrapped.bin")
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, OUT / "same.safetensors")


if __name__ == "__main__":
    main()
