/**
 * What is compared on the testbed, as data: tasks, methods, and the settings a method may choose from. Settings are chosen on
 * the calibration split by a rule written here; the test split is looked at once, with the chosen ones.
 */

export interface Candidate {
  readonly intervention: string;
  /** VAR's sink dimensions and τ are added from its own calibration, which reads the residual stream alone. */
  readonly params: Readonly<Record<string, unknown>>;
}

/** A method with one setting that nobody chose, or with several to choose from on the calibration split. */
export interface Method {
  readonly name: string;
  readonly candidates: readonly Candidate[];
  /** An intervention of the same task that it is compared with besides the untouched model. */
  readonly against?: string;
}

export interface Study {
  readonly name: 'text' | 'pictures';
  readonly model: string;
  /** Each with its own search and table. `calibrated`: methods that `attune calibrate` searches. */
  readonly tasks: readonly {
    readonly name: string;
    /** Settings are chosen by it. */
    readonly metric: string;
    /** Metrics whose effects are tested. */
    readonly effects: readonly string[];
    readonly items: number;
    readonly calibrated: readonly ('zerotuning' | 'act')[];
    readonly methods: readonly Method[];
  }[];
}

const candidates = (intervention: string, ...params: Candidate['params'][]): Candidate[] =>
  params.map((one) => ({ intervention, params: one }));

const BOTH = ['zerotuning', 'act'] as const;

/** PINE and the baselines that fall out of it have nothing to choose. */
const ORDER: readonly Method[] = [
  { name: 'PINE', candidates: candidates('pine', { mode: 'pine' }) },
  { name: 'NIA', candidates: candidates('pine', { mode: 'nia' }) },
  { name: 'PCW', candidates: candidates('pine', { mode: 'pcw' }) },
  { name: 'SP', candidates: candidates('pine', { mode: 'sp' }) },
];

/**
 * Grids around the papers' values; the paper's own setting is always among them. OPERA's are its released code, the same with a
 * rollback that these short answers can reach, and the paper's formula, whose φ needs a σ for rows of 64 image tokens, not 576.
 */
const VISION: readonly Method[] = [
  { name: 'VAR', candidates: candidates('var', { p: 0.3 }, { p: 0.6 }, { p: 0.9 }) },
  { name: 'VHR', candidates: candidates('vhr', { alpha: 1.25 }, { alpha: 1.5 }, { alpha: 2 }) },
  {
    name: 'imbalanced',
    candidates: candidates(
      'imbalanced-attention',
      { alpha: 0.35, beta: 0.2 },
      { alpha: 0.7, beta: 0.4 },
      { alpha: 1.4, beta: 0.8 },
    ),
  },
  {
    name: 'PAI',
    candidates: candidates(
      'pai',
      { alpha: 0.2, gamma: 1.1 },
      { alpha: 0.5, gamma: 1.1 },
      { alpha: 0.5, gamma: 1.5 },
    ),
  },
  { name: 'VCD', candidates: candidates('vcd', { alpha: 0.5 }, { alpha: 1 }) },
  { name: 'beam search', candidates: candidates('beam-search', { beams: 5 }) },
  {
    name: 'OPERA',
    candidates: candidates(
      'opera',
      { semantics: 'code' },
      { semantics: 'code', threshold: 5, minLocation: 3 },
      { semantics: 'paper', sigma: 5 },
      { semantics: 'paper', sigma: 10 },
    ),
    against: 'beam-search',
  },
];

const text = (
  name: string,
  items: number,
  methods: readonly Method[] = [],
  effects: readonly string[] = ['acc'],
) => ({
  name,
  metric: 'acc',
  effects,
  items,
  calibrated: BOTH,
  methods,
});

const existence = (negatives: string) => ({
  name: `worlds-existence-${negatives}-written`,
  metric: 'acc',
  effects: ['acc', 'yes_rate'],
  items: 600,
  calibrated: [],
  methods: VISION,
});

const captions = (length: string) => ({
  name: `worlds-captions-${length}`,
  metric: 'f1',
  effects: ['chair_s', 'chair_i', 'recall', 'f1'],
  items: 520,
  calibrated: [],
  methods: VISION,
});

export const STUDIES: readonly Study[] = [
  {
    name: 'text',
    model: 'testbed/models/worlds-lm',
    tasks: [
      text('worlds-documents', 600, ORDER),
      text('worlds-choice', 600, ORDER),
      text('worlds-judge', 300, ORDER, ['pair_acc', 'consistency']),
      text('worlds-sentiment', 600),
      text('worlds-topic', 600),
    ],
  },
  {
    name: 'pictures',
    model: 'testbed/models/worlds-vlm',
    tasks: [existence('adversarial'), captions('medium'), existence('random'), existence('popular')],
  },
];
