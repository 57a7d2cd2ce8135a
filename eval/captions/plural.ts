/**
 * English plurals by rule, forwards: from a word to the forms it may have, never from a form to a guess. A lemmatiser
 * has to decide whether "glass" is one or several; a vocabulary that is known beforehand does not need one.
 */

const IRREGULAR: readonly (readonly [RegExp, string])[] = [
  [/(^|[a-z])man$/, '$1men'],
  [/child$/, 'children'],
  [/mouse$/, 'mice'],
  [/goose$/, 'geese'],
  [/foot$/, 'feet'],
  [/tooth$/, 'teeth'],
  [/(^|[^a-z])ox$/, '$1oxen'],
  [/person$/, 'people'],
];

/** The plurals a word may have, more than one where usage differs ("buffalos", "buffaloes"); of a phrase, by its last word. */
export function pluralsOf(word: string): string[] {
  const irregular = IRREGULAR.filter(([pattern]) => pattern.test(word)).map(([pattern, form]) =>
    word.replace(pattern, form),
  );
  if (/([sxz]|ch|sh)$/.test(word)) return [...irregular, `${word}es`];
  if (/[^aeiou]y$/.test(word)) return [...irregular, `${word.slice(0, -1)}ies`];
  if (/[^f]fe?$/.test(word)) return [...irregular, `${word}s`, word.replace(/fe?$/, 'ves')];
  if (/[^aeiou]o$/.test(word)) return [...irregular, `${word}s`, `${word}es`];
  return [...irregular, `${word}s`];
}
