"""The exported language model as a PyTorch folder again, to go on training from it.

    python testbed/train/from_export.py testbed/models/worlds-lm .attune/testbed/lm-before

Reads the float32 weights out of onnx/model_gqa.onnx, whose names say what they are (decomposed export renames them).
"""

import os
import shutil
import sys

import onnx
import torch
from onnx import numpy_helper
from transformers import AutoConfig, LlamaForCausalLM


def state_of(graph, config):
    tensors = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    q, kv = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    final = f"model.layers.{config.num_hidden_layers}.final_norm_layernorm.weight"
    state = {"model.embed_tokens.weight": tensors["lm_head.MatMul.weight"].T.contiguous(), "model.norm.weight": tensors[final]}
    for i in range(config.num_hidden_layers):
        layer = f"model.layers.{i}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            state[f"{layer}.{norm}.weight"] = tensors[f"{layer}.{norm}.weight"]
        packed = tensors[f"{layer}.attn.qkv_proj.MatMul.weight"].T.split([q, kv, kv])
        for name, part in zip("qkv", packed):
            state[f"{layer}.self_attn.{name}_proj.weight"] = part.contiguous()
        state[f"{layer}.self_attn.o_proj.weight"] = tensors[f"{layer}.attn.o_proj.MatMul.weight"].T.contiguous()
        for name in ("gate", "up", "down"):
            state[f"{layer}.mlp.{name}_proj.weight"] = tensors[f"{layer}.mlp.{name}_proj.MatMul.weight"].T.contiguous()
    return state


def main():
    source, target = sys.argv[1:3]
    model = LlamaForCausalLM(AutoConfig.from_pretrained(source))
    state = state_of(onnx.load(os.path.join(source, "onnx", "model_gqa.onnx")).graph, model.config)
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and missing.missing_keys in ([], ["lm_head.weight"]), missing
    model.tie_weights()
    model.save_pretrained(target)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(os.path.join(source, name), os.path.join(target, name))


if __name__ == "__main__":
    main()
