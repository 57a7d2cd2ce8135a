/** What versions of ONNX Runtime have: transformers.js 3.8.1 brings 1.21. */

/** The first version whose GroupQueryAttention has inputs for positions and a bias (9 and 10). */
export const GROUPED_BIAS = '1.22';

/** @param version as ONNX Runtime says it; undefined: not known, taken for a new one */
export function isBefore(version: string | undefined, first: string): boolean {
  if (version === undefined) return false;
  const [[major, minor], [wantedMajor, wantedMinor]] = [version, first].map((text) =>
    text.split('.').map(Number),
  ) as [[number, number], [number, number]];
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}
