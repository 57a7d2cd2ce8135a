/** attune inspect: what attention a model has and what can be hooked, without running it. */
import { writeFileSync } from 'node:fs';
import { openModel } from '../../onnx/index.ts';
import type { Site } from '../../sites/index.ts';
import { type HookPoint, POINT_AXES } from '../../sites/points/index.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';
import { findGraph, findGraphs } from './graphs.ts';
import { inspectPage } from './inspect-page.ts';
import { type Inspection, inspect, inspectionJson, type Lowered, loweringsOf } from './inspection.ts';

const USAGE: Usage = {
  command: 'inspect',
  summary: 'show the attention sites and hook points of a model',
  positionals: '<folder|file.onnx>',
  flags: {
    file: {
      type: 'string',
      value: '<name>',
      description: 'which graph of the folder, such as decoder_model_merged',
    },
    ep: {
      type: 'string',
      value: '<name>',
      description: 'execution provider lowerings are chosen for; default cpu',
    },
    json: { type: 'boolean', description: 'one JSON document on stdout' },
    points: { type: 'boolean', description: 'list every hook point, and why one is not available' },
    explain: { type: 'boolean', description: 'show what almost matched, with the node and the reason' },
    html: {
      type: 'string',
      value: '<page.html>',
      description: 'write a self-contained page with the layer and head map',
    },
  },
  examples: [
    'attune inspect models/Qwen2.5-0.5B-Instruct',
    'attune inspect models/llava --file vision_encoder --points',
    'attune inspect model.onnx --json > sites.json',
    'attune inspect model.onnx --html model.html',
  ],
};

export async function inspectCommand(argv: readonly string[]): Promise<number> {
  const args = readArguments(USAGE, argv);
  const target = args.positionals[0];
  if (args.flag('help') || target === undefined) {
    process.stdout.write(helpText(USAGE));
    return args.flag('help') ? 0 : 1;
  }
  const graph = findGraph(target, args.text('file') ?? mainGraph(target));
  const file = await openModel(graph);
  try {
    const inspection = inspect(file, graph, args.text('ep'));
    const html = args.text('html');
    if (html !== undefined) {
      writeFileSync(html, inspectPage(inspection));
      process.stderr.write(`wrote ${html}\n`);
    }
    if (args.flag('json')) process.stdout.write(`${JSON.stringify(inspectionJson(inspection))}\n`);
    else
      process.stdout.write(
        inspectionText(inspection, { points: args.flag('points'), explain: args.flag('explain') }),
      );
    return 0;
  } finally {
    file.close();
  }
}

/** Of the three graphs of a vision-language folder, the decoder is the one people mean. */
function mainGraph(target: string): string | undefined {
  const all = findGraphs(target);
  if (all.length < 2) return undefined;
  const preferred = [
    'model.onnx',
    'decoder_model_merged.onnx',
    'decoder_with_past_model.onnx',
    'decoder_model.onnx',
  ];
  return preferred.find((name) => all.some((path) => path.endsWith(name)));
}

function inspectionText(inspection: Inspection, show: { points: boolean; explain: boolean }): string {
  const { file, producer, opset, irVersion, nodeCount, config, recognition, points } = inspection;
  const lines = [
    file,
    `  producer ${producer || 'unknown'} · IR ${irVersion} · opset ${opset ?? '?'} · ${nodeCount} nodes` +
      (config?.model_type ? ` · ${String(config.model_type)}` : ''),
    '',
  ];
  if (recognition.sites.length === 0) lines.push('No attention sites.');
  else lines.push(...siteTable(recognition.sites));
  lines.push(...loweringTable(inspection));
  const available = points.filter(({ source }) => source.from !== 'nowhere');
  lines.push('', ...pointSummary(available, points.length));
  if (show.points) {
    lines.push('');
    for (const { name, kind, source } of points) {
      const state =
        source.from === 'nowhere'
          ? `not available: ${source.reason}`
          : `[${[...POINT_AXES[kind]].join(',')}]`;
      lines.push(`  ${name.padEnd(44)} ${state}`);
    }
  }
  const refused = recognition.refused;
  if (refused.length > 0) {
    lines.push('', 'Refused or limited:');
    for (const { level, node, reason } of refused)
      lines.push(`  ${level === 'refuse' ? '✗' : '!'} ${node}: ${reason}`);
  }
  if (show.explain) {
    lines.push('', recognition.nearMisses.length > 0 ? 'Almost matched:' : 'Nothing almost matched.');
    for (const { rule, node, reason } of recognition.nearMisses)
      lines.push(`  ${rule} at ${node}: ${reason}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Sites as a table; runs of layers that look the same share a row. */
function siteTable(sites: readonly Site[]): string[] {
  const describe = (site: Site) => [
    site.tower || '-',
    site.attention,
    site.form,
    `${site.numHeads}/${site.kvHeads} × ${site.headDim}`,
    site.rotary ? `${site.rotary.by}${site.rotary.interleaved ? ', interleaved' : ''}` : '-',
    `${site.causal === true ? 'causal' : site.causal === false ? 'full' : site.causal === 'data' ? 'by data' : 'unknown'}${site.window ? `, window ${site.window}` : ''}`,
    site.past ? 'cache' : '-',
    site.scope.length > 0
      ? site.scope.map(({ node, attribute }) => `${node.opType}.${attribute}`).join('/')
      : '',
  ];
  const rows: { from: number; to: number; cells: string[] }[] = [];
  for (const site of sites) {
    const cells = describe(site);
    const same = rows.find(
      (row) => row.to === site.layer - 1 && row.cells.every((cell, i) => cell === cells[i]),
    );
    if (same) same.to = site.layer;
    else rows.push({ from: site.layer, to: site.layer, cells });
  }
  const table = [
    ['layers', 'tower', 'kind', 'form', 'heads/kv × dim', 'rotary', 'mask', 'cache', ''],
    ...rows.map(({ from, to, cells }) => [from === to ? `${from}` : `${from}–${to}`, ...cells]),
  ];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const title = `${sites.length} attention site${sites.length === 1 ? '' : 's'}`;
  return [
    title,
    ...table.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')}`.trimEnd()),
  ];
}

/** Sites that choose alike share a paragraph. */
function loweringTable(inspection: Inspection): string[] {
  const { bySite, refused } = loweringsOf(inspection);
  const paragraphs = new Map<string, { sites: Site[]; lines: string[] }>();
  for (const [site, methods] of bySite) {
    const lines = Object.entries(methods).map(
      ([method, taken]) => `  ${method.padEnd(20)} ${loweringLine(taken)}`,
    );
    const key = `${site.form}\n${lines.join('\n')}`;
    const known = paragraphs.get(key) ?? { sites: [], lines };
    known.sites.push(site);
    paragraphs.set(key, known);
  }
  const told = [...paragraphs.values()].filter(({ lines }) => lines.length > 0);
  return [
    ...told.flatMap(({ sites, lines }) => [
      '',
      `Lowerings of ${sites[0]!.form} on ${inspection.ep} (${sites.length} of ${bySite.size} sites); ratios to the untouched operator, decoding/prompts:`,
      ...lines,
    ]),
    ...Object.entries(refused).map(([method, reason]) => `  ${method.padEnd(20)} refused: ${reason}`),
  ];
}

function loweringLine(taken: Lowered): string {
  if ('refused' in taken) return `refused: ${taken.refused}`;
  const { lowering, why, besides, measured } = taken;
  const ratios = measured.map((one) => `${one.lowering} ${times(one.decode)}/${times(one.prefill)}`);
  return `${[lowering, ...besides].join(' + ').padEnd(24)} ${[why, ...ratios].join(' · ')}`;
}

function times(ratio: number): string {
  return Number.isFinite(ratio) ? ratio.toFixed(2) : '–';
}

function pointSummary(available: readonly HookPoint[], total: number): string[] {
  const byKind = new Map<string, number>();
  for (const { kind } of available) byKind.set(kind, (byKind.get(kind) ?? 0) + 1);
  const kinds = [...byKind].map(([kind, count]) => `${kind.replace('hook_', '')} ${count}`);
  return [
    `${available.length} of ${total} hook points`,
    ...(kinds.length > 0 ? [`  ${kinds.join(' · ')}`] : []),
  ];
}
