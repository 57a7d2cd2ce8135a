import { File } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { folderCache } from './web-folder.ts';

const picked = (path: string, text: string) =>
  Object.defineProperty(new File([text], path.split('/').pop()!), 'webkitRelativePath', {
    value: path,
  }) as never;

/** A directory of the origin's private file system, as far as the cache uses it. */
class Directory {
  readonly files = new Map<string, string>();
  readonly folders = new Map<string, Directory>();
  readonly name = 'directory';
  /** Thrown by every write. */
  fault: Error | undefined;

  async getDirectoryHandle(name: string, { create }: { create: boolean }) {
    const known = this.folders.get(name);
    if (known) return known;
    if (!create) throw new DOMException('none', 'NotFoundError');
    const made = Object.assign(new Directory(), { fault: this.fault });
    this.folders.set(name, made);
    return made;
  }

  async getFileHandle(name: string, { create = false } = {}) {
    if (!this.files.has(name)) {
      if (!create) throw new DOMException('none', 'NotFoundError');
      this.files.set(name, '');
    }
    let text = '';
    return {
      getFile: async () => new File([this.files.get(name)!], name),
      createWritable: async () =>
        new WritableStream<Uint8Array>({
          write: (chunk) => {
            if (this.fault) throw this.fault;
            text += new TextDecoder().decode(chunk);
          },
          close: () => void this.files.set(name, text),
        }),
    };
  }

  async removeEntry(name: string) {
    this.files.delete(name);
  }
}

const text = async (response: Response | undefined) => response && (await response.text());

describe('files that were picked', () => {
  const files = [picked('tiny/config.json', '{}'), picked('tiny/onnx/model.onnx', 'graph')];
  const cache = folderCache(files, 'my/tiny');

  test.each([
    ['/models/my/tiny/onnx/model.onnx', 'graph'],
    ['https://huggingface.co/my/tiny/resolve/main/onnx/model.onnx', 'graph'],
    ['https://huggingface.co/my/tiny/resolve/main/config.json', '{}'],
    ['/models/my/tiny/onnx/other.onnx', undefined],
    ['/models/another/onnx/model.onnx', undefined],
  ])('%s', async (address, expected) => {
    expect(await text(await cache.match(address))).toBe(expected);
  });
});

describe('a directory', () => {
  const address = 'https://huggingface.co/my/tiny/resolve/main/onnx/model.onnx';
  const over = (directory: Directory) => folderCache(directory as never, 'my/tiny');

  test('keeps what is put and finds it again', async () => {
    const directory = new Directory();
    await over(directory).put(address, new Response('graph'));
    expect(directory.folders.get('onnx')!.files.get('model.onnx')).toBe('graph');
    expect(await text(await over(directory).match(address))).toBe('graph');
    await over(directory).put('https://huggingface.co/other/resolve/main/config.json', new Response('{}'));
    expect(directory.files.size).toBe(0);
  });

  test('a file that was begun and never finished is not there', async () => {
    const directory = new Directory();
    directory.files.set('config.json', '');
    expect(await over(directory).match('/models/my/tiny/config.json')).toBeUndefined();
  });

  test.each([
    ['QuotaExceededError', 'STORAGE_FULL'],
    ['NoModificationAllowedError', 'STORAGE_FAILED'],
  ])('%s: nothing of the file is there', async (name, code) => {
    const directory = new Directory();
    directory.fault = new DOMException('cannot', name);
    await expect(over(directory).put(address, new Response('graph'))).rejects.toMatchObject({ code });
    expect(directory.folders.get('onnx')!.files.size).toBe(0);
  });
});
