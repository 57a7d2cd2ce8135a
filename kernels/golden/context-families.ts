/**
 * Schemas of the third layout: one object per method with shared inputs. `cases` splits it: each case carries what it
 * needs of the shared part, so that all layouts end in the same list.
 */
import { z } from 'zod';
import { array, integers } from './values.ts';

/** q, k, v are [batch][head][token][dim]; probs and out are given per batch row for its valid tokens. */
export const tempscale = z
  .object({
    config: z.object({ heads: z.int(), headDim: z.int(), lengths: integers }),
    inputs: z.object({ q: array, k: array, v: array, bias: array }),
    cases: z.array(
      z.object({
        kind: z.enum(['bert', 't5']),
        tau: z.number(),
        probs: z.array(array),
        out: z.array(array),
        embedding: z.array(array),
        cosine: z.number(),
        meanEntropy: z.number(),
      }),
    ),
  })
  .transform(({ config, inputs, cases }) =>
    cases.map((expected) => ({
      id: `${expected.kind}-tau-${expected.tau}`,
      kind: expected.kind,
      config,
      inputs,
      expected,
    })),
  );

const streamStep = z.object({
  newIds: integers,
  attendedIds: integers,
  keyPositions: integers,
  queryPositions: integers,
  out: array,
  cacheIdsAfter: integers,
});

/** q, k, v are [token][head][dim] before RoPE; out is [new token][query head][dim]. */
export const streamingllm = z
  .object({
    config: z.object({ nSink: z.int(), nRecent: z.int(), ropeBase: z.number(), scale: z.number() }),
    inputs: z.object({ q: array, k: array, v: array }),
    cases: z.array(
      z.object({
        name: z.string(),
        policy: z.enum(['evict_after', 'evict_before']),
        newPerStep: z.int(),
        relocate: z.boolean(),
        steps: z.array(streamStep),
      }),
    ),
    deltaRotation: z.array(
      z.object({
        oldPosition: z.int(),
        newPosition: z.int(),
        rotatedOld: array,
        rotatedNew: array,
      }),
    ),
  })
  .transform(({ config, inputs, cases, deltaRotation }) => [
    ...cases.map((stream) => ({
      id: stream.name,
      kind: 'stream' as const,
      config,
      inputs,
      expected: stream,
    })),
    { id: 'delta_rotation', kind: 'rotation' as const, config, inputs, expected: deltaRotation },
  ]);

/** q is [row][head][dim], k and v [token][kv head][dim], rotated already. */
export const recycledAttention = z
  .object({
    config: z.object({ promptLen: z.int(), K: z.int(), scale: z.number() }),
    inputs: z.object({ q: array, k: array, v: array }),
    cases: z.array(
      z.object({
        name: z.string(),
        groupReduce: z.enum(['mean', 'max']),
        capacity: z.enum(['fixedK', 'grow']),
        schedule: z.union([
          z.object({ kind: z.literal('fixed'), stride: z.int() }),
          z.looseObject({ kind: z.literal('dynamic'), checkEvery: z.int(), threshold: z.number() }),
        ]),
        initialSelected: z.array(integers),
        steps: z.array(
          z.object({
            step: z.int(),
            token: z.int(),
            full: z.boolean(),
            attendedIds: z.array(integers).nullable(),
            selectedAfter: z.array(integers),
            out: array,
            recoveredMass: array,
          }),
        ),
      }),
    ),
  })
  .transform(({ config, inputs, cases }) =>
    cases.map((expected) => ({ id: expected.name, kind: 'recycled' as const, config, inputs, expected })),
  );

/** attention rows differ in length: [step][layer][head] rows over the keys so far. */
export const retrievalHeads = z
  .object({
    config: z.object({ layers: z.int(), qHeads: z.int(), kvHeads: z.int() }),
    copy: z.object({
      promptIds: integers,
      needleStart: z.int(),
      needleEnd: z.int(),
      emittedIds: integers,
      attention: z.array(array),
      expected: z.looseObject({ frequencyScore: array, setScore: array, kvGroupMax: array }),
    }),
    echoInduction: z.object({
      period: z.int(),
      tokenIds: integers,
      attention: array,
      expected: z.looseObject({ echo: array, induction: array }),
    }),
    compensation: z.object({
      scale: z.number(),
      q: array,
      k: array,
      v: array,
      keptIds: integers,
      droppedIds: integers,
      expected: z.object({
        meanKey: array,
        meanValue: array,
        fullOut: array,
        truncatedOut: array,
        compensatedOut: array,
      }),
    }),
  })
  .transform(({ config, copy, echoInduction, compensation }) => [
    { id: 'copy', kind: 'copy' as const, config, ...copy },
    { id: 'echo_induction', kind: 'echoInduction' as const, config, ...echoInduction },
    { id: 'compensation', kind: 'compensation' as const, config, ...compensation },
  ]);

/** attention is [sample][layer][head][query][key], hidden [layer][token][channel]. */
export const sinkMetric = z
  .object({
    config: z.object({ epsilons: z.array(z.number()), dormantThreshold: z.number() }),
    inputs: z.object({ domains: z.array(z.string()), attention: array, hidden: array }),
    expected: z.looseObject({
      alpha: array,
      sink: z.record(z.string(), array),
      dormant: z.record(z.string(), z.array(integers)),
      massive: z.array(integers),
      medianAbs: array,
    }),
  })
  .transform(({ config, inputs, expected }) => [
    { id: 'sink_metric', kind: 'report' as const, config, inputs, expected },
  ]);
