/** From a record to an item: a task's templates, its choices and its right answer. */
import { AttuneError } from '../../errors.ts';
import { placePicture } from '../data/pictures.ts';
import { type DataRecord, place, stem } from '../data/records.ts';
import { type Item, outputRow } from '../outputs/index.ts';
import type { ItemFolders } from '../outputs/output.ts';
import type { Task } from './definition.ts';
import { fieldsOf } from './fields.ts';
import type { Compile, Scope } from './render.ts';
import { compileTemplate } from './template.ts';

/**
 * The task's templates compiled once; the result turns a record into its items: one, or one for each variant, or none
 * where the record is not of the task.
 * @throws AttuneError TASK_TEMPLATE; from the result also DATA_FIELD_MISSING, DATA_FIELD_TYPE, DATA_CHOICES, DATA_TARGET.
 */
export function itemMaker(
  task: Task,
  folders: ItemFolders = { root: '', images: '' },
): (record: DataRecord) => Item[] {
  const constants = task.constants ?? {};
  const [variant, variants] = Object.entries(task.variants ?? {})[0] ?? [];
  const names = [
    ...Object.keys(task.fields),
    ...Object.keys(constants),
    ...(variant ? [variant] : []),
    'source',
  ];
  const compile: Compile = (entry, text, more = []) =>
    compileTemplate(text, [...names, ...more], `task ${task.name}, "${entry}"`);
  const optional = (entry: 'where' | 'id' | 'cluster' | 'slice' | 'position' | 'image') =>
    task[entry] === undefined ? undefined : compile(entry, task[entry]);
  const where = optional('where');
  const id = optional('id');
  const cluster = optional('cluster');
  const slice = optional('slice');
  const position = optional('position');
  const image = optional('image');
  const body = outputRow(task.output).make(task, compile, folders);

  const toItem = (values: Scope, at: string): Item[] => {
    if (where && !truth(where(values).trim(), at)) return [];
    const own = id ? id(values) : at;
    const several = variant !== undefined && {
      id: `${own}/${variant}=${text(values[variant])}`,
      record: own,
      cluster: own,
    };
    return [
      {
        id: own,
        at,
        ...several,
        ...(cluster && { cluster: cluster(values) }),
        ...(slice && { slice: slice(values) }),
        ...(position && { position: positionOf(position(values).trim(), at) }),
        ...(image && { picture: placePicture(image(values).trim(), folders.images, at) }),
        ...body(values, at),
      } as Item,
    ];
  };
  return (record) => {
    const values = { ...constants, ...fieldsOf(record, task.fields), source: stem(record.file) };
    const at = place(record);
    if (variant === undefined) return toItem(values, at);
    return variants!.flatMap((value) => toItem({ ...values, [variant]: value }, at));
  };
}

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

function truth(rendered: string, at: string): boolean {
  if (/^true$/i.test(rendered)) return true;
  if (/^false$/i.test(rendered)) return false;
  throw new AttuneError('DATA_FIELD_TYPE', {
    at,
    found: `"${rendered.slice(0, 80)}" from the template "where"`,
    expected: 'true or false',
  });
}

function positionOf(rendered: string, at: string): number {
  if (/^\d+$/.test(rendered)) return Number(rendered);
  throw new AttuneError('DATA_FIELD_TYPE', {
    at,
    found: `the position "${rendered.slice(0, 80)}"`,
    expected: 'a whole number',
  });
}
