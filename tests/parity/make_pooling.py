"""References for sentence encoders: what sentence-transformers makes of tests/fixtures/heads-bert-mean with other modules.

    python tests/parity/make_pooling.py      (training/requirements.txt, sentence-transformers 6.2; 5.1 gives the same
                                             but for the first token behind a prompt that does not count)

Each variant lists the files that are put beside the fixture's own (JSON, and tensors of dense layers), and the vectors of the texts.
"""
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
KIND = "sentence_transformers.models."
TEXTS = ["a thin man", "The man and a thin hen ran on the inn and then in", "on", "  in the tin  "]
FLAGS = {
    "cls": "pooling_mode_cls_token", "max": "pooling_mode_max_tokens", "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens", "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def flags(*on, **more):
    return {"word_embedding_dimension": 32} | {f: m in on for m, f in FLAGS.items()} | more


def modules(*parts):
    return [{"idx": i, "name": str(i), "path": path, "type": KIND + kind} for i, (path, kind) in enumerate(parts)]


def variant(name, pooling, *more, at="1_Pooling", encoder="", files=None, tensors=None):
    """Modules: the encoder, the pooling at `at`, and what comes after it."""
    listed = modules((encoder, "Transformer"), (at, "Pooling"), *[(path, kind) for path, kind, _ in more])
    out = {"modules.json": listed, f"{at}/config.json": pooling} | (files or {})
    out |= {f"{path}/config.json": config for path, _, config in more if config is not None}
    return {"name": name, "encoder": encoder, "files": out, "tensors": tensors or {}}


def variants():
    draw = np.random.default_rng(7)
    numbers = lambda *shape: draw.normal(size=shape).astype("f4").round(3)
    norm = ("2_Normalize", "Normalize", None)
    dense = lambda act, bias=True: ("2_Dense", "Dense", {"in_features": 32, "out_features": 8, "bias": bias, "activation_function": f"torch.nn.modules.{act}"})
    weights = {"2_Dense/model.safetensors": {"linear.weight": numbers(8, 32), "linear.bias": numbers(8)}}
    bare = {"2_Dense/model.safetensors": {"linear.weight": numbers(8, 32)}}
    prompts = {"prompts": {"query": "in the: ", "none": ""}, "default_prompt_name": "query"}
    for mode in FLAGS:
        yield variant(f"{mode}, old flags", flags(mode))
    yield variant("mean, normalized", flags("mean"), norm)
    yield variant("cls and mean joined", flags("cls", "mean"), norm)
    yield variant("dense, tanh", flags("mean"), dense("activation.Tanh"), tensors=weights)
    yield variant("dense, gelu, normalized", flags("cls"), dense("activation.GELU"), ("3_Normalize", "Normalize", None), tensors=weights)
    yield variant("dense without bias", flags("max"), dense("linear.Identity", False), tensors=bare)
    yield variant("layer norm", flags("mean"), ("2_LayerNorm", "LayerNorm", {"dimension": 32}),
                  tensors={"2_LayerNorm/model.safetensors": {"norm.weight": numbers(32), "norm.bias": numbers(32)}})
    yield variant("pooling elsewhere, encoder in a folder", flags("lasttoken"), at="pool", encoder="0_Transformer")
    yield variant("max_seq_length", flags("mean"), files={"sentence_bert_config.json": {"max_seq_length": 6, "do_lower_case": False}})
    yield variant("a prompt", flags("mean"), files={"config_sentence_transformers.json": prompts})
    for mode in ("mean", "cls", "weightedmean", "max"):
        yield variant(f"a prompt that does not count, {mode}", flags(mode, include_prompt=False), files={"config_sentence_transformers.json": prompts})


def main():
    out = []
    for case in variants():
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            encoder = folder / case["encoder"]
            encoder.mkdir(exist_ok=True)
            for name in ("config.json", "model.safetensors", "tokenizer.json"):
                shutil.copy(FIXTURES / "heads-bert-mean" / name, encoder / name)
            for path, content in case["files"].items():
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_text(json.dumps(content))
            for path, tensors in case["tensors"].items():
                (folder / path).parent.mkdir(exist_ok=True)
                save_file(tensors, folder / path)
            (encoder / "tokenizer_config.json").write_text(json.dumps({
                "tokenizer_class": "BertTokenizerFast", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]",
            }))
            model = SentenceTransformer(str(folder), device="cpu")
            with torch.no_grad():
                vectors = [model.encode(text).tolist() for text in TEXTS]
            case["tensors"] = {p: {n: t.tolist() for n, t in ts.items()} for p, ts in case["tensors"].items()}
            case["vectors"] = [[round(x, 5) for x in v] for v in vectors]
        out.append(case)
    path = FIXTURES / "pooling.json"
    path.write_text(json.dumps({"texts": TEXTS, "variants": out}, separators=(",", ":")) + "\n")
    print(len(out), "variants,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
