/**
 * Names of hook points, after TransformerLens (transformer_lens/hook_points.py): `blocks.3.attn.hook_pattern`.
 * Models with several residual streams put the stream in front: `decoder.blocks.0.cross_attn.hook_z`.
 */
import { AttuneError, nearest } from '../../errors.ts';

/**
 * Axes of a delivered tensor, whatever the graph form. B batch, S query positions, T key positions, H query heads,
 * K key/value heads, D head size, M model width.
 */
export const POINT_AXES = {
  hook_resid_pre: 'BSM',
  hook_resid_mid: 'BSM',
  hook_resid_mid_cross: 'BSM',
  hook_resid_post: 'BSM',
  hook_attn_out: 'BSM',
  hook_cross_attn_out: 'BSM',
  hook_mlp_out: 'BSM',
  hook_q: 'BSHD',
  hook_k: 'BSKD',
  hook_v: 'BSKD',
  hook_rot_q: 'BSHD',
  hook_rot_k: 'BSKD',
  hook_attn_scores: 'BHST',
  hook_pattern: 'BHST',
  hook_z: 'BSHD',
  hook_result: 'BSHM',
} as const;

/** The last part of a hook name, such as hook_pattern. */
export type PointKind = keyof typeof POINT_AXES;

/** Points of the residual stream stand in the block, the others in its attention. */
export const RESIDUAL_POINTS = [
  'hook_resid_pre',
  'hook_attn_out',
  'hook_resid_mid',
  'hook_cross_attn_out',
  'hook_resid_mid_cross',
  'hook_mlp_out',
  'hook_resid_post',
] as const satisfies readonly PointKind[];

/** Hook points of an attention, in order of execution. */
export const ATTENTION_POINTS = [
  'hook_q',
  'hook_k',
  'hook_v',
  'hook_rot_q',
  'hook_rot_k',
  'hook_attn_scores',
  'hook_pattern',
  'hook_z',
  'hook_result',
] as const satisfies readonly PointKind[];

/**
 * The name of a hook point.
 *
 * @example pointName('hook_z', { tower: '', layer: 3, attention: 'self' }); // blocks.3.attn.hook_z
 */
export function pointName(
  kind: PointKind,
  { tower, layer, attention }: { tower: string; layer: number; attention?: 'self' | 'cross' },
): string {
  const block = `${tower ? `${tower}.` : ''}blocks.${layer}`;
  if (attention === undefined) return `${block}.${kind}`;
  return `${block}.${attention === 'cross' ? 'cross_attn' : 'attn'}.${kind}`;
}

/**
 * Names chosen by one or several globs. `*` stands for any run of characters within a part between dots, `**` for
 * any run at all, `{a,b}` for alternatives; anything else is literal.
 *
 * @throws AttuneError HOOK_UNKNOWN for a glob that chooses nothing, with the nearest names
 */
export function selectNames(filter: string | readonly string[], names: readonly string[]): string[] {
  const chosen = new Set<string>();
  for (const glob of typeof filter === 'string' ? [filter] : filter) {
    const pattern = globPattern(glob);
    const matching = names.filter((name) => pattern.test(name));
    if (matching.length === 0) {
      const wildcard = /[*{]/.test(glob);
      throw new AttuneError('HOOK_UNKNOWN', {
        found: `${wildcard ? 'glob' : 'hook point'} "${glob}", which names no point of this model`,
        expected: `one of ${names.length} hook points`,
        hint:
          names.length === 0
            ? 'No attention was recognised; `attune inspect --explain` says why.'
            : `Nearest: ${nearest(glob.replaceAll('*', '0'), names).join(', ')}. \`attune inspect --points\` lists all.`,
      });
    }
    for (const name of matching) chosen.add(name);
  }
  return names.filter((name) => chosen.has(name));
}

function globPattern(glob: string): RegExp {
  const source = glob.replace(/\*\*|\*|\{[^{}]*\}|[.+^$()|[\]\\?{}]/g, (token) => {
    if (token === '**') return '.*';
    if (token === '*') return '[^.]*';
    if (token.length > 1 && token.startsWith('{')) {
      const alternatives = token.slice(1, -1).split(',');
      return `(?:${alternatives.map((text) => text.replace(/[.+^$()|[\]\\?]/g, '\\$&')).join('|')})`;
    }
    return `\\${token}`;
  });
  return new RegExp(`^${source}$`);
}
