/** What a run leaves behind: report.json, report.md and report.html in the output folder, a job summary in CI. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { AttuneError } from '../../errors.ts';
import type { ReadableReport } from '../reports/document.ts';
import { reportMarkdown } from '../reports/markdown.ts';
import { reportPage } from '../reports/page.ts';
import { writeWhole } from '../write-whole.ts';

export interface Written {
  /** report.json */
  report: string;
  /** report.html */
  page: string;
}

/** Where a report cannot be written. */
const RERUN = 'Rows are kept; run the same command again for its report';

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
  for (const [name, text] of Object.entries(files)) writeWhole(join(out, name), text, RERUN);
  if (summary) append(summary, `${markdown}\n`);
  return { report: join(out, 'report.json'), page: join(out, 'report.html') };
}

function append(path: string, text: string): void {
  try {
    appendFileSync(path, text);
  } catch (cause) {
    throw new AttuneError('RUN_WRITE', { at: path, found: (cause as Error).message, hint: RERUN, cause });
  }
}
