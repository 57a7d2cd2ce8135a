/** Everything that the numbers depend on, with hashes, and the command that makes them again. */
import type { ReadableReport } from './document.ts';
import { html, type Markup } from './markup.ts';

export function configuration({ document, command }: ReadableReport): Markup {
  const { software, models, modelOptions, options, tasks, runs } = document;
  const { seed, limit, sampleIds, resamples, level, skipBad } = options;
  const settings = new Map(runs.map(({ specHash, ...run }) => [specHash, run]));
  return html`<pre>${command}</pre>
<dl>${models.map(({ name, fingerprint }) => html`<dt>model</dt><dd>${name}<br><code>${fingerprint}</code></dd>`)}
<dt>number type, device</dt><dd>${modelOptions.dtype ?? 'fp32'}, ${modelOptions.device ?? 'cpu'}${modelOptions.modelFile && `, onnx/${modelOptions.modelFile}`}</dd>
${modelOptions.chat && html`<dt>chat</dt><dd>by the model’s template, ${modelOptions.chat.system === undefined ? 'no system turn of our own' : `system turn ${JSON.stringify(modelOptions.chat.system)}`}</dd>`}
<dt>sample</dt><dd>${limit === undefined ? 'the items that each task names below' : `${limit} items of each task`}${sampleIds && `, of the ids ${sampleIds.join(', ')}`}; seed ${seed}${skipBad && '; bad records are counted and left out'}</dd>
<dt>bootstrap</dt><dd>${resamples} resamples, seed ${seed}; level ${level}</dd>
<dt>software</dt><dd>${Object.entries(software)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}</dd></dl>
<h3>Tasks</h3>
${tasks.map(
  ({
    name,
    split,
    definition,
    files,
    records,
    items,
    bad,
  }) => html`<dl><dt>${name}</dt><dd>${items} of ${records} records of the split ${split}, ${bad.length} bad</dd>
<dt>definition</dt><dd><code>${definition}</code></dd>
${files.map(({ file, sha256 }) => html`<dt>${file}</dt><dd><code>${sha256}</code></dd>`)}</dl>`,
)}
<h3>Interventions</h3>
${[...settings]
  .filter(([, { specification }]) => specification.length > 0)
  .map(
    ([
      hash,
      { intervention, specification },
    ]) => html`<details><summary>${intervention} <code>${hash.slice(0, 12)}</code></summary>
<pre>${JSON.stringify(specification, null, 2)}</pre><p><code>${hash}</code></p></details>`,
  )}`;
}
