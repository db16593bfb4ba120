#!/usr/bin/env python3
"""Makes tests/fixtures/heads-*: tiny random encoders with every head, and what `transformers` gives.

    pip install -r training/requirements.txt
    python3 tests/parity/make_heads.py

Each folder's expected.json has the raw output of the head for some inputs, and for the tasks that
end in something else (an answer, a sentence's vector, labels that do not exclude each other) that too.
"""

import json

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForTokenClassification,
    BertModel,
    BertTokenizerFast,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    DistilBertForTokenClassification,
    RobertaConfig,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    RobertaTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForTokenClassification,
    XLMRobertaTokenizerFast,
)

from make_fixtures import OUT, TEXTS, randomize, vocabulary

PASSAGE = "The café by the river opens at nine. It has 12 tables, a naïve painting and good coffee 🙂."
QUESTIONS = ["when does the café open ?", "how many tables", "is it good"]
CORPUS = TEXTS + [PASSAGE] + QUESTIONS
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def word_pieces(folder):
    path = folder / "vocab.txt"
    path.write_text("\n".join(vocabulary()) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(str(path), do_lower_case=True)
    path.unlink()
    return tokenizer


def byte_pairs(_):
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=330, special_tokens=special, initial_alphabet=alphabet))
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return RobertaTokenizerFast(tokenizer_object=inner)


def unigrams(_):
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    inner.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>"))
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return XLMRobertaTokenizerFast(tokenizer_object=inner)


def encode(tokenizer, *texts):
    return tokenizer(*texts, truncation=True, max_length=128, return_tensors="pt", return_token_type_ids=True)


def inputs(model, coded):
    keys = ["input_ids", "attention_mask"]
    return {k: coded[k] for k in keys + (["token_type_ids"] if "distil" not in model.config.model_type else [])}


def answer(model, tokenizer, question):
    """The likeliest span by the product of probabilities, at most 30 tokens, and that of none."""
    coded = tokenizer(question, PASSAGE, return_tensors="pt", return_offsets_mapping=True, return_token_type_ids=True)
    out = model(**inputs(model, coded))
    start, end = out.start_logits[0].softmax(-1), out.end_logits[0].softmax(-1)
    inside = torch.tensor([s == 1 for s in coded.sequence_ids(0)])
    allowed = torch.ones(len(start), len(start)).triu().tril(29) * inside[:, None] * inside[None, :]
    scores = start[:, None] * end[None, :] * allowed
    place = scores.argmax().item()
    first, last = coded["offset_mapping"][0][place // len(start)][0].item(), coded["offset_mapping"][0][place % len(start)][1].item()
    return dict(question=question, answer=PASSAGE[first:last], start=first, end=last, score=scores.max().item(), none=(start[0] * end[0]).item())


def make(name, build, config, tokenizer_of, std=0.2, **extra):
    folder = OUT / f"heads-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_of(folder)
    config.vocab_size = len(tokenizer)
    torch.manual_seed(sum(map(ord, name)))
    model = build(config)
    randomize(model, std)
    model.eval()
    model.config.architectures = [type(model).__name__]
    (folder / "config.json").write_text(model.config.to_json_string())
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    kind = type(model).__name__
    expected = dict(cases=[], passage=PASSAGE, answers=[], vectors=[], shares=[])
    pairs = [(q, PASSAGE) for q in QUESTIONS] if kind.endswith("QuestionAnswering") else [(t,) for t in TEXTS]
    with torch.no_grad():
        for texts in pairs:
            coded = encode(tokenizer, *texts)
            out = model(**inputs(model, coded))
            ids, types = coded["input_ids"][0].tolist(), inputs(model, coded).get("token_type_ids", [[]])[0]
            if kind.endswith("QuestionAnswering"):
                values = torch.stack([out.start_logits[0], out.end_logits[0]], -1)
                expected["answers"].append(answer(model, tokenizer, texts[0]))
            elif kind == "BertModel":
                values = out.last_hidden_state[0].mean(0)
                vector = torch.nn.functional.normalize(values, dim=0)
                expected["vectors"].append(dict(text=texts[0], vector=vector.tolist()))
            else:
                values = out.logits[0]
                expected["shares"].append(dict(text=texts[0], shares=values.sigmoid().tolist() if values.dim() == 1 else []))
            expected["cases"].append(dict(ids=ids, types=list(map(int, types)), output=values.flatten().tolist()))
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    names = {i: l for i, l in enumerate(LABELS)}
    labels = dict(id2label=names, label2id={l: i for i, l in names.items()})
    bert = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=128, attn_implementation="eager")
    distil = dict(dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=128, attn_implementation="eager")
    roberta = dict(bert, max_position_embeddings=130, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, bos_token_id=0, eos_token_id=2)
    make("bert-tokens", BertForTokenClassification, BertConfig(**bert, **labels), word_pieces)
    make("bert-spans", BertForQuestionAnswering, BertConfig(**bert), word_pieces)
    make("bert-mean", lambda c: BertModel(c, add_pooling_layer=False), BertConfig(**bert), word_pieces)
    make("distil-tokens", DistilBertForTokenClassification, DistilBertConfig(**distil, **labels), word_pieces)
    make("distil-spans", DistilBertForQuestionAnswering, DistilBertConfig(**distil), word_pieces)
    make("roberta-tokens", RobertaForTokenClassification, RobertaConfig(**roberta, **labels), byte_pairs)
    make("roberta-spans", RobertaForQuestionAnswering, RobertaConfig(**roberta), byte_pairs)
    make("roberta-many", RobertaForSequenceClassification, RobertaConfig(**roberta, num_labels=4, problem_type="multi_label_classification"), byte_pairs)
    make("xlmr-tokens", XLMRobertaForTokenClassification, XLMRobertaConfig(**roberta, **labels), unigrams)


if __name__ == "__main__":
    main()
