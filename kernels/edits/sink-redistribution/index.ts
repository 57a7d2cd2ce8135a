/**
 * Visual attention redistribution (Kang et al., arXiv 2503.03321): in rows and heads that look at the image, every sink
 * gives the share p of its weight to the visual keys that are no sinks, in proportion.
 *
 *   selected: m_V ≥ m_min and m_A / m_V ≥ ρ and m_A > 0
 *   P'_t = (1 − p) P_t on sinks,  P_t (1 + p m_S / m_A) on visual non-sinks,  P_t elsewhere
 *
 * with m_V, m_A, m_S a row's weight on visual keys, on visual non-sinks, on all sinks (of text, too).
 */
import { defineEdit, type EditKnob } from '../edit.ts';
import type { Redistribution } from './options.ts';
import { redistributeRow } from './row.ts';
import { solveRedistribution } from './solve.ts';
import { redistributeMap, redistributeMapAsCode } from './transfer.ts';

const ROWS_FROM: EditKnob = {
  name: 'rows_from',
  axes: ['B'],
  neutral: 0,
  type: 'int64',
  doc: 'First position whose row may change.',
};

/** VAR: sinks give the share p of their weight to visual keys that are no sinks. */
export const sinkRedistribution = defineEdit<Redistribution>({
  kind: 'sink-redistribution',
  stage: 'probabilities',
  reference: 'VAR, arXiv 2503.03321; code seilk/VisAttnSink',
  knobs: ({ rows }) => [
    { name: 'sink', axes: ['B', 'T|1'], neutral: 0, doc: '1 at sinks, textual and visual.' },
    { name: 'visual', axes: ['B', 'T|1'], neutral: 0, doc: '1 at visual tokens.' },
    ...(rows ? [] : [ROWS_FROM]),
    { name: 'p', axes: ['B', 'H|1'], neutral: 0, doc: 'Share of every sink’s weight that moves.' },
    { name: 'rho', axes: ['B', 'H|1'], neutral: 0.5, doc: 'Smallest share of visual mass outside sinks.' },
    { name: 'min_visual', axes: ['B', 'H|1'], neutral: 0.2, doc: 'Smallest visual mass.' },
  ],
  solve: solveRedistribution,
  /** Gates no row is near: the test itself is a threshold, tried on golden vectors that keep a margin. */
  random({ B, T, tensor, uniform }) {
    const numbers = { p: uniform(), rho: uniform() < 0.5 ? 0 : 1.5, min_visual: 0 };
    const scalar = (value: number) => tensor([1, 1], () => value);
    return {
      options: { semantics: 'paper' },
      values: {
        sink: tensor([B, T], () => Number(uniform() < 0.1)),
        visual: tensor([B, T], () => Number(uniform() < 0.4)),
        rows_from: tensor([B], () => 0),
        p: scalar(numbers.p),
        rho: scalar(numbers.rho),
        min_visual: scalar(numbers.min_visual),
      },
    };
  },
  pattern({ semantics, rows }, call) {
    const [sink, visual] = [call.overKeys('sink', 1), call.overKeys('visual', 1)];
    const { emit, past, T } = call;
    const text = rows && emit('Sub', [emit.float(1), emit.slice(visual, 1, past, T)]); // [B|1, S]
    const form = semantics === 'paper' ? redistributeMap : redistributeMapAsCode;
    const numbers = ['p', 'rho', 'min_visual'].map(call.value);
    return (block, pattern) => {
      const { emit: e } = block;
      const eligible = text
        ? block.cutRows(text, 1)
        : e('GreaterOrEqual', [block.positions(), e('Unsqueeze', [call.value('rows_from'), e.ints(1)])]);
      const [sinks, visuals] = [sink, visual].map((x) => block.cutKeys(x, 1)) as [string, string];
      return e.call(form, pattern, sinks, visuals, eligible, ...numbers)[0]!;
    };
  },
  row: redistributeRow,
});
