"""Reference outputs of the PyTorch models, in float32, for the tests of the exported ones.

    python testbed/train/golden.py lm  .attune/testbed/lm  .attune/testbed/data/text     testbed/models/worlds-lm
    python testbed/train/golden.py vlm .attune/testbed/vlm .attune/testbed/data/pictures testbed/models/worlds-vlm

golden.json: for a few items of the test split (seed 0) the token ids, the logits after the prompt, and the greedy answer.
"""

import argparse
import hashlib
import json
import os

import torch
from transformers import AutoTokenizer, LlamaForCausalLM, LlavaForConditionalGeneration

from picture_data import PATCHES, read_pictures, to_pixels
from text_data import read_items

NEW_TOKENS = 24


def greedy(model, inputs, prompt_length, eos):
    out = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=eos)
    return out[0, prompt_length:].tolist()


def case(model, inputs, tokenizer):
    ids = inputs["input_ids"]
    with torch.no_grad():
        logits = model(**inputs).logits[0, -1]
        answer = greedy(model, inputs, ids.shape[1], tokenizer.eos_token_id)
    return {"ids": ids[0].tolist(), "logits": [float(f"{x:.6g}") for x in logits.tolist()], "answer": answer,
            "text": tokenizer.decode(answer, skip_special_tokens=True)}


def lm_cases(model, tokenizer, data):
    items = read_items(os.path.join(data, "test.jsonl"))
    for task in ("documents", "choice", "judge", "sentiment", "topic"):
        item = next(i for i in items if i["task"] == task)
        yield {"item": item["id"], **case(model, tokenizer(item["prompt"], return_tensors="pt"), tokenizer)}
    item = next(i for i in items if i["task"] == "documents")
    chat = tokenizer.apply_chat_template([{"role": "user", "content": item["prompt"]}], add_generation_prompt=True,
                                         return_tensors="pt", return_dict=True)
    yield {"item": item["id"], "chat": True, **case(model, chat, tokenizer)}
    yield {"text_prompt": "Mira Vale lived in", **case(model, tokenizer("Mira Vale lived in", return_tensors="pt"), tokenizer)}


def vlm_cases(model, tokenizer, data):
    pictures = read_pictures(os.path.join(data, "test.rgb"))
    items = read_items(os.path.join(data, "test.jsonl"))
    for task in ("existence", "attribute", "count", "spatial", "caption"):
        item = next(i for i in items if i["task"] == task)
        pixels = pictures[item["picture"]]
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": "<image>" * PATCHES + "\n" + item["prompt"]}],
            add_generation_prompt=True, tokenize=False)
        inputs = dict(tokenizer(text, add_special_tokens=False, return_tensors="pt"))
        inputs["pixel_values"] = to_pixels(pixels[None])
        yield {"item": item["id"], "scene": item["cluster"], "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
               **case(model, inputs, tokenizer)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=["lm", "vlm"])
    parser.add_argument("folder")
    parser.add_argument("data")
    parser.add_argument("out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    kind, cases = (LlamaForCausalLM, lm_cases) if args.which == "lm" else (LlavaForConditionalGeneration, vlm_cases)
    model = kind.from_pretrained(args.folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.folder)
    golden = {"torch": torch.__version__, "cases": list(cases(model, tokenizer, args.data))}
    with open(os.path.join(args.out, "golden.json"), "w") as file:
        json.dump(golden, file)
        file.write("\n")


if __name__ == "__main__":
    main()
