/** The playground as a static folder: the page, the testbed's models, and the ONNX Runtime of transformers.js. */
import { cpSync, createReadStream, existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const RUNTIME = dirname(
  createRequire(createRequire(import.meta.url).resolve('@huggingface/transformers')).resolve(
    'onnxruntime-web',
  ),
);

/** Of each model, in its folder. */
const MODELS: Readonly<Record<string, readonly string[]>> = {
  'worlds-lm': ['tokenizer.json', 'tokenizer_config.json', 'onnx/model.onnx', 'onnx/model.onnx_data'],
  'worlds-vlm': [
    'tokenizer.json',
    'tokenizer_config.json',
    'processor_config.json',
    'preprocessor_config.json',
    'onnx/embed_tokens.onnx',
    'onnx/vision_encoder.onnx',
    'onnx/decoder_model_merged.onnx',
    'onnx/decoder_model_merged.onnx_data',
  ],
};
const ALWAYS = ['config.json', 'generation_config.json'];

/** Where each file of the site comes from. */
const FILES: Readonly<Record<string, string>> = Object.fromEntries([
  ...Object.entries(MODELS).flatMap(([model, files]) =>
    [...ALWAYS, ...files].map((file) => [
      `models/${model}/${file}`,
      join(REPOSITORY, 'testbed/models', model, file),
    ]),
  ),
  ...['mjs', 'wasm'].map((ending) => {
    const file = `ort-wasm-simd-threaded.asyncify.${ending}`;
    return [`ort/${file}`, join(RUNTIME, file)];
  }),
]);

const TYPES: Readonly<Record<string, string>> = {
  mjs: 'text/javascript',
  json: 'application/json',
  wasm: 'application/wasm',
};

const files: Plugin = {
  name: 'files of the model and the runtime',
  configureServer(server) {
    server.middlewares.use((request, response, next) => {
      const path = (request.url ?? '').replace(/^\//, '').replace(/\?.*$/, '');
      const file = FILES[path];
      if (file === undefined || !existsSync(file)) return next();
      response.setHeader('Content-Type', TYPES[path.split('.').pop() ?? ''] ?? 'application/octet-stream');
      createReadStream(file).pipe(response);
    });
  },
  // The runtime is in ort/ already, where it keeps its name.
  generateBundle(_, bundle) {
    for (const name of Object.keys(bundle)) if (name.endsWith('.wasm')) delete bundle[name];
  },
  writeBundle({ dir }) {
    for (const [path, file] of Object.entries(FILES)) {
      const to = join(dir ?? '', path);
      mkdirSync(dirname(to), { recursive: true });
      cpSync(file, to);
    }
  },
};

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [files],
  build: {
    target: 'es2022',
    outDir: join(REPOSITORY, '.attune/playground'),
    emptyOutDir: true,
    chunkSizeWarningLimit: 2000,
  },
});
