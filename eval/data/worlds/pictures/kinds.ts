/**
 * The things that pictures show, and how they go together. Sixteen kinds in eight pairs of companions; how often a pair is
 * seen together in training is the language prior that makes a model name what is not there.
 */

export const PAIRS = [
  ['cup', 'plate'],
  ['tree', 'bird'],
  ['boat', 'fish'],
  ['house', 'flower'],
  ['car', 'lamp'],
  ['sun', 'cloud'],
  ['book', 'pencil'],
  ['moon', 'star'],
] as const;

export type Kind = (typeof PAIRS)[number][number];

export const KINDS: readonly Kind[] = PAIRS.flat();

/** The usual companion of a kind. */
export const companionOf = (kind: Kind): Kind => {
  const pair = PAIRS.find((names) => (names as readonly Kind[]).includes(kind)) as (typeof PAIRS)[number];
  return kind === pair[0] ? pair[1] : pair[0];
};

/** Every other pair is hardly ever seen apart in training: half of the popular ones and half of the rare ones. */
export const isInseparable = (kind: Kind): boolean =>
  PAIRS.findIndex((names) => (names as readonly Kind[]).includes(kind)) % 2 === 0;

export const plural = (kind: Kind): string => (kind === 'fish' ? 'fish' : `${kind}s`);

export const COLOURS = {
  red: [214, 48, 48],
  green: [52, 168, 72],
  blue: [56, 96, 220],
  yellow: [236, 208, 60],
  purple: [146, 72, 190],
  orange: [238, 136, 40],
  white: [244, 244, 244],
  black: [26, 26, 30],
} as const satisfies Record<string, readonly [number, number, number]>;

export type Colour = keyof typeof COLOURS;
export const COLOUR_NAMES = Object.keys(COLOURS) as Colour[];

/** Places are the cells of a 3 × 3 grid, named by row and column. */
export const ROWS = ['top', 'middle', 'bottom'] as const;
export const COLUMNS = ['left', 'middle', 'right'] as const;

export const placeName = (cell: number): string => {
  const [row, column] = [ROWS[Math.floor(cell / 3)] as string, COLUMNS[cell % 3] as string];
  return row === column ? 'middle' : `${row} ${column}`;
};

export const NUMBERS = ['no', 'one', 'two', 'three'] as const;
