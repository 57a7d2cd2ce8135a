/**
 * How a graph reads after edits: nodes of the file that were changed, and values in whose place their readers get others.
 * The graph itself stays as it came until it is written out.
 */
import { changeNode, type Node } from '../../onnx/index.ts';
import type { HookPoint } from '../../sites/points/index.ts';
import type { Place, Site, Stages } from '../../sites/site.ts';

export class Rewiring {
  /** Nodes of the file that were changed, by the original. */
  readonly #changed = new Map<Node, Node>();
  /** Value to the value its readers in the file read instead. */
  readonly #rewired = new Map<string, string>();

  /** A node of the file with what was done to itself; its inputs keep their names. */
  current(node: Node): Node {
    return this.#changed.get(node) ?? node;
  }

  change(node: Node, to: Node): void {
    this.#changed.set(node, to);
  }

  now(value: string): string {
    return this.#rewired.get(value) ?? value;
  }

  rewire(value: string, replacement: string): void {
    this.#rewired.set(value, replacement);
  }

  /** A node of the file as it is written out. */
  written(original: Node): Node {
    const node = this.current(original);
    const inputs = node.inputs.map((name) => this.now(name));
    return inputs.every((name, i) => name === node.inputs[i]) ? node : changeNode(node, { inputs });
  }

  /** A site with its operator and its values as edits left them. @param now other than that of this rewiring */
  site(site: Site, now = (value: string) => this.now(value)): Site {
    const anchor = this.current(site.anchor);
    const place = (at: Place | undefined) => at && { ...at, value: now(at.value) };
    const stages = ({ packed, ...places }: Stages): Stages => ({
      ...Object.fromEntries(Object.entries(places).map(([stage, at]) => [stage, place(at)])),
      packed: packed && now(packed),
    });
    return {
      ...site,
      anchor: changeNode(anchor, { inputs: anchor.inputs.map(now) }),
      q: stages(site.q),
      k: stages(site.k),
      v: stages(site.v),
      z: place(site.z),
      zFlat: place(site.zFlat),
    };
  }

  /** A point with references to sums that were enabled brought up to date. */
  point(point: HookPoint): HookPoint {
    if (point.source.from !== 'unnamed-sum') return point;
    const { enable } = point.source;
    const node = this.current(enable.node);
    return { ...point, source: { from: 'unnamed-sum', enable: { ...enable, node } } };
  }
}
