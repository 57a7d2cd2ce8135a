/** Calibration: what interventions need to know of a model, found on data and kept in profiles. */
export { differences, identify, type ModelIdentity } from './model-identity.ts';
export {
  applyProfile,
  checkProfile,
  type HeldOut,
  makeProfile,
  type Profile,
  readProfile,
} from './profile.ts';
