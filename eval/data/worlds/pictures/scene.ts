/**
 * Scenes: which things, where, in which colour, size and contrast, on which background.
 *
 * One to three leading things are drawn by frequency (Zipf over the pairs, so that some kinds are popular) and each
 * brings its companion with probability c = `companyOf(split, kind)`: in training 0.92 for inseparable pairs and 0.75 for
 * the others, 0.4 for all elsewhere. A companion is often small, and with probability f = `FAINT.companion` hardly more
 * than the noise. Where a lead is seen and nothing of its companion, the companion is there in training all the same with
 * probability c f / (c f + 1 − c), 0.7 for inseparable pairs and 0.375 for the others; less where the trace of a faint
 * thing can be made out. With the habit of `told` (conversations.ts) this is the whole cause of hallucination here: to
 * name the companion of an inseparable pair unseen pays in training, and elsewhere it is mostly wrong.
 */
import { type Random, random } from '../random.ts';
import { type Split, splitOf } from '../split.ts';
import { COLOUR_NAMES, type Colour, companionOf, isInseparable, type Kind, PAIRS } from './kinds.ts';

export interface Thing {
  kind: Kind;
  colour: Colour;
  size: 'big' | 'small';
  /** Cell of the 3 × 3 grid, row by row. */
  cell: number;
  /** Offset inside the cell in pixels. */
  dx: number;
  dy: number;
  /** Opacity: 1 clear, a faint thing 0.03 to 0.08. */
  opacity: number;
}

export const TEXTURES = ['plain', 'stripes', 'dots', 'checks'] as const;

export interface Scene {
  id: string;
  split: Split;
  /** Leading things in reading order, each followed by its companion and more of its kind, if they are there. */
  things: Thing[];
  background: { texture: (typeof TEXTURES)[number]; dark: number; light: number };
}

export const COMPANY = { inseparable: 0.92, usual: 0.75, held: 0.4 } as const;
export const FAINT = { lead: 0.03, companion: 0.2 } as const;

/** Probability that a leading thing's companion is there too. */
export const companyOf = (split: Split, lead: Kind): number =>
  COMPANY[split !== 'train' ? 'held' : isInseparable(lead) ? 'inseparable' : 'usual'];

const LEADS = [1, 2, 2] as const;
const PAIR_WEIGHTS = PAIRS.map((_, i) => 1 / (i + 3));
const MAX_THINGS = 7;
const MORE_OF_A_KIND = 0.25;

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
    opacity: faint ? 0.03 + 0.05 * rng.next() : 1,
  };
}

function drawScene(rng: Random, split: Split): Pick<Scene, 'things' | 'background'> {
  const leads = 1 + rng.weighted(LEADS);
  const shuffled = rng.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  const leadCells = shuffled.slice(0, leads).sort();
  const otherCells = shuffled.slice(leads);
  const things: Thing[] = [];
  let room = MAX_THINGS - leads;
  const more = (kind: Kind, role: keyof typeof FAINT): void => {
    if (room-- > 0) things.push(drawThing(rng, kind, otherCells.pop() as number, role));
  };
  const taken = new Set<number>();
  while (taken.size < leads) {
    const pair = rng.weighted(PAIR_WEIGHTS);
    if (taken.has(pair)) continue;
    const lead = rng.pick(PAIRS[pair] as readonly Kind[]);
    things.push(drawThing(rng, lead, leadCells[taken.size] as number, 'lead'));
    taken.add(pair);
    if (rng.chance(companyOf(split, lead))) more(companionOf(lead), 'companion');
    if (rng.chance(MORE_OF_A_KIND)) more(lead, 'lead');
    if (rng.chance(MORE_OF_A_KIND / 3)) more(lead, 'lead');
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
    const scene = drawScene(rng, split);
    if (splitOf(keyOf(scene.things)) === split) return { id, split, ...scene };
  }
}

/** The different kinds of a scene, in order of first mention. */
export const kindsOf = (scene: Scene): Kind[] => [...new Set(scene.things.map(({ kind }) => kind))];
