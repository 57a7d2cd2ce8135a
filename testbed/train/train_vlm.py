"""Train the testbed's vision-language model (a small LlavaForConditionalGeneration) on the picture world.

    python testbed/train/train_vlm.py --data .attune/testbed/data/pictures --out .attune/testbed/vlm

LLaVA starts from a tower that can see and a projector that is aligned, and so does this one. Stage 1 gives the CLIP
tower eyes: each patch says which kind, colour and size fill its place, and which place that is. Stage 2 aligns: each projected
patch must point at the embeddings of these words. Stage 3 freezes the tower, as LLaVA does, and trains projector and decoder
on conversations, about simple scenes first (the primer). Deterministic by seed, resumable. In float32: on a CPU without
bfloat16 matrix units autocast halves the speed.
"""

import argparse
import os
from itertools import islice

import numpy as np
import torch
from torch.nn.functional import cross_entropy, linear
from transformers import AutoTokenizer, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from muon import muon_of
from picture_data import COLOURS, COLUMNS, KINDS, ROWS, SIZES, Conversations, batch_of, patch_labels, read_pictures, to_pixels
from plateau import set_lr_plateau
from schedule import Log, load_checkpoint, save_checkpoint, set_lr
from text_data import read_items, stream_items
from tokenizer import train_tokenizer

# Loss weights of a token of a short answer, a caption and an answer about place or size, at first and in the end: what things
# there are is learned soon and what about them is not, and captions are long.
EARLY, LATE = (1.0, 0.25, 1.0), (1.0, 0.5, 4.0)
POOL = 16  # batches drawn at once and sorted by length, so that little is padding
WORDS = KINDS, COLOURS, SIZES, ROWS, COLUMNS  # what a patch is asked in stages 1 and 2


def build_model(tokenizer):
    vision = CLIPVisionConfig(
        image_size=64, patch_size=8, hidden_size=96, intermediate_size=256, num_hidden_layers=3, num_attention_heads=3,
        projection_dim=96, hidden_act="gelu", attn_implementation="sdpa",
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=320, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=512, rope_theta=10000.0, rms_norm_eps=1e-5,
        initializer_range=0.06, tie_word_embeddings=True, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, attn_implementation="sdpa",
    )
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projector_hidden_act="gelu", vision_feature_layer=-1, vision_feature_select_strategy="default",
        image_seq_length=64, tie_word_embeddings=True, pad_token_id=tokenizer.pad_token_id,
    )
    return LlavaForConditionalGeneration(config)


def image_features(model, pixels):
    """(B,3,64,64) to (B,64,D): the projected patches, CLS dropped."""
    hidden = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
    return model.model.multi_modal_projector(hidden)


def hidden_of(model, pixels, batch):
    """Last hidden states (B,S,D) of pictures with conversations that all see the picture and none of each other."""
    language = model.model.language_model
    embeds = language.embed_tokens(batch.ids)
    features = image_features(model, pixels)
    embeds = torch.cat([embeds[:, :2], features, embeds[:, 2 + features.shape[1] :]], dim=1)
    return language(
        inputs_embeds=embeds, attention_mask=batch.visible, position_ids=batch.positions, use_cache=False
    ).last_hidden_state


def logits_of(model, pixels, batch):
    """Logits (B,S,V), see `hidden_of`."""
    return linear(hidden_of(model, pixels, batch), model.model.language_model.embed_tokens.weight)


def loss_of(model, pixels, batch, weights):
    """Weighted cross-entropy of answer tokens, and plain means of short answers, captions, answers about place or size."""
    rows, columns = batch.answer.nonzero(as_tuple=True)  # answer token at column c is predicted at c - 1
    logits = linear(hidden_of(model, pixels, batch)[rows, columns - 1], model.model.language_model.embed_tokens.weight)
    each = cross_entropy(logits, batch.ids[rows, columns], reduction="none")
    sort = batch.answer[rows, columns]
    weight = torch.tensor(weights)[sort - 1]
    means = [each[sort == i].sum() / (sort == i).sum().clamp(min=1) for i in (1, 2, 3)]
    return (each * weight).sum() / weight.sum(), *means


@torch.no_grad()
def accuracy(model, folder, split, tokenizer, limit=120):
    """Accuracy by task (existence by its negatives) with choices compared by their first token."""
    model.eval()
    pictures = read_pictures(os.path.join(folder, f"{split}.rgb"))
    groups = {}
    for item in read_items(os.path.join(folder, f"{split}.jsonl")):
        if item["choices"]:
            groups.setdefault(item["task"] + ("-" + item["negatives"] if "negatives" in item else ""), []).append(item)
    result = {}
    for name, members in groups.items():
        hits = []
        for start in range(0, min(limit, len(members)), 60):
            part = members[start : start + 60]
            batch = batch_of([[tokenizer.encode("\n" + i["prompt"] + "<|assistant|>", add_special_tokens=False)] for i in part],
                             [[0] for _ in part], [[0] for _ in part], tokenizer)
            logits = logits_of(model, to_pixels(pictures[[i["picture"] for i in part]]), batch)
            for row, item in enumerate(part):
                first = [tokenizer.encode(c, add_special_tokens=False)[0] for c in item["choices"]]
                hits.append((int(logits[row, batch.length[row] - 1, first].argmax()) == item["gold"], item["target"]))
        result[name] = round(float(np.mean([h for h, _ in hits])), 3)
        if name.startswith("existence"):
            result[name + "-no"] = round(float(np.mean([h for h, t in hits if t == " no"])), 3)
    model.train()
    return result


class Readers(torch.nn.Module):
    """Stage 1: linear readers on the tower's patches; thrown away afterwards. Answer 0 is "nothing"."""

    def __init__(self, model):
        super().__init__()
        self.tower = model.model.vision_tower
        self.read = torch.nn.ModuleList(
            torch.nn.Linear(self.tower.config.hidden_size, 1 + len(words)) for words in WORDS
        )

    def forward(self, pixels):
        hidden = self.tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
        return [read(hidden) for read in self.read]


class Pointers(torch.nn.Module):
    """Stage 2: projected patches against the embeddings of the words; an empty place scores zero."""

    def __init__(self, model, tokenizer):
        super().__init__()
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector
        self.embedding = model.model.language_model.embed_tokens
        one = lambda word: tokenizer.encode(" " + word, add_special_tokens=False)[0]
        self.ids = [torch.tensor([one(word) for word in words]) for words in WORDS]

    def forward(self, pixels):
        hidden = self.tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
        projected = self.projector(hidden)
        scores = [linear(projected, self.embedding.weight[ids]) for ids in self.ids]
        return [torch.cat([torch.zeros_like(s[..., :1]), s], -1) for s in scores]


def train_patches(name, module, steps, pictures, data, args, log):
    """Stages 1 and 2: cross-entropy of each patch's labels, those of the place that the patch lies in."""
    path = os.path.join(args.out, f"{name}.pt")
    optimizer = muon_of(module, args.patch_lr)
    step = load_checkpoint(path, module, optimizer)
    rng = np.random.default_rng([args.seed, *name.encode()])
    hits = {part: [] for part in pictures}
    for done in range(steps):
        part = "primer" if rng.random() < 0.5 else "train"
        members = rng.integers(0, len(pictures[part]), 64)
        if done < step:
            continue
        set_lr(optimizer, step, steps, args.patch_lr, warmup=50)
        target = patch_labels(data[part].labels[members])  # B,64,5
        scores = module(to_pixels(pictures[part][members]))
        loss = sum(cross_entropy(s.flatten(0, 1), target[..., i].flatten()) for i, s in enumerate(scores))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        full = target[..., 0] > 0
        hits[part].append([float((s.argmax(-1) == target[..., i])[full].float().mean()) for i, s in enumerate(scores[:3])])
        step += 1
        if step % 100 == 0:
            right = {part: [round(float(x), 3) for x in np.mean(h, 0)] for part, h in hits.items()}
            log(stage=name, step=step, loss=round(loss.item(), 4), kind_colour_size=right)
            hits = {part: [] for part in pictures}
        if step % 500 == 0 or step == steps:
            save_checkpoint(path, module, optimizer, step)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=".attune/testbed/data/pictures")
    parser.add_argument("--out", default=".attune/testbed/vlm")
    parser.add_argument("--tower-steps", type=int, default=1600)
    parser.add_argument("--align-steps", type=int, default=300)
    parser.add_argument("--primer-steps", type=int, default=400)
    parser.add_argument("--late-from", type=int, default=1600, help="step from which captions, places and sizes weigh more")
    parser.add_argument("--steps", type=int, default=3400)
    parser.add_argument("--pictures", type=int, default=8, help="pictures per step")
    parser.add_argument("--patch-lr", type=float, default=3e-3)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--vocab", type=int, default=448)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    os.makedirs(args.out, exist_ok=True)
    log = Log(os.path.join(args.out, "log.jsonl"))
    rows = lambda name: stream_items(os.path.join(args.data, f"{name}.jsonl"))
    pictures = {name: read_pictures(os.path.join(args.data, f"{name}.rgb")) for name in ("primer", "train")}
    if not os.path.exists(os.path.join(args.out, "tokenizer.json")):
        texts = (turn["prompt"] + turn["target"] for row in islice(rows("train"), 20000) for turn in row["turns"])
        train_tokenizer(texts, args.vocab, image_token=True).save_pretrained(args.out)
    tokenizer = AutoTokenizer.from_pretrained(args.out)
    data = {name: Conversations(rows(name), tokenizer) for name in pictures}

    model = build_model(tokenizer)
    log(event="start", parameters=sum(p.numel() for p in model.parameters()), vocabulary=len(tokenizer),
        pictures=len(pictures["train"]), tower=sum(p.numel() for p in model.model.vision_tower.parameters()))
    checkpoint = os.path.join(args.out, "checkpoint.pt")
    if not os.path.exists(checkpoint):
        train_patches("tower", Readers(model), args.tower_steps, pictures, data, args, log)
        train_patches("align", Pointers(model, tokenizer), args.align_steps, pictures, data, args, log)

    model.model.vision_tower.requires_grad_(False)
    optimizer = muon_of(model, args.lr)
    step = load_checkpoint(checkpoint, model, optimizer)
    running = np.zeros(4)
    rng = np.random.default_rng([args.seed, 2])
    for done in range(args.steps):
        part = "primer" if done < args.primer_steps else "train"
        if done % POOL == 0 or done == args.primer_steps:
            pool = data[part].alike(rng.integers(0, len(pictures[part]), POOL * args.pictures), args.pictures, rng)
        members = pool.pop()
        if done < step:
            continue
        set_lr_plateau(optimizer, step, args.steps, args.lr, warmup=100)
        weights = EARLY if done < args.late_from else LATE
        loss, *means = loss_of(model, to_pixels(pictures[part][members]), data[part].batch(members), weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        running += np.array([x.item() for x in (loss, *means)])
        step += 1
        if step % 100 == 0:
            log(step=step, **dict(zip(("loss", "short", "caption", "place"), (round(float(x), 4) for x in running / 100))))
            running[:] = 0
        if step % 400 == 0 or step == args.steps:
            log(step=step, validation=accuracy(model, args.data, "validation", tokenizer))
            save_checkpoint(checkpoint, model, optimizer, step)
    model.save_pretrained(args.out)


if __name__ == "__main__":
    main()
