/** The vocabulary of hook points and where each lives. */
export { type HookPoint, locatePoints, type Source } from './locate.ts';
export {
  ATTENTION_POINTS,
  POINT_AXES,
  type PointKind,
  pointName,
  RESIDUAL_POINTS,
  selectNames,
} from './names.ts';
