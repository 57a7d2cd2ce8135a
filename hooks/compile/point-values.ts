/** Hook points of one graph, read and written: the point's axes on this side, the graph's layout on the other. */
import { AttuneError } from '../../errors.ts';
import type { EditContext } from '../../kernels/plan.ts';
import { lastRows } from '../../kernels/site/last-rows.ts';
import { fromBHST, fromBSHD } from '../../kernels/site/layout.ts';
import { type Derived, headShape, readPoint } from '../../kernels/site/read-point.ts';
import type { Emit } from '../../onnx/emitter.ts';
import { changeNode, DataType, type Node } from '../../onnx/index.ts';
import { isSkipNorm } from '../../sites/norm.ts';
import { type HookPoint, POINT_AXES, pointName } from '../../sites/points/index.ts';
import type { Site } from '../../sites/site.ts';
import type { Rewiring } from './rewiring.ts';

export class PointValues {
  readonly #emit: Emit;
  readonly #rewiring: Rewiring;
  readonly #derived: Derived = new Map();
  readonly #makerOf: (value: string) => Node | undefined;

  /** @param makerOf the node of the file that makes a value */
  constructor(emit: Emit, rewiring: Rewiring, makerOf: (value: string) => Node | undefined) {
    this.#emit = emit;
    this.#rewiring = rewiring;
    this.#makerOf = makerOf;
  }

  /** Name the sum that Skip*LayerNormalization computes silently, if the point wants it. */
  enableSum({ source, name }: HookPoint): void {
    if (source.from !== 'unnamed-sum') return;
    const { node, output } = source.enable;
    const current = this.#rewiring.current(node);
    if (current.outputs[output]) return;
    const outputs = [...current.outputs];
    while (outputs.length <= output) outputs.push('');
    outputs[output] = this.#emit.fresh(`sum/${name}`);
    this.#rewiring.change(node, changeNode(current, { outputs }));
  }

  /** In the point's normalised axes, as edits so far left it. */
  read(original: HookPoint): string {
    const point = this.#rewiring.point(original);
    const carrier = point.source.from === 'value' ? point.source.place.value : undefined;
    const now = carrier === undefined ? undefined : this.#rewiring.now(carrier);
    if (now !== carrier) return this.#renormalised(point, now!);
    return readPoint(this.#emit, this.#asEdited(point), this.#derived);
  }

  /** @throws AttuneError POINT_READ_ONLY, POINT_UNAVAILABLE */
  write(original: HookPoint, build: (value: string) => string): void {
    const point = this.#rewiring.point(original);
    if (point.source.from === 'beside') {
      throw new AttuneError('POINT_READ_ONLY', {
        at: point.name,
        found: `${point.site?.form ?? 'a fused operator'}, which computes this point inside one operator`,
        hint: 'hook_z can be written in every form; logits can be changed by a bias; or use an unfused export.',
      });
    }
    const value = readPoint(this.#emit, point, this.#derived);
    const carrier = point.source.from === 'value' ? point.source.place.value : value;
    const seen = this.#rewiring.now(carrier);
    const edited = build(seen === carrier ? value : this.#renormalised(point, seen));
    const written = this.#denormalised(point, edited);
    this.#rewiring.rewire(carrier, written);
    const maker = point.source.from === 'unnamed-sum' ? point.source.enable.node : this.#makerOf(carrier);
    if (maker) this.#normAgain(maker, written);
  }

  /**
   * A Skip*LayerNormalization gives a sum and its norm: who edits the sum edits the norm, which the same operator makes again of
   * the sum and nothing, so that an edit that changes nothing changes no bit.
   */
  #normAgain(maker: Node, sum: string): void {
    const [norm] = maker.outputs;
    if (!norm || !isSkipNorm(maker)) return;
    const nothing = this.#emit.op('Sub', [sum, sum], 'nothing');
    const scales = maker.inputs.slice(2, maker.opType === 'SkipSimplifiedLayerNormalization' ? 3 : 4);
    const [again] = this.#emit.copy(maker, [sum, nothing, ...scales], 1);
    this.#rewiring.rewire(norm, again!);
  }

  /** float32 [B, H, S, T]: the pattern of a site as edits so far left it. */
  pattern(site: Site): string {
    const { layer, tower, scope, pattern: place } = site;
    const source = place ? ({ from: 'value', place } as const) : ({ from: 'beside' } as const);
    const name = pointName('hook_pattern', site);
    const value = this.read({ name, kind: 'hook_pattern', layer, tower, scope, site, source });
    return this.#emit.cast(value, DataType.FLOAT);
  }

  /** float32 [B, H, rows, T]: the pattern in the last rows, as edits so far left it. */
  lastRows(emit: Emit, site: Site, rows: string): string {
    const pattern = site.pattern && this.#rewiring.now(site.pattern.value);
    return lastRows(emit, this.#rewiring.site(site), pattern, rows);
  }

  /** What is computed beside an operator is computed from what the operator reads after all edits. */
  #asEdited(point: HookPoint): HookPoint {
    const { site, source } = point;
    if (!site || source.from !== 'beside') return point;
    return { ...point, site: this.#rewiring.site(site) };
  }

  /** The point read again from a value that an earlier edit put in the carrier's place. */
  #renormalised(point: HookPoint, value: string): string {
    if (point.source.from !== 'value') return value;
    const source = { ...point.source, place: { ...point.source.place, value } };
    return readPoint(this.#emit, { ...point, source }, new Map());
  }

  #denormalised(point: HookPoint, value: string): string {
    if (point.source.from !== 'value') return value;
    const e = this.#emit;
    if (POINT_AXES[point.kind] === 'BSM') {
      const { plus } = point.source;
      return plus === undefined ? value : e.op('Sub', [value, plus], 'without_bias');
    }
    const { place } = point.source;
    const type = point.site?.elemType;
    const typed = type !== undefined && type !== DataType.FLOAT ? e.cast(value, type) : value;
    if (POINT_AXES[point.kind] === 'BHST') return fromBHST(e, typed, place);
    return fromBSHD(e, typed, place, headShape(point.site!, point.kind));
  }
}

/** [B] int64: ArgMax takes the first of equal maxima, and the mask is 0 or 1. */
export function firstToken(e: Emit, attentionMask: EditContext['attentionMask']): string {
  if (attentionMask === undefined) return e.ints(0);
  return e.op('ArgMax', [attentionMask], 'first_token', { axis: 1, keepdims: 0 });
}
