/**
 * What the demo runs: the two models of the repository, the failures they are known for, and the methods for them. A method is a
 * row. What a method has to be told of a model comes from `attune calibrate`, which read it off other items
 * (bench/results/profiles); the others have their defaults. docs/results.md has the methods on every task.
 */

export interface DemoMethod {
  /** As people call it. */
  title: string;
  intervention: string;
  /** Name of the profile whose settings it takes; its defaults without one. */
  profile?: string;
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

const language = (task: string, title: string): DemoStage => ({
  model: 'worlds-lm',
  tasks: [{ task, title, limit: 300, shown: ['acc'] }],
  methods: [
    { title: 'ZeroTuning', intervention: 'zerotuning', profile: `${task}.zerotuning` },
    { title: 'ACT', intervention: 'act', profile: `${task}.act` },
    { title: 'PINE', intervention: 'pine' },
  ],
});

export const STAGES: readonly DemoStage[] = [
  language('worlds-documents', 'which of five documents answers the question'),
  language('worlds-choice', 'which of four things is meant, A to D'),
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
      { title: 'VAR', intervention: 'var', profile: 'worlds-vlm.var' },
      { title: 'VHR', intervention: 'vhr' },
    ],
  },
];
