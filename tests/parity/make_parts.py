#!/usr/bin/env python3
"""Makes the fixtures in parts from those that are whole: tests/fixtures/bert-bin-parts (pytorch_model.bin in two, with an
index, as `transformers` saves it) and decoder-llama-parts (model.gguf in three, as Python's gguf writes it).

    pip install -r training/requirements.txt gguf
    python3 tests/parity/make_parts.py
"""

import json
import shutil

import numpy as np
import torch
from gguf import GGUFReader, GGUFValueType, GGUFWriter

from make_fixtures import OUT


def folder(source, name, left_out):
    to = OUT / name
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(OUT / source, to, ignore=lambda *_: [left_out], copy_function=shutil.copyfile)
    return to


def bins():
    to = folder("bert-bin", "bert-bin-parts", "pytorch_model.bin")
    tensors = torch.load(OUT / "bert-bin" / "pytorch_model.bin")
    names, places = list(tensors), {}
    for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2:]), 1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: tensors[name].clone() for name in part}, to / file)
        places.update(dict.fromkeys(part, file))
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    (to / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


def ggufs():
    to = folder("decoder-llama", "decoder-llama-parts", "model.gguf")
    reader = GGUFReader(OUT / "decoder-llama" / "model.gguf")
    most = -(-len(reader.tensors) // 3)
    writer = GGUFWriter(to / "model.gguf", reader.fields["general.architecture"].contents(), split_max_tensors=most)
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        writer.add_key_value(key, field.contents(), kind, field.types[-1] if kind == GGUFValueType.ARRAY else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.ascontiguousarray(tensor.data), raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    bins()
    ggufs()
    for path in sorted([*OUT.glob("*-parts/*.bin"), *OUT.glob("*-parts/*.gguf")]):
        print(path.name, path.stat().st_size)
