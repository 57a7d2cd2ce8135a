/** down(silu(gate(x)) · up(x)); both exporters name its nodes alike. */
import type { Build } from './build.ts';
import { emitLinear } from './linear.ts';

/** x [B, S, hiddenSize] → [B, S, hiddenSize] */
export function emitMlp(build: Build, x: string, layer: number): string {
  const { g, config } = build;
  const { hiddenSize, intermediateSize } = config;
  const scope = `/model/layers.${layer}/mlp`;
  const linear = (value: string, name: string, inputWidth: number, width: number) =>
    emitLinear(build, value, {
      scope: `${scope}/${name}`,
      parts: [{ name: `model.layers.${layer}.mlp.${name}`, width }],
      inputWidth,
    });
  const gate = linear(x, 'gate_proj', hiddenSize, intermediateSize);
  const sigmoid = g.node(`${scope}/act_fn/Sigmoid`, 'Sigmoid', [gate]);
  const silu = g.node(`${scope}/act_fn/Mul`, 'Mul', [gate, sigmoid]);
  const up = linear(x, 'up_proj', hiddenSize, intermediateSize);
  const product = g.node(`${scope}/Mul`, 'Mul', [silu, up]);
  return linear(product, 'down_proj', intermediateSize, hiddenSize);
}
