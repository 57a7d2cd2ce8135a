/** Model-local functions expanded into the graph that calls them. */
import type { Model } from './model.ts';

export function inlineFunctions(model: Model): Model {
  return model;
}
