import { expect, test } from 'vitest';
import { imagePrompts, llavaCases, loadLlava } from '../hooks/model/llava.test-support.ts';
import { vhr } from '../interventions/index.ts';
import { visionDivergence } from './vision-divergence.ts';

const [{ prompt, pixels, tokens }] = llavaCases() as [ReturnType<typeof llavaCases>[0]];

test.each(['llava', 'llava-gqa'])(
  '%s: after the prompt it is what VHR finds, token by token what a longer prompt gives',
  async (form) => {
    const model = await loadLlava(form);
    const found = await visionDivergence(
      model as never,
      imagePrompts([prompt], [pixels]) as never,
      tokens.slice(0, 5),
    );
    expect([found.layers, found.heads, found.vhd.length]).toEqual([2, 2, 5]);

    // Layer 0 is chosen on the baseline’s streams: VHR reports the same there. (Later layers see the reinforced stream.)
    model.use([vhr({ layers: 'all' })]);
    await model(imagePrompts([prompt], [pixels]));
    const reported = (model.attune.reports.get('vhr.vhd') as { data: Float32Array }).data;
    for (const head of [0, 1]) expect(found.vhd[0]![head]).toBeCloseTo(reported[head]!, 4);

    const longer = [...prompt, ...tokens.slice(0, 3)];
    const later = await visionDivergence(model as never, imagePrompts([longer], [pixels]) as never, [0]);
    expect(model.attune.interventions).toHaveLength(1);
    for (const [i, value] of later.vhd[0]!.entries()) expect(found.vhd[3]![i]).toBeCloseTo(value, 4);

    // The larger head of each layer.
    const [a, b, c, d] = found.vhd[1]!;
    expect(found.tVhd[1]).toBeCloseTo(Math.max(a!, b!) + Math.max(c!, d!), 4);
    await model.dispose();
  },
);

test('a prompt without a picture is refused', async () => {
  const model = await loadLlava('llava-gqa');
  await expect(visionDivergence(model as never, imagePrompts([[1, 9, 65]]) as never, [5])).rejects.toThrow(
    /IMAGE_SPANS_UNKNOWN/,
  );
  await model.dispose();
});
