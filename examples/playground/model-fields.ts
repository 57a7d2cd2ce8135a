/** Another model than the page's own: of the Hub, or in a folder of the visitor's. */
import { env } from '@huggingface/transformers';
import { html, type TemplateResult } from 'lit-html';
import { folderCache } from '../../hooks/index.ts';
import type { App } from './app.ts';

const DTYPES = ['q4', 'q4f16', 'q8', 'fp16', 'fp32'];

export function modelFields(app: App): TemplateResult {
  const { model, scene } = app.state;
  const own = scene === 'picture' ? 'worlds-vlm' : 'worlds-lm';
  const read = (id: string) => (document.getElementById(id) as HTMLInputElement).value.trim();
  const load = () => {
    const id = read('model-id');
    const dtype = read('model-dtype');
    app.change({ model: id === '' || id === own ? undefined : { id, dtype } });
  };
  const pick = (event: Event) => {
    const files = [...((event.target as HTMLInputElement).files ?? [])];
    const folder = files[0]?.webkitRelativePath.split('/')[0];
    if (!folder) return;
    Object.assign(env, { useCustomCache: true, customCache: folderCache(files, folder) });
    app.change({ model: { id: folder, dtype: read('model-dtype') } });
  };
  return html`<details ?open=${model !== undefined}><summary>Another model</summary>
    <p class="soft">Any small ONNX model: from the Hub, which needs a network, or from a folder of yours in Hub layout, which does not.</p>
    <label for="model-id">Hub id</label><input type="text" id="model-id" spellcheck="false" placeholder="onnx-community/Qwen2.5-0.5B-Instruct"
      .value=${model?.id ?? own} />
    <label for="model-dtype">Number type</label><select id="model-dtype">${DTYPES.map(
      (dtype) => html`<option ?selected=${dtype === (model?.dtype ?? 'q4')}>${dtype}</option>`,
    )}</select>
    <p class="keep"><button type="button" @click=${load}>Load</button>
      <label class="file">or a folder <input type="file" webkitdirectory @change=${pick} /></label></p></details>`;
}
