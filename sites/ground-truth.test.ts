/** Recognition scored on graphs made by real exporters, with the ground truth that lies beside the repository. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkExternalFiles, openModel } from '../onnx/index.ts';
import { beside, onlyBeside } from '../testbed/only-where.test-support.ts';
import { type Score, score, type Truth } from './ground-truth.ts';
import { type Recognition, recognise } from './index.ts';

const ROOT = beside('onnx');
const collection = onlyBeside('onnx/sites.json');
const { present } = collection;

async function recogniseFile(path: string): Promise<Recognition> {
  const file = await openModel(path);
  const found = recognise(file.model, { source: file.source });
  file.close();
  return found;
}

/**
 * The scores of this test graph are divided by a mask given at run time. The truth writes a scale of 1 for "none";
 * a site says undefined for a run-time value, and warns.
 */
const RUN_TIME_SCALE = 'ort-fusion-graphs/transform/model_parallel/self_attention_megatron_basic_test.onnx';

collection.describe('ground truth', () => {
  const truth = Object.entries(
    present ? (JSON.parse(readFileSync(join(ROOT, 'sites.json'), 'utf8')) as object) : {},
  )
    .filter(([file]) => !file.startsWith('_'))
    .map(([file, entry]) => [file, entry as Truth] as const);
  const scores: Score[] = [];

  test.each(truth.filter(([, entry]) => entry.expect === 'sites'))('%s', async (file, entry) => {
    const result = score(file, entry, await recogniseFile(join(ROOT, file)));
    scores.push(result);
    const expected = file === RUN_TIME_SCALE ? [`${file}: site 0: scale: found undefined, expected 1`] : [];
    expect(result.wrong).toEqual(expected);
  });

  test('precision and recall over all files that hold sites', () => {
    const total = (count: (score: Score) => number) => scores.reduce((sum, one) => sum + count(one), 0);
    const [found, expected, matched] = [
      total((s) => s.found),
      total((s) => s.expected),
      total((s) => s.matched),
    ];
    console.info(
      `${matched} of ${expected} sites, ${found} found, ${total((s) => s.compared)} fields compared, ` +
        `${total((s) => s.wrong.length)} differ`,
    );
    expect(expected).toBe(115);
    expect(matched / found).toBe(1);
    expect(matched / expected).toBeGreaterThanOrEqual(0.97);
  });

  test.each(truth.filter(([, { refuse }]) => refuse.some(({ level }) => level === 'must')))(
    '%s is refused with a reason',
    async (file) => {
      const { sites, refused } = await recogniseFile(join(ROOT, file));
      expect(sites).toEqual([]);
      const [first] = refused.filter(({ level }) => level === 'refuse');
      expect(first?.reason.length).toBeGreaterThan(20);
    },
  );

  /** What the operator alone decides, not the graph: whether ONNX Runtime can optimise the file. */
  const NOT_IN_THE_GRAPH = 'exporter-llama/ut_xoptim/data/shape-dort-dynamic-llama-custom__0.onnx';
  const limited = truth.filter(
    ([file, { refuse }]) => file !== NOT_IN_THE_GRAPH && refuse.some(({ level }) => level === 'may'),
  );
  test.each(limited)('%s: the limitation is not passed over in silence', async (file, { refuse }) => {
    const { refused } = await recogniseFile(join(ROOT, file));
    if (refuse.some(({ reason }) => reason.includes('external file'))) {
      const { model } = await openModel(join(ROOT, file));
      expect(() => checkExternalFiles(model, join(ROOT, file))).toThrow('EXTERNAL_DATA_MISSING');
    } else {
      expect(refused.map(({ level }) => level)).toContain('warn');
    }
  });
});

collection.describe('operator conformance graphs', () => {
  const folders = ['onnx-node-tests', 'onnx-node-tests-v1.20.0'].flatMap((set) =>
    (present ? readdirSync(join(ROOT, set)) : []).map((name) => ({
      name,
      path: join(ROOT, set, name, 'model.onnx'),
    })),
  );
  const graphs = folders.filter(({ path }) => existsSync(path));
  const isAttention = (name: string) => name.startsWith('test_attention');
  const isExpanded = (name: string) => name.includes('_expanded');
  const operators = graphs.filter(({ name }) => isAttention(name) && !isExpanded(name));
  const expanded = graphs.filter(({ name }) => isAttention(name) && isExpanded(name));
  const others = graphs.filter(({ name }) => !isAttention(name));

  test('are the ones described', () => {
    expect([operators.length, expanded.length, others.length]).toEqual([51 + 8, 51, 31]);
  });

  test.each(operators)('$name: one ai.onnx Attention', async ({ path }) => {
    const { sites } = await recogniseFile(path);
    expect(sites.map(({ form }) => form)).toEqual(['P5']);
  });

  test.each(expanded)('$name: one decomposed attention, the same as the operator', async ({ path }) => {
    const { sites } = await recogniseFile(path);
    expect(sites.map(({ form }) => form.slice(0, 2))).toEqual(['P6']);
    const [site] = sites;
    const [operator] = (await recogniseFile(path.replace('_expanded', ''))).sites;
    for (const field of ['numHeads', 'kvHeads', 'headDim', 'valueDim', 'causal', 'softcap'] as const) {
      expect([field, site![field]]).toEqual([field, operator![field]]);
    }
    expect(site!.scale).toBeCloseTo(operator!.scale!, 6);
  });

  test.each(others)('$name: no attention', async ({ path }) => {
    const { sites, refused } = await recogniseFile(path);
    expect(sites).toEqual([]);
    expect(refused.map(({ code }) => code)).toEqual(['NO_ATTENTION']);
  });
});
