/** The methods that the page offers, each with parameters to begin with. Bundles keep what is named, so all of them are named here. */
import {
  act,
  beamSearch,
  contrast,
  emphasis,
  headAblation,
  headScale,
  type InterventionFactory,
  imbalancedAttention,
  opera,
  pai,
  pine,
  steer,
  tempScale,
  vcd,
  vhr,
  visualRedistribution,
  zeroTuning,
} from '../../interventions/index.ts';
import type { Scene, Specification } from './state.ts';

// biome-ignore lint/suspicious/noExplicitAny: factories of all schemas share the list
export type Method = InterventionFactory<any>;
type Start = readonly [method: Method, begin: Readonly<Record<string, unknown>>];

/** Of width 128, as the page's own models have it: one coordinate of the residual stream. */
const DIRECTION = Array.from({ length: 128 }, (_, i) => (i === 50 ? 1 : 0));

const ANYWHERE: readonly Start[] = [
  [zeroTuning, { gamma: 20 }],
  [act, { heads: 'all', threshold: { tau: 0.05 }, beta: 0 }],
  [tempScale, { temperature: 2 }],
  [headScale, { scale: 0.5 }],
  [headAblation, { heads: [[3, 1]] }],
  [emphasis, { spans: [[12, 20]] }],
  [steer, { directions: { 2: DIRECTION }, strength: 30 }],
  [contrast, { without: [[12, 20]], alpha: 1 }],
  [beamSearch, { beams: 3 }],
];

export const METHODS: Readonly<Record<Scene, readonly Start[]>> = {
  text: ANYWHERE,
  documents: [[pine, {}], ...ANYWHERE],
  picture: [
    [visualRedistribution, { dimensions: [50], tau: 3.13, layers: 'all' }],
    [vhr, { alpha: 1.5 }],
    [pai, {}],
    [vcd, {}],
    [imbalancedAttention, {}],
    [opera, { beams: 3 }],
    ...ANYWHERE,
  ],
};

/** A method with what it begins with. @returns the scene's first one where it has none of that name */
export function startOf(scene: Scene, name?: string): Specification {
  const starts = METHODS[scene];
  const [method, begin] = starts.find(([{ kind }]) => kind.name === name) ?? starts[0]!;
  return { intervention: method.kind.name, ...begin };
}

export const methodOf = (scene: Scene, { intervention }: Specification): Method =>
  (METHODS[scene].find(([{ kind }]) => kind.name === intervention) ?? METHODS[scene][0]!)[0];
