/** What a run leaves behind: report.json, report.md and report.html in the output folder, a job summary in CI. */
import { appendFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AttuneError } from '../../errors.ts';
import type { ReadableReport } from '../reports/document.ts';
import { reportMarkdown } from '../reports/markdown.ts';
import { reportPage } from '../reports/page.ts';

export interface Written {
  /** report.json */
  report: string;
  /** report.html */
  page: string;
}

/** Each file whole or not at all. @throws AttuneError RUN_WRITE */
export function writeReports(
  out: string,
  report: ReadableReport,
  summary = process.env.GITHUB_STEP_SUMMARY,
): Written {
  const markdown = reportMarkdown(report);
  const files = {
    'report.json': `${JSON.stringify(report.document, null, 2)}\n`,
    'report.md': markdown,
    'report.html': reportPage(report),
  };
  try {
    mkdirSync(out, { recursive: true });
    for (const [name, text] of Object.entries(files)) {
      const path = join(out, name);
      writeFileSync(`${path}.partial`, text);
      renameSync(`${path}.partial`, path);
    }
    if (summary) appendFileSync(summary, `${markdown}\n`);
  } catch (cause) {
    throw new AttuneError('RUN_WRITE', {
      at: out,
      found: (cause as Error).message,
      hint: 'Rows are kept; run the same command again for its report',
      cause,
    });
  }
  return { report: join(out, 'report.json'), page: join(out, 'report.html') };
}
