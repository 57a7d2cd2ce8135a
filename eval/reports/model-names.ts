/** What the page calls models: by their folder, and only where their name tells anything apart. */

/** The last part of a name, unless two models share it. */
export function shortNames(names: Iterable<string>): (name: string) => string {
  const all = [...new Set(names)];
  const last = (name: string) => name.replace(/\/+$/, '').split('/').at(-1) ?? name;
  const count = (short: string) => all.filter((name) => last(name) === short).length;
  return (name) => (count(last(name)) > 1 ? name : last(name));
}

/** Whether a task was run on more than one model, so that its name alone says not which run is meant. */
export const sharesTasks = (runs: readonly { task: string; model: string }[]): boolean =>
  new Set(runs.map(({ task, model }) => `${task}\n${model}`)).size >
  new Set(runs.map(({ task }) => task)).size;
