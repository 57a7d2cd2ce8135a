// Puts the data that the package ships beside the built code: the demo's models, their profiles, golden vectors for `attune verify`.
// Which file is for what is written here and nowhere else; eval/cli/shipped.ts finds them.
import { chmodSync, cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const TOKENIZER = ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'];
const MODELS = {
  'worlds-lm': [
    'config.json',
    'generation_config.json',
    ...TOKENIZER,
    'onnx/model.onnx',
    'onnx/model.onnx_data',
  ],
  // Its decoder in 4 bits: with that of float32 the package would be over 10 MB.
  'worlds-vlm': [
    'config.json',
    'generation_config.json',
    'preprocessor_config.json',
    'processor_config.json',
    ...TOKENIZER,
    'onnx/decoder_model_merged_q4.onnx',
    'onnx/embed_tokens.onnx',
    'onnx/vision_encoder.onnx',
  ],
};
const PROFILES = /^worlds-(documents|choice|vlm)[.].*profile[.]json$/;

const data = 'dist/data';
for (const [model, files] of Object.entries(MODELS)) {
  for (const file of files) {
    const to = join(data, 'models', model, file);
    mkdirSync(join(to, '..'), { recursive: true });
    cpSync(join('testbed/models', model, file), to);
  }
}
copy('bench/results/profiles', 'profiles', PROFILES);
copy('testbed/golden', 'golden', /[.]json$/);
chmodSync('dist/eval/cli/main.js', 0o755);

function copy(from, to, pattern) {
  rmSync(join(data, to), { recursive: true, force: true });
  mkdirSync(join(data, to), { recursive: true });
  for (const name of readdirSync(from))
    if (pattern.test(name)) cpSync(join(from, name), join(data, to, name));
}
