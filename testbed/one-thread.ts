/**
 * Sessions run on one thread unless they say otherwise: threads of a pool wait by spinning, which on a machine that runs several test
 * files at once takes the others' time. For the processes of tests, by import.
 */
import { InferenceSession } from 'onnxruntime-node';

type Create = (model: unknown, options?: object) => Promise<InferenceSession>;
const sessions = InferenceSession as unknown as { create: Create; threads?: 1 };

// Files of one worker share the package and each import this.
if (sessions.threads === undefined) {
  const { create } = sessions;
  sessions.create = (model, options) => create.call(sessions, model, { intraOpNumThreads: 1, ...options });
  sessions.threads = 1;
}
