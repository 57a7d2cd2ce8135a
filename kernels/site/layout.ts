/**
 * Between the layouts of graphs and the one convention of hook points: [B,S,H,D], [B,H,S,T], [B,S,M]. What goes
 * out normalised for a tap can come back for an edit.
 */
import { AttuneError } from '../../errors.ts';
import type { Emit, Length } from '../../onnx/emitter.ts';
import type { Layout, Place } from '../../sites/site.ts';

export interface HeadShape {
  /** Heads on the value's head axis: H, or K for k and v before repetition. */
  readonly heads: number;
  readonly dim: number;
  /** A value of the same rows with the batch on axis 0, for layouts that merge B away. */
  readonly batchOf?: string | undefined;
}

/** To [B,S,H,D]. */
export function toBSHD(e: Emit, { value, layout }: Place, { heads, dim, batchOf }: HeadShape): string {
  switch (layout) {
    case 'BSHD':
      return value;
    case 'BHSD':
      return e.transpose(value, [0, 2, 1, 3]);
    case 'BHDS':
      return e.transpose(value, [0, 3, 1, 2]);
    case 'BS(HD)':
      return e.reshape(value, [0, 0, heads, dim]);
    case '(BS)(HD)':
      return e.reshape(value, [batch(batchOf, value), -1, heads, dim]);
    case 'B(HD)S':
      return e.reshape(e.transpose(value, [0, 2, 1]), [0, 0, heads, dim]);
    case '(BH)SD':
      return e.transpose(e.reshape(value, [-1, heads, axis(value, 1), dim]), [0, 2, 1, 3]);
    case '(BH)DS':
      return e.transpose(e.reshape(value, [-1, heads, dim, axis(value, 2)]), [0, 3, 1, 2]);
    default:
      throw unsupported(value, layout);
  }
}

/** Back from [B,S,H,D] to the layout `place` had. */
export function fromBSHD(e: Emit, value: string, { layout }: Place, { heads, dim }: HeadShape): string {
  switch (layout) {
    case 'BSHD':
      return value;
    case 'BHSD':
      return e.transpose(value, [0, 2, 1, 3]);
    case 'BHDS':
      return e.transpose(value, [0, 2, 3, 1]);
    case 'BS(HD)':
      return e.reshape(value, [0, 0, heads * dim]);
    case '(BS)(HD)':
      return e.reshape(value, [-1, heads * dim]);
    case 'B(HD)S':
      return e.transpose(e.reshape(value, [0, 0, heads * dim]), [0, 2, 1]);
    case '(BH)SD': {
      const bhsd = e.transpose(value, [0, 2, 1, 3]);
      return e.reshape(bhsd, [-1, axis(value, 1), dim]);
    }
    case '(BH)DS': {
      const bhds = e.transpose(value, [0, 2, 3, 1]);
      return e.reshape(bhds, [-1, dim, axis(value, 1)]);
    }
    default:
      throw unsupported(value, layout);
  }
}

/** To [B,H,S,T]. */
export function toBHST(e: Emit, { value, layout }: Place, heads: number): string {
  if (layout === 'BHST') return value;
  if (layout === '(BH)ST') return e.reshape(value, [-1, heads, axis(value, 1), axis(value, 2)]);
  throw unsupported(value, layout);
}

export function fromBHST(e: Emit, value: string, { layout }: Place): string {
  if (layout === 'BHST') return value;
  if (layout === '(BH)ST') return e.reshape(value, [-1, axis(value, 2), axis(value, 3)]);
  throw unsupported(value, layout);
}

function axis(of: string, index: number): Length {
  return { of, axis: index };
}

function batch(batchOf: string | undefined, value: string): Length {
  if (batchOf !== undefined) return { of: batchOf, axis: 0 };
  throw new AttuneError('LAYOUT_AMBIGUOUS', {
    at: value,
    found: 'batch and sequence merged into one axis, and no other value to tell them apart',
    hint: 'This point of this export cannot be tapped; its neighbours (hook_rot_q, hook_z) may be.',
  });
}

function unsupported(value: string, layout: Layout): AttuneError {
  return new AttuneError('LAYOUT_UNSUPPORTED', {
    at: value,
    found: `layout ${layout}`,
    hint: 'Please report this export with `attune inspect --explain`.',
  });
}
