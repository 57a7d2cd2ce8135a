/** SHA-256 as hex, at once and anywhere: Node's hash is not in browsers, and WebCrypto's is asynchronous and absent on plain http. */
import { sha256 as digest } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

/** @param parts hashed one after the other; text as UTF-8 */
export function sha256(...parts: readonly (string | Uint8Array)[]): string {
  const hash = digest.create();
  for (const part of parts) hash.update(typeof part === 'string' ? utf8ToBytes(part) : part);
  return bytesToHex(hash.digest());
}
