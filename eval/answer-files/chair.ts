/** CHAIR of a file of captions. */
import { AttuneError } from '../../errors.ts';
import { CAPTION_METRICS, scoreCaption } from '../captions/chair.ts';
import type { Vocabulary } from '../captions/vocabulary.ts';
import { place } from '../data/records.ts';
import { termsOf } from '../metrics/index.ts';
import { imageKey } from './image-key.ts';
import { byKey, fieldOf, readAll } from './records.ts';
import { rowTerms, type ScoredSet } from './scored-set.ts';

/**
 * @param path JSON Lines or a JSON array of `{image_id | image, caption}`, one caption an image
 * @throws AttuneError DATA_*, ANNOTATION_MISSING for a caption of an image that nothing is known of
 */
export async function scoreCaptionFile(
  path: string,
  truth: ReadonlyMap<string, ReadonlySet<string>>,
  vocabulary: Vocabulary,
): Promise<ScoredSet> {
  const captions = (await readAll(path)).map((record) => ({
    key: imageKey(fieldOf(record, ['image_id', 'image'], 'key')),
    text: fieldOf(record, ['caption', 'text'], 'text'),
    at: place(record),
  }));
  byKey(captions);
  const counts = { captions: captions.length, mentions: 0, hallucinated: 0, silent: 0 };
  const items = captions.map(({ key, text, at }) => {
    const objects = truth.get(key);
    if (!objects) {
      throw new AttuneError('ANNOTATION_MISSING', {
        at,
        found: `a caption of image ${key}`,
        expected: 'an image that the annotations speak of',
      });
    }
    const score = scoreCaption(text, objects, vocabulary);
    counts.mentions += score.mentions.length;
    counts.hallucinated += score.hallucinated.length;
    counts.silent += score.mentions.length === 0 ? 1 : 0;
    return {
      id: key,
      cluster: key,
      terms: rowTerms(termsOf(CAPTION_METRICS, { caption: score })),
      details: { mentions: score.mentions, hallucinated: score.hallucinated, there: [...objects].sort() },
    };
  });
  return { name: path, metrics: CAPTION_METRICS, items, counts };
}
