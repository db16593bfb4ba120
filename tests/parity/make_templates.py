#!/usr/bin/env python3
"""Makes tests/fixtures/templates/expected.json: what `transformers` makes of chat templates.

- `families`: every *.jinja there (the forms of public models, written for this test) with several
  conversations: text and token ids by `apply_chat_template`, or what the template refuses with. The
  tokenizer is tiny (tokenizer.json, byte-level BPE), with the family's marks as special tokens
- `features`: what comes out of each template in features.json, null where it is refused
- `clock`: Python's `strftime`

Needs no model and no network:

    pip install "transformers==4.57.6" jinja2
    python3 tests/parity/make_templates.py [--compare]

With `--compare` nothing is written: it says what another version makes otherwise.
"""

import datetime
import json
import sys
from pathlib import Path

import jinja2
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

HERE = Path(__file__).resolve().parent.parent / "fixtures/templates"
# Friday, 5 July 2024, 03:04:09
MOMENT = 1720148649


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return at(MOMENT)


def at(seconds):
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)


chat_template_utils.datetime = Clock

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": 'Says "what" the weather is like, e.g. <sunny> & 20 °C.',
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": " Where.\n"},
                    "days": {"type": ["integer", "number"], "description": "How many", "minimum": 1.0},
                },
                "required": ["place"],
            },
            "return": {"type": "string"},
        },
    },
    {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}},
]


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


CALL = [{"type": "function", "id": "abcdef123", "function": {"name": "weather", "arguments": {"place": "Zürich", "days": 2, "now": True, "at": None}}}]
CONVERSATIONS = {
    "question": [turn("user", "Hello, who are you?")],
    "system": [turn("system", " Answer in French.\n"), turn("user", "What is 2 + 2?")],
    "turns": [
        turn("user", "  Spaces before, and after \n"),
        turn("assistant", "\n\nGrüße aus 東京 🎉 "),
        turn("user", "\tAnd\n\nthen?  "),
    ],
    "thinking": [
        turn("system", "Be brief. /think"),
        turn("user", "Is 7 prime?"),
        turn("assistant", "<think>\nOnly 1 and 7 divide it.\n</think>\n\nYes."),
        turn("user", "And 9?"),
    ],
    "answered": [turn("user", "It's {{ odd }} {% if %} <|im_end|> \\n \"here\""), turn("assistant", "<think>x</think>ok")],
    "order": [turn("user", "one"), turn("user", "two")],
    "override": [turn("system", "Only this. /system_override /no_think"), turn("user", "Hi"), turn("assistant", "Hm"), turn("user", "So?")],
    "tools": [
        turn("user", "Weather in Zürich?"),
        turn("assistant", "", tool_calls=CALL),
        turn("tool", '{"sky": "blue"}', tool_call_id="abcdef123", name="weather"),
        turn("assistant", "Blue."),
        turn("user", "Thanks"),
    ],
    "parts": [turn("user", [{"type": "image"}, {"type": "text", "text": " What is this? "}])],
}
PLAIN = ["question", "system", "turns", "thinking", "answered"]
ENDED = [("answered", {"add_generation_prompt": False})]

# bos, eos, other marks, more cases
LLAMA = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
CHATML = ["<|im_start|>", "<|im_end|>"]
INST = ["[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"]
ROLES = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
GEMMA = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>"]
DEEPSEEK = ["<｜User｜>", "<｜Assistant｜>", "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>", "<think>", "</think>"]
COHERE = ["<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"]
GRANITE = ["<|start_of_role|>", "<|end_of_role|>"]
WITH_TOOLS = [("tools", {"tools": TOOLS})]
DOCUMENTS = {"documents": [{"title": "a", "text": "First."}, {"title": "b", "text": "Sécond"}]}
FAMILIES = {
    "llama2": ("<s>", "</s>", [], []),
    "llama3": ("<|begin_of_text|>", "<|eot_id|>", LLAMA, []),
    "llama3.1": ("<|begin_of_text|>", "<|eot_id|>", LLAMA, WITH_TOOLS + [("tools", {"tools": TOOLS, "tools_in_user_message": False})]),
    "llama3.2": ("<|begin_of_text|>", "<|eot_id|>", LLAMA, [("question", {"date_string": "1 Jan 2000"})]),
    "mistral-v1": ("<s>", "</s>", INST[:2], []),
    "mistral-v3": ("<s>", "</s>", INST, WITH_TOOLS),
    "mistral-tekken": ("<s>", "</s>", INST, WITH_TOOLS),
    "mixtral": ("<s>", "</s>", INST[:2], []),
    "gemma": ("<bos>", "<eos>", GEMMA, []),
    "gemma3": ("<bos>", "<eos>", GEMMA, [("parts", {})]),
    "phi3": (None, "<|endoftext|>", ROLES, ENDED),
    "phi4-mini": (None, "<|endoftext|>", ROLES, ENDED),
    "phi4": (None, "<|im_end|>", CHATML + ["<|im_sep|>"], []),
    "qwen2": (None, "<|im_end|>", CHATML, []),
    "qwen2.5": (None, "<|im_end|>", CHATML, WITH_TOOLS),
    "qwen3": (None, "<|im_end|>", CHATML, WITH_TOOLS + [("turns", {"enable_thinking": False}), ("turns", {"enable_thinking": True})] + ENDED),
    "smollm2": ("<|im_start|>", "<|im_end|>", CHATML, []),
    "smollm3": (None, "<|im_end|>", CHATML, WITH_TOOLS + [("override", {}), ("turns", {"enable_thinking": False})] + ENDED),
    "chatml": (None, "<|im_end|>", CHATML, ENDED),
    "zephyr": ("<s>", "</s>", [], []),
    "tinyllama": ("<s>", "</s>", [], []),
    "vicuna": ("<s>", "</s>", [], []),
    "alpaca": (None, "</s>", [], ENDED),
    "deepseek-r1-distill": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", DEEPSEEK, []),
    "granite3": (None, "<|end_of_text|>", GRANITE, [("question", DOCUMENTS), ("question", {"controls": {"length": "short"}}), ("question", {"tools": TOOLS})]),
    "command-r": ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", COHERE, []),
    "falcon3": (None, "<|endoftext|>", ROLES[:3], [("question", {"tools": TOOLS})]),
    "olmo2": ("<|endoftext|>", "<|endoftext|>", ROLES[:3], ENDED),
    "stablelm2": ("<|endoftext|>", "<|endoftext|>", ROLES[:3], []),
    "dialogpt": ("<|endoftext|>", "<|endoftext|>", [], []),
    "hermes2-pro": ("<|begin_of_text|>", "<|im_end|>", CHATML, WITH_TOOLS),
    "openchat": ("<s>", "<|end_of_turn|>", [], []),
}

FORMATS = (
    "%a %A %w %d %b %B %m %y %Y|%H %I %p %M %S %f|%z%Z|%j %U %W %c|%x|%X|%%|%G %u %V|%e %D %F %T %R %r %h %C %g %k %l %P %n%t|"
    "%-d %-m %-H %-I %-j %_d %_m %0e %^a %^B %#p %#b %10Y %05d %_5d %3m %-5e|%Ey %Od %Q %i %|%d %b %Y|%B %d, %Y"
).split("|")
MOMENTS = [0, 86399, 951782400, 1230768000, 1262304000, 1325376000, 1356998400, 1419984000, 1609459199, 1735689600, MOMENT, -1, 4102444800]


def base():
    path = HERE / "tokenizer.json"
    if not path.exists():
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
        text = [p.read_text() for p in sorted(HERE.glob("*.jinja"))]
        tokenizer.train_from_iterator(text + [json.dumps(CONVERSATIONS, ensure_ascii=False)], trainer)
        path.write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")))
    return Tokenizer.from_file(str(path))


def family(name, bos, eos, marks, more):
    specials = [m for m in dict.fromkeys([bos, eos, *marks]) if m]
    tokenizer = base()
    tokenizer.add_special_tokens([AddedToken(m, special=True, normalized=False) for m in specials])
    named = {"bos_token": bos, "eos_token": eos}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{k: v for k, v in named.items() if v})
    fast.chat_template = (HERE / f"{name}.jinja").read_text()
    cases = []
    for conversation, given in [(c, {}) for c in PLAIN + ["order"]] + more:
        case = {"conversation": conversation, "given": given}
        options = {"add_generation_prompt": True, **given}
        try:
            case["text"] = fast.apply_chat_template(CONVERSATIONS[conversation], tokenize=False, **options)
            case["ids"] = fast.apply_chat_template(CONVERSATIONS[conversation], tokenize=True, return_dict=False, **options)
        except jinja2.exceptions.TemplateError as error:
            # Its own words where it raised them itself, none where Jinja did.
            case["refusal"] = str(error) if type(error) is jinja2.exceptions.TemplateError else ""
        cases.append(case)
    return {"name": name, "bos": bos, "eos": eos, "specials": specials, "cases": cases}


def rendered(template):
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        return compiled.render(messages=CONVERSATIONS["thinking"], tools=None, documents=None)
    except Exception:
        return None


def main():
    features = json.loads((HERE / "features.json").read_text())
    expected = {
        "transformers": transformers.__version__,
        "moment": MOMENT,
        "conversations": CONVERSATIONS,
        "families": [family(name, *rest) for name, rest in FAMILIES.items()],
        "features": [rendered(template) for template in features],
        "clock": {"formats": FORMATS, "moments": [[m, [at(m).strftime(f) for f in FORMATS]] for m in MOMENTS]},
    }
    path = HERE / "expected.json"
    if "--compare" in sys.argv:
        compare(json.loads(path.read_text()), json.loads(json.dumps(expected)), features)
        return
    path.write_text(json.dumps(expected, ensure_ascii=False, separators=(",", ":")))
    cases = [case for f in expected["families"] for case in f["cases"]]
    refused = sum("refusal" in case for case in cases)
    print(f"{len(FAMILIES)} families, {len(cases)} cases ({refused} refused), {len(features)} features, {path.stat().st_size} bytes")


def compare(old, new, features):
    print(f"transformers {old['transformers']} and {new['transformers']}")
    differ = 0
    for a, b in zip(old["families"], new["families"]):
        for x, y in zip(a["cases"], b["cases"]):
            if x != y:
                differ += 1
                print(a["name"], x["conversation"], x["given"], x.get("text"), y.get("text", y.get("refusal")), sep="\n  ")
    for template, x, y in zip(features, old["features"], new["features"]):
        if x != y:
            differ += 1
            print(template, x, y, sep="\n  ")
    print(f"{differ} differ; the clocks {'agree' if old['clock'] == new['clock'] else 'differ'}")


main()
