/** A worker process of attune eval. */
import { loadEvalModel, readIntervention } from '../models/load.ts';
import { serveRows } from '../runner/serve-rows.ts';

serveRows({ loadModel: loadEvalModel, readIntervention });
