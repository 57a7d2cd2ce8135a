/** A whole model against a golden run, family by family, through the public interface. */
import { AttuneError } from '../../errors.ts';
import { END_TO_END } from './families/index.ts';
import { type ModelFolders, modelFolders } from './folders.ts';
import { familiesOf, type Golden, readEndToEnd } from './golden.ts';
import { reportOf, type VerifiedCase, type VerifyReport } from './report.ts';
import { Subject } from './subject.ts';

export interface EndToEndOptions {
  /** Golden file. */
  readonly golden: string;
  /** Model folder in Hub layout, or one with the checkpoint the file speaks of. */
  readonly weights: string;
  /** One graph form of a converted checkpoint; default all. */
  readonly form?: string | undefined;
  /** Default cpu. */
  readonly ep?: 'cpu' | 'wasm' | undefined;
  /** Called when a family of a form is done. */
  readonly onProgress?: ((line: string) => void) | undefined;
}

/**
 * @throws AttuneError GOLDEN_NOT_FOUND, GOLDEN_MALFORMED, FILE_NOT_FOUND, FORM_UNKNOWN, CHECKOUT_NEEDED
 */
export async function verifyEndToEnd(options: EndToEndOptions): Promise<VerifyReport> {
  const golden = readEndToEnd(options.golden);
  using folders = await modelFolders(options.weights);
  const cases: VerifiedCase[] = [];
  for (const [form, folder] of chosen(folders, options.form)) {
    cases.push(...(await verifyForm(golden, form, folder, options)));
  }
  const built = new Set(END_TO_END.map(({ name }) => name));
  return reportOf(
    cases,
    familiesOf(golden).filter((name) => !built.has(name)),
  );
}

function chosen({ byForm }: ModelFolders, form: string | undefined): [string, string][] {
  if (form === undefined) return Object.entries(byForm);
  const folder = byForm[form];
  if (folder) return [[form, folder]];
  throw new AttuneError('FORM_UNKNOWN', {
    found: `form "${form}"`,
    expected: Object.keys(byForm).join(', '),
  });
}

async function verifyForm(
  golden: Golden,
  lowering: string,
  folder: string,
  { ep = 'cpu', onProgress }: EndToEndOptions,
): Promise<VerifiedCase[]> {
  const families = END_TO_END.filter(({ name }) => name in golden);
  const kinds = families.flatMap((family) => family.kinds);
  await using subject = await Subject.load(golden, folder, ep, kinds);
  const cases: VerifiedCase[] = [];
  for (const family of families) {
    const before = cases.length;
    for await (const comparison of family.compare(golden[family.name], subject)) {
      const pass = comparison.maxAbsError <= comparison.tolerance;
      const state = 'product' as const;
      cases.push({ family: family.name, ...comparison, state, lowering, ep, pass });
    }
    const own = cases.slice(before);
    const passed = own.filter(({ pass }) => pass).length;
    onProgress?.(`${lowering} ${family.name}: ${passed} of ${own.length}`);
  }
  return cases;
}
