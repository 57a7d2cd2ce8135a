/**
 * What the demo runs: the two models of the repository, the failures they are known for, and the methods for them. A method is a
 * row. Parameters are the methods' own defaults where they have some; nothing was searched for on these models (`attune
 * calibrate` does that), so that the demo shows what the methods do and not how far they can be brought. VAR has no defaults for
 * what a model's sinks are: it has those that `attune calibrate --intervention var` read off this one, from other pictures
 * (testbed/results/profiles/worlds-vlm.var.profile.json; a test holds the two together).
 */

export interface DemoMethod {
  /** As people call it. */
  title: string;
  /** As a specification. */
  intervention: Record<string, unknown> & { intervention: string };
}

export interface DemoTask {
  task: string;
  /** What is asked. */
  title: string;
  /** Items; whole clusters. */
  limit: number;
  /** Metrics that the terminal shows; the page has all. */
  shown: readonly string[];
}

export interface DemoStage {
  /** Folder below testbed/models. */
  model: string;
  tasks: readonly DemoTask[];
  methods: readonly DemoMethod[];
}

export const STAGES: readonly DemoStage[] = [
  {
    model: 'worlds-lm',
    tasks: [
      {
        task: 'worlds-documents',
        title: 'which of five documents answers the question',
        limit: 300,
        shown: ['acc'],
      },
      {
        task: 'worlds-judge',
        title: 'which of two answers is better, asked in both orders',
        limit: 150,
        shown: ['pair_acc', 'consistency'],
      },
    ],
    methods: [
      { title: 'ZeroTuning', intervention: { intervention: 'zerotuning', gamma: 2 } },
      { title: 'ACT', intervention: { intervention: 'act', heads: 'all' } },
      { title: 'PINE', intervention: { intervention: 'pine' } },
    ],
  },
  {
    model: 'worlds-vlm',
    tasks: [
      {
        task: 'worlds-existence-adversarial',
        title: 'is it in the picture? asked of its usual companions',
        limit: 300,
        shown: ['acc', 'yes_rate'],
      },
      {
        task: 'worlds-captions-long',
        title: 'captions, and the things in them that are not there',
        limit: 40,
        shown: ['chair_i', 'recall'],
      },
    ],
    methods: [
      { title: 'VAR', intervention: { intervention: 'var', dimensions: [50], tau: 3.13 } },
      { title: 'VHR', intervention: { intervention: 'vhr' } },
    ],
  },
];
