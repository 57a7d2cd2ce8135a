/** The vocabulary that a caption task names, read once: rows of words, a synonym file, or AMBER's relations. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { contained, type DataFolder } from '../data/contained.ts';
import { readJson, readText } from '../data/json-file.ts';
import { type AmberWords, amberVocabulary } from './amber.ts';
import { englishVocabulary, type Vocabulary, vocabularyRows } from './vocabulary.ts';

/** As an item carries it: what it is, and where its files are on this machine. */
export interface VocabularySource {
  kind: 'rows' | 'synonyms' | 'amber';
  rows?: readonly (readonly string[])[];
  /** Content of the files. */
  sha256?: string;
  path?: string;
  safePath?: string;
}

export interface CaptionVocabulary {
  vocabulary: Vocabulary;
  /** AMBER's words, where its scores are asked for. */
  amber?: AmberWords;
}

type Named = readonly (readonly string[])[] | { synonyms: string } | { relation: string; safeWords: string };

/** @param root below which its files lie @throws AttuneError DATA_FILE */
export function vocabularySource(named: Named, root: DataFolder): VocabularySource {
  if ('synonyms' in named) {
    const path = placed(named.synonyms, root);
    return { kind: 'synonyms', sha256: hashOf(readText(path)), path };
  }
  if ('relation' in named) {
    const [path, safePath] = [placed(named.relation, root), placed(named.safeWords, root)];
    return { kind: 'amber', sha256: hashOf(readText(path), readText(safePath)), path, safePath };
  }
  return { kind: 'rows', rows: named };
}

const placed = (file: string, root: DataFolder): string => contained(file, root, 'vocabulary');

const relations = z.record(z.string(), z.array(z.string()));
const known = new Map<string, CaptionVocabulary>();

/** @throws AttuneError DATA_FILE, DATA_SYNTAX, ANNOTATION_FORMAT */
export function vocabularyOf(source: VocabularySource): CaptionVocabulary {
  const key = JSON.stringify([source.kind, source.sha256, source.rows]);
  const found = known.get(key) ?? read(source);
  known.set(key, found);
  return found;
}

function read({ kind, rows, path, safePath }: VocabularySource): CaptionVocabulary {
  if (kind === 'rows') return { vocabulary: englishVocabulary(rows!) };
  if (kind === 'synonyms') return { vocabulary: englishVocabulary(vocabularyRows(readText(path!))) };
  const parsed = relations.safeParse(readJson(path!));
  if (!parsed.success) {
    throw new AttuneError('ANNOTATION_FORMAT', {
      at: path,
      found: parsed.error.issues[0]?.message,
      expected: 'object → words',
    });
  }
  const amber = { relation: parsed.data, safe: readText(safePath!).split(/\s+/).filter(Boolean) };
  return { vocabulary: amberVocabulary(amber), amber };
}

const hashOf = (...texts: readonly string[]): string =>
  createHash('sha256').update(texts.join('\0')).digest('hex');
