/** A worker process with the toy model, as slow as TOY_DELAY says; TOY_DEATH: the number of calls after which it dies. */
import { serveRows } from '../runner/serve-rows.ts';
import { toyIntervention, toyModel } from './toy-model.ts';

const { TOY_DELAY = '0', TOY_DEATH } = process.env;

serveRows({
  loadModel: async (name) =>
    toyModel({
      name,
      delay: Number(TOY_DELAY),
      onCall: (calls) => {
        if (calls === Number(TOY_DEATH)) process.kill(process.pid, 'SIGKILL');
      },
    }),
  readIntervention: toyIntervention,
});
