"""Export the trained models in the layout of a Hub folder that transformers.js loads.

    python testbed/train/export.py lm  .attune/testbed/lm  testbed/models/worlds-lm
    python testbed/train/export.py vlm .attune/testbed/vlm testbed/models/worlds-vlm

Two forms of attention, by two real exporters: decomposed by optimum (language model) and torch.onnx (the parts of the
vision-language model, which optimum does not export), GroupQueryAttention by onnxruntime-genai's builder.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

import onnx
import torch
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoTokenizer, DynamicCache, LlamaForCausalLM, LlavaForConditionalGeneration

OPSET = 18


def inline(source, target):
    """One file without external data, and without the builder's host-specific node metadata."""
    model = onnx.load(source)
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
    onnx.save(model, target)


def decomposed(folder, target):
    """optimum: MatMul, Softmax, MatMul; separate projections; RoPE and RMSNorm as small operators; shared embedding."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(
            [sys.executable, "-m", "optimum.commands.optimum_cli", "export", "onnx", "--model", folder,
             "--task", "text-generation-with-past", "--opset", str(OPSET), out],
            check=True,
        )
        inline(os.path.join(out, "model.onnx"), target)


def grouped(folder, target, precision, *options):
    """onnxruntime-genai's builder: packed QKV, GroupQueryAttention with its rotary cache, SkipSimplifiedLayerNormalization."""
    with tempfile.TemporaryDirectory() as out, tempfile.TemporaryDirectory() as cache:
        extra = ["--extra_options", *options] if options else []
        subprocess.run(
            [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", folder, "-o", out, "-p", precision,
             "-e", "cpu", "-c", cache, *extra],
            check=True, stdout=subprocess.DEVNULL,
        )
        inline(os.path.join(out, "model.onnx"), target)


def share_weights(folder, paths, name):
    """Move the weights of several graphs into one external file, equal tensors once; names and graphs stay as they are."""
    places = {}
    with open(os.path.join(folder, name), "wb") as data:
        for path in paths:
            model = onnx.load(os.path.join(folder, path))
            for tensor in model.graph.initializer:
                raw = numpy_helper.to_array(tensor).tobytes()
                if len(raw) < 1024:
                    continue
                if raw not in places:
                    data.write(b"\0" * (-data.tell() % 64))
                    places[raw] = data.tell()
                    data.write(raw)
                tensor.raw_data = raw
                onnx.external_data_helper.set_external_data(tensor, name, places[raw], len(raw))
                tensor.ClearField("raw_data")
            with open(os.path.join(folder, path), "wb") as file:
                file.write(model.SerializeToString(deterministic=True))


def int8(source, target):
    """onnxruntime's dynamic quantisation of the weight matrices: MatMulInteger with scales per channel."""
    quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"],
                     extra_options={"MatMulConstBOnly": True})


def copy_companions(folder, out, config, generation):
    """Tokenizer and configuration as the Hub has them; the chat template inside tokenizer_config.json."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(out, save_jinja_files=False)
    for name, value in (("config.json", config), ("generation_config.json", generation)):
        with open(os.path.join(out, name), "w") as file:
            json.dump(value, file, indent=2)
            file.write("\n")


def generation_config(text):
    return {"bos_token_id": text["bos_token_id"], "eos_token_id": text["eos_token_id"],
            "pad_token_id": text["pad_token_id"], "do_sample": False, "max_length": 512}


def export_lm(folder, out):
    onnx_folder = os.path.join(out, "onnx")
    decomposed(folder, os.path.join(onnx_folder, "model.onnx"))
    grouped(folder, os.path.join(onnx_folder, "model_gqa.onnx"), "fp32")
    grouped(folder, os.path.join(onnx_folder, "model_gqa_q4.onnx"), "int4", "int4_block_size=32")
    share_weights(onnx_folder, ["model.onnx", "model_gqa.onnx"], "model.onnx_data")
    config = json.load(open(os.path.join(folder, "config.json")))
    config["transformers.js_config"] = {"use_external_data_format": {"model.onnx": 1}}
    copy_companions(folder, out, config, generation_config(config))


class VisionEncoder(torch.nn.Module):
    """pixel_values (B,3,64,64) to image_features (B,64,D)."""

    def __init__(self, model):
        super().__init__()
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector

    def forward(self, pixel_values):
        hidden = self.tower(pixel_values, output_hidden_states=True).hidden_states[-1]
        return self.projector(hidden[:, 1:])


class Decoder(torch.nn.Module):
    """inputs_embeds (B,S,D) with a cache: logits (B,S,V) and the longer cache, in the names of optimum's exports."""

    def __init__(self, causal):
        super().__init__()
        self.causal = causal

    def forward(self, inputs_embeds, attention_mask, position_ids, *past):
        cache = DynamicCache.from_legacy_cache(tuple(zip(past[0::2], past[1::2])))
        # The causal mask is written out, since transformers' own does not survive tracing. The least number and not −∞
        # where nothing may be seen, so that the rows of left padding stay finite.
        total, new = attention_mask.shape[1], inputs_embeds.shape[1]
        keys = torch.arange(total)
        seen = (keys[None, :] <= keys[total - new :, None])[None, None] & attention_mask[:, None, None, :].bool()
        mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)
        out = self.causal(inputs_embeds=inputs_embeds, attention_mask=mask, position_ids=position_ids,
                          past_key_values=cache, use_cache=True)
        return out.logits, *(x for layer in out.past_key_values.to_legacy_cache() for x in layer)


def trace(module, inputs, names, outputs, axes, target):
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), inputs, target, input_names=names, output_names=outputs, dynamic_axes=axes,
                          opset_version=OPSET, do_constant_folding=True, dynamo=False)


def decoder_lm(model, folder):
    """The decoder of the vision-language model as a language model of its own, for exporters that only know these."""
    config = model.config.text_config
    config.tie_word_embeddings = True
    causal = LlamaForCausalLM(config)
    causal.model.load_state_dict(model.model.language_model.state_dict())
    causal.tie_weights()
    causal.save_pretrained(folder)
    return causal.eval()


def export_vlm(folder, out):
    onnx_folder = os.path.join(out, "onnx")
    model = LlavaForConditionalGeneration.from_pretrained(folder).eval()
    text = model.config.text_config
    L, K, d, D = text.num_hidden_layers, text.num_key_value_heads, text.head_dim, text.hidden_size
    trace(VisionEncoder(model), (torch.randn(2, 3, 64, 64),), ["pixel_values"], ["image_features"],
          {"pixel_values": {0: "batch"}, "image_features": {0: "batch"}}, os.path.join(onnx_folder, "vision_encoder.onnx"))
    trace(model.model.language_model.embed_tokens, (torch.ones(2, 3, dtype=torch.int64),), ["input_ids"],
          ["inputs_embeds"], {n: {0: "batch", 1: "sequence"} for n in ("input_ids", "inputs_embeds")},
          os.path.join(onnx_folder, "embed_tokens.onnx"))

    with tempfile.TemporaryDirectory() as lm:
        causal = decoder_lm(model, lm)
        AutoTokenizer.from_pretrained(folder).save_pretrained(lm)
        names = [f"{{}}.{i}.{part}" for i in range(L) for part in ("key", "value")]
        past, present = [n.format("past_key_values") for n in names], [n.format("present") for n in names]
        axes = {"inputs_embeds": {0: "batch", 1: "sequence"}, "attention_mask": {0: "batch", 1: "total"},
                "position_ids": {0: "batch", 1: "sequence"}, "logits": {0: "batch", 1: "sequence"}}
        axes |= {n: {0: "batch", 2: "past"} for n in past} | {n: {0: "batch", 2: "total"} for n in present}
        inputs = (torch.randn(2, 3, D), torch.ones(2, 7, dtype=torch.int64), torch.arange(4, 7).repeat(2, 1),
                  *(torch.randn(2, K, 4, d) for _ in past))
        target = os.path.join(onnx_folder, "decoder_model_merged.onnx")
        trace(Decoder(causal), inputs, ["inputs_embeds", "attention_mask", "position_ids", *past], ["logits", *present],
              axes, target)
        grouped(lm, os.path.join(onnx_folder, "decoder_model_merged_gqa.onnx"), "fp32", "exclude_embeds=true")
        grouped(lm, os.path.join(onnx_folder, "decoder_model_merged_q4.onnx"), "int4", "exclude_embeds=true",
                "int4_block_size=32")
    int8(target, os.path.join(onnx_folder, "decoder_model_merged_quantized.onnx"))
    share_weights(onnx_folder, ["decoder_model_merged.onnx", "decoder_model_merged_gqa.onnx"], "decoder_model_merged.onnx_data")

    config = json.load(open(os.path.join(folder, "config.json")))
    config["text_config"] = text.to_dict()  # in full: other libraries do not know Python's defaults
    config["transformers.js_config"] = {"use_external_data_format": {"decoder_model_merged.onnx": 1}}
    copy_companions(folder, out, config, generation_config(config["text_config"]))
    # Both libraries count image tokens from these: 64 patches and no class token ("full" keeps Python from taking one off).
    processor = {"processor_class": "LlavaProcessor", "image_token": "<image>", "patch_size": 8,
                 "num_additional_image_tokens": 0, "vision_feature_select_strategy": "full"}
    size = {"height": 64, "width": 64}
    preprocessor = {"image_processor_type": "CLIPImageProcessor", "processor_class": "LlavaProcessor",
                    "do_resize": True, "size": size, "resample": 3, "do_center_crop": False, "do_rescale": True,
                    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
                    "do_convert_rgb": True}
    for name, value in (("processor_config.json", processor), ("preprocessor_config.json", preprocessor)):
        with open(os.path.join(out, name), "w") as file:
            json.dump(value, file, indent=2)
            file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=["lm", "vlm"])
    parser.add_argument("folder", help="what the training program wrote")
    parser.add_argument("out", help="Hub folder to write")
    args = parser.parse_args()
    torch.set_num_threads(1)
    shutil.rmtree(os.path.join(args.out, "onnx"), ignore_errors=True)
    os.makedirs(os.path.join(args.out, "onnx"))
    (export_lm if args.which == "lm" else export_vlm)(args.folder, args.out)


if __name__ == "__main__":
    main()
