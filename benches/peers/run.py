#!/usr/bin/env python3
"""Glossa beside PyTorch and ONNX Runtime: same weights, machine, threads, ids; one run, interleaved.

    pip install -r training/requirements.txt -r benches/peers/requirements.txt
    cargo build --release
    python3 benches/peers/run.py --threads 2 --rounds 5 > /tmp/peers.md

Each round measures every engine in turn at one shape, so that a noisy minute hits all of them. A cell
is the median over the rounds of the round's median; the ratios are those of these medians.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SHAPES = [(1, 16), (1, 128), (8, 128), (32, 128), (1, 512)]
# Task, folder in models/, class in transformers.
TASKS = {
    "sentiment": ("sentiment-minilm", "BertForSequenceClassification"),
    "entities": ("entities-minilm", "BertForTokenClassification"),
    "qa": ("questions-minilm", "BertForQuestionAnswering"),
    "embed": ("embed-minilm", "BertModel"),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--task", choices=TASKS, default="sentiment")
    parser.add_argument("--shapes", help="such as 1x16,32x128")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="per engine, shape and round")
    parser.add_argument("--glossa", default=str(ROOT / "target/release/glossa"))
    return parser.parse_args()


def widened(name, tensor):
    """A tensor as f32: plain, or from ggml's blocks."""
    import torch
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    kinds = {".q5_1": GGMLQuantizationType.Q5_1, ".q8_0": GGMLQuantizationType.Q8_0}
    kind = next((k for k in kinds if name.endswith(k)), None)
    if kind is None:
        return name, tensor.float()
    return name.removesuffix(kind), torch.from_numpy(dequantize(tensor.numpy(), kinds[kind]))


def reference_model(task):
    """The shipped model as a `transformers` model, f32, eval mode."""
    import transformers
    from safetensors.torch import load_file

    name, architecture = TASKS[task]
    folder = ROOT / "models" / name
    weights = load_file(folder / "model.safetensors") | load_file(ROOT / "models/minilm-vocab/word_embeddings.safetensors")
    more = {"add_pooling_layer": False} if architecture == "BertModel" else {}
    model = getattr(transformers, architecture)(transformers.BertConfig.from_json_file(folder / "config.json"), **more)
    state = dict(widened(k, v) for k, v in weights.items())
    if architecture == "BertModel":
        state = {k.removeprefix("bert."): v for k, v in state.items()}
    missing, _ = model.load_state_dict(state, strict=False)
    assert not [m for m in missing if "position_ids" not in m], missing
    return model.eval()


def head_of(task, out, mask):
    """What the task reads of the model's output."""
    import torch

    if task == "qa":
        return torch.stack([out.start_logits, out.end_logits], -1)
    if task == "embed":
        return (out.last_hidden_state * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
    return out.logits


def export_onnx(model, task, path):
    import torch

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, input_ids, attention_mask):
            return head_of(task, self.inner(input_ids=input_ids, attention_mask=attention_mask), attention_mask)

    ids = torch.ones(2, 16, dtype=torch.long)
    axes = {0: "batch", 1: "tokens"}
    torch.onnx.export(Logits().eval(), (ids, ids), path, input_names=["input_ids", "attention_mask"], opset_version=17,
                      output_names=["logits"], dynamic_axes={"input_ids": axes, "attention_mask": axes}, dynamo=False)


def timed(call, seconds):
    """Median milliseconds of `call` over `seconds`, after three warm-up calls."""
    for _ in range(3):
        call()
    times, begun = [], time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - begun < seconds and len(times) < 2000):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def glossa(args, batch, tokens, precision):
    command = [args.glossa, "bench", args.task, "--json", "--threads", str(args.threads), "--lengths", str(tokens),
               "--batches", str(batch), "--seconds", str(args.seconds), "--device", "cpu", "--precision", precision]
    cells = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return cells["cells"][0]["latency_ms"]["p50"], cells["device"]


def main():
    args = arguments()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import onnxruntime as ort
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    model = reference_model(args.task)
    shapes = [tuple(map(int, s.split("x"))) for s in args.shapes.split(",")] if args.shapes else SHAPES
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(model, args.task, f"{folder}/model.onnx")
        options = ort.SessionOptions()
        options.intra_op_num_threads = args.threads
        session = ort.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    table = {}
    device = ""
    for shape in shapes * args.rounds:
        batch, tokens = shape
        ids = torch.tensor([[(1000 + b * 7919 + t * 104729) % 30522 for t in range(tokens)] for b in range(batch)])
        mask = torch.ones_like(ids)
        feed = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}

        def by_torch():
            with torch.inference_mode():
                head_of(args.task, model(input_ids=ids, attention_mask=mask), mask)

        row = table.setdefault(shape, {"torch": [], "ort": [], "glossa": [], "glossa f16": []})
        row["torch"].append(timed(by_torch, args.seconds))
        row["ort"].append(timed(lambda: session.run(None, feed), args.seconds))
        for name, precision in (("glossa", "f32"), ("glossa f16", "f16")):
            p50, device = glossa(args, batch, tokens, precision)
            row[name].append(p50)
        print(shape, {k: round(v[-1], 2) for k, v in row.items()}, file=sys.stderr, flush=True)
    print(f"{cpu}, {args.threads} threads, {args.rounds} rounds; Glossa on {device}; PyTorch {torch.__version__} with "
          f"transformers {transformers.__version__} ({model.config._attn_implementation}), ONNX Runtime {ort.__version__}.\n")
    print("| batch × tokens | PyTorch ms | ONNX Runtime ms | Glossa f32 ms | Glossa f16 weights ms | PyTorch ÷ Glossa | Glossa ÷ ONNX Runtime |")
    print("|---|---|---|---|---|---|---|")
    for (batch, tokens), row in table.items():
        m = {k: statistics.median(v) for k, v in row.items()}
        print(f"| {batch} × {tokens} | {m['torch']:.2f} | {m['ort']:.2f} | {m['glossa']:.2f} | {m['glossa f16']:.2f} | "
              f"{m['torch'] / m['glossa']:.2f} | {m['glossa'] / m['ort']:.2f} |")


if __name__ == "__main__":
    main()
