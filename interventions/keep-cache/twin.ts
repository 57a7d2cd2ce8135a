/**
 * The twin of a bounded cache: every key is held, and those that would have gone are hidden by a bias. It saves nothing; that it
 * gives the same tokens is what the other one is checked by. Letters: L layers, B rows, H query heads, T keys.
 */
import type { Edit, Knob, KnobValue } from '../../hooks/compile/index.ts';
import type { ModelFacts } from '../../hooks/model/index.ts';
import type { OrtTensor } from '../../hooks/session/index.ts';
import { DataType } from '../../onnx/index.ts';
import { keyLength } from '../key-length.ts';
import { compacted, scattered } from './compact.ts';
import { type CacheTensors, type Making, reduced } from './evict.ts';
import type { Kept } from './kept.ts';
import type { CacheLayout } from './layout.ts';

const HIDDEN = 'attune.keep_cache.hidden';
/** Finite, and far below any logit. */
const GONE = -1e9;

export const hiddenKnob = ({ decoder: { length: L } }: ModelFacts): Knob => ({
  name: HIDDEN,
  elemType: DataType.FLOAT,
  shape: [L, `${HIDDEN}:rows`, `${HIDDEN}:heads`, `${HIDDEN}:keys`],
  neutral: { dims: [L, 1, 1, 1], data: new Float32Array(L) },
});

export const hiddenEdits = ({ decoder }: ModelFacts): Edit[] =>
  decoder.map((site, layer) => ({
    kind: 'bias',
    site,
    multipleOf: HIDDEN,
    build: ({ emit, attentionMask }) => {
      const bias = emit.op('Gather', [HIDDEN, emit.int(layer)], 'hidden', { axis: 0 }); // [B, H, T]
      const T = attentionMask ? emit.dim(attentionMask, 1) : keyLength(emit, site);
      const shape = emit.op('Concat', [emit.ints(1, 1, 1), T], 'keys', { axis: 0 });
      return emit.op('Expand', [emit.op('Unsqueeze', [bias, emit.ints(2)], 'rows'), shape], 'hidden');
    },
  }));

/** What is hidden in a call of S new tokens: [L, B, H, T]. */
export function hidden(kept: Kept, S: number, { decoder }: ModelFacts): Record<string, KnobValue> {
  const { B, tokens } = kept;
  const T = tokens + S;
  const H = decoder[0]!.numHeads;
  const data = new Float32Array(decoder.length * B * H * T);
  decoder.forEach((site, layer) => {
    for (let row = 0; row < B; row++) {
      for (let head = 0; head < H; head++) {
        const group = kept.group(layer, row, Math.floor((head * site.kvHeads) / H));
        const at = ((layer * B + row) * H + head) * T;
        data.fill(GONE, at, at + tokens);
        for (const column of kept.columns(group)) data[at + column] = 0;
      }
    }
  });
  return { [HIDDEN]: { dims: [decoder.length, B, H, T], data } };
}

/** As `reduced`, on caches that hold every key: those that stay are turned where they are. */
export async function reducedInPlace(
  kept: Kept,
  tensors: CacheTensors,
  budget: number,
  making: Making,
): ReturnType<typeof reduced> {
  const { layout, own } = making;
  const held = await eachTensor(layout, (name, layer) => {
    return compacted(tensors[name]!, {
      slots: (row, head) => kept.columns(kept.group(layer, row, head)),
    });
  });
  const less = await reduced(kept, held, budget, making);
  if (own.spec.positions === 'true') return { kept: less.kept, tensors };
  const all = await eachTensor(layout, (name, layer) =>
    scattered(tensors[name]!, less.tensors[name]!, (row, head) =>
      less.kept.columns(less.kept.group(layer, row, head)),
    ),
  );
  return { kept: less.kept, tensors: all };
}

async function eachTensor(
  { layers }: CacheLayout,
  make: (name: string, layer: number) => Promise<OrtTensor>,
): Promise<CacheTensors> {
  const all = layers.map(async ({ key, value }, layer) => [
    [key.past, await make(key.past, layer)] as const,
    [value.past, await make(value.past, layer)] as const,
  ]);
  return Object.fromEntries((await Promise.all(all)).flat());
}
