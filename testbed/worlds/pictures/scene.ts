/**
 * Scenes: which things, where, in which colour, size and contrast, on which background.
 *
 * One to three leading things are drawn by frequency (Zipf over the pairs, so that some kinds are popular) and each
 * brings its companion with probability `COMPANY[split]`: four times in five in training, two in five elsewhere. A
 * companion is often small and faint, hardly more than the noise. That is the whole cause of hallucination here: in
 * training it pays to name what usually is there.
 */
import { type Random, random } from '../random.ts';
import { type Split, splitOf } from '../split.ts';
import { COLOUR_NAMES, type Colour, companionOf, type Kind, PAIRS } from './kinds.ts';

export interface Thing {
  kind: Kind;
  colour: Colour;
  size: 'big' | 'small';
  /** Cell of the 3 × 3 grid, row by row. */
  cell: number;
  /** Offset inside the cell in pixels. */
  dx: number;
  dy: number;
  /** Opacity: 1 clear, a faint thing 0.1 to 0.3. */
  opacity: number;
}

export const TEXTURES = ['plain', 'stripes', 'dots', 'checks'] as const;

export interface Scene {
  id: string;
  split: Split;
  /** Leading things first, each followed by its companion if that is there. */
  things: Thing[];
  background: { texture: (typeof TEXTURES)[number]; dark: number; light: number };
}

/** Probability that a leading thing's companion is there too. */
export const COMPANY: Record<Split, number> = { train: 0.8, calibration: 0.4, validation: 0.4, test: 0.4 };
export const FAINT = { lead: 0.06, companion: 0.35 } as const;

const LEADS = [1, 2, 2] as const;
const PAIR_WEIGHTS = PAIRS.map((_, i) => 1 / (i + 3));
const MAX_THINGS = 6;

function drawThing(rng: Random, kind: Kind, cell: number, role: keyof typeof FAINT): Thing {
  const faint = rng.chance(FAINT[role]);
  const size = rng.chance(role === 'lead' ? 0.7 : 0.3) ? 'big' : 'small';
  return {
    kind,
    colour: rng.pick(COLOUR_NAMES),
    size,
    cell,
    dx: rng.int(3) - 1,
    dy: rng.int(3) - 1,
    opacity: faint ? 0.1 + 0.2 * rng.next() : 1,
  };
}

function drawScene(rng: Random, company: number): Pick<Scene, 'things' | 'background'> {
  const cells = rng.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  const things: Thing[] = [];
  const put = (kind: Kind, role: keyof typeof FAINT): void => {
    if (things.length < MAX_THINGS) things.push(drawThing(rng, kind, cells[things.length] as number, role));
  };
  const leads = 1 + rng.weighted(LEADS);
  const taken = new Set<number>();
  while (taken.size < leads) {
    const pair = rng.weighted(PAIR_WEIGHTS);
    if (taken.has(pair)) continue;
    taken.add(pair);
    const lead = rng.pick(PAIRS[pair] as readonly Kind[]);
    put(lead, 'lead');
    if (rng.chance(0.2)) put(lead, 'lead');
    if (rng.chance(0.05)) put(lead, 'lead');
    if (rng.chance(company)) put(companionOf(lead), 'companion');
  }
  const dark = 70 + rng.int(60);
  return { things, background: { texture: rng.pick(TEXTURES), dark, light: dark + 15 + rng.int(40) } };
}

/** What is seen and where decides the split; contrast, jitter and background do not. */
const keyOf = (things: readonly Thing[]): string =>
  things
    .map(({ kind, colour, cell }) => `${cell}${colour}${kind}`)
    .sort()
    .join('/');

/** Scene i of a split and seed. */
export function sceneOf(split: Split, seed: number, i: number): Scene {
  const id = `scene/${split}/${seed}/${i}`;
  const rng = random(id);
  for (;;) {
    const scene = drawScene(rng, COMPANY[split]);
    if (splitOf(keyOf(scene.things)) === split) return { id, split, ...scene };
  }
}

/** The different kinds of a scene, in order of first mention. */
export const kindsOf = (scene: Scene): Kind[] => [...new Set(scene.things.map(({ kind }) => kind))];
