import { expect, test } from 'vitest';
import { markdownText } from './markdown.ts';

test.each([
  ['<img src=x onerror=alert(1)>', '&lt;img src=x onerror=alert(1)>'],
  ['[click](http://example.org) ![i](x)', '\\[click\\](http://example.org) \\!\\[i\\](x)'],
  ['a|b `c` *d* _e_', 'a\\|b \\`c\\` \\*d\\* \\_e\\_'],
  ['two\nlines\r\n# title', 'two lines \\# title'],
  ['&lt;b&gt;', '&amp;lt;b&amp;gt;'],
  ['\u202eRTL\u001b[31m', '\\u202eRTL\\u001b\\[31m'],
  ['Qwen2.5-0.5B', 'Qwen2.5-0.5B'],
])('%j is shown as text', (text, shown) => {
  expect(markdownText(text).replaceAll('\\\\u', '\\u')).toBe(shown);
});
