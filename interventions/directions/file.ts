/** Directions in files: safetensors of our own names, control vectors in GGUF. */
import { AttuneError } from '../../errors.ts';
import { nodeModule } from '../../onnx/index.ts';
import { sha256 } from '../../onnx/sha256.ts';
import { type Directions, invalid } from './directions.ts';
import { decodeGguf, encodeGguf } from './gguf.ts';
import { decodeSafetensors, encodeSafetensors } from './safetensors.ts';

/** A file by its content: the same one is read once, another under its name is noticed. */
export interface DirectionsFile {
  /** Path of a .safetensors or .gguf file. */
  readonly file: string;
  /** Hex. */
  readonly sha256: string;
}

const read = new Map<string, Directions>();

/**
 * What a file of directions is by its content.
 *
 * @example const { sha256 } = directionsFile('honesty.safetensors');
 * @throws AttuneError FILE_NOT_FOUND, DIRECTIONS_INVALID, NEEDS_NODE
 */
export function directionsFile(file: string): DirectionsFile {
  const bytes = bytesOf(file);
  const hash = sha256(bytes);
  if (!read.has(hash)) read.set(hash, decode(bytes, file));
  return { file, sha256: hash };
}

/**
 * Directions of a `.safetensors` or `.gguf` file.
 *
 * @example const directions = readDirections('honesty.gguf'); directions.vectors.get(12); // Float32Array [M]
 * @throws AttuneError FILE_NOT_FOUND, DIRECTIONS_INVALID, DIRECTIONS_CHANGED if `given` says another content
 */
export function readDirections(given: string | DirectionsFile): Directions {
  const { file, sha256: wanted } = typeof given === 'string' ? { file: given, sha256: undefined } : given;
  const known = wanted === undefined ? undefined : read.get(wanted);
  if (known) return known;
  const { sha256: found } = directionsFile(file);
  if (wanted === undefined || wanted === found) return read.get(found)!;
  throw new AttuneError('DIRECTIONS_CHANGED', {
    at: file,
    found: `content ${found.slice(0, 12)}`,
    expected: `${wanted.slice(0, 12)}, which the specification was made with`,
    hint: 'Give the file by name alone to take it as it is now.',
  });
}

/**
 * Writes directions, in the format that the ending of the name says: .safetensors or .gguf.
 *
 * @example writeDirections('honesty.gguf', directions); // for llama.cpp and repeng
 * @throws AttuneError DIRECTIONS_INVALID for another ending
 */
export function writeDirections(file: string, directions: Directions): void {
  const { writeFileSync } = nodeModule('node:fs');
  if (file.endsWith('.safetensors')) writeFileSync(file, encodeSafetensors(directions));
  else if (file.endsWith('.gguf')) writeFileSync(file, encodeGguf(directions, file));
  else throw ending(file);
}

function decode(bytes: Uint8Array, file: string): Directions {
  if (file.endsWith('.safetensors')) return decodeSafetensors(bytes, file);
  if (file.endsWith('.gguf')) return decodeGguf(bytes, file);
  throw ending(file);
}

const ending = (file: string) => invalid(file, 'another ending', 'a name that ends in .safetensors or .gguf');

function bytesOf(file: string): Uint8Array {
  const { readFileSync } = nodeModule('node:fs');
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new AttuneError('FILE_NOT_FOUND', {
      at: file,
      found: (cause as NodeJS.ErrnoException).code ?? (cause as Error).message,
      expected: 'a file of directions',
      cause,
    });
  }
}
