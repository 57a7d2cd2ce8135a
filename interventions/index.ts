/** Training-free interventions on attention, one file per method. */
export {
  canonicalJson,
  defineIntervention,
  type InterventionFactory,
  interventionFromJSON,
  interventionNamed,
} from './define.ts';
export { zeroTuning } from './zerotuning.ts';
