export { readGoldenFolder } from './folder.ts';
export { FAMILIES, type Family, type GoldenCase, readGolden, type Tolerance } from './read.ts';
