/** Devices that a browser may lack. */
import { AttuneError } from '../../errors.ts';
import { inNode } from '../../onnx/index.ts';
import type { LoadOptions } from './options.ts';

interface Gpu {
  requestAdapter(): Promise<unknown>;
}

/** Before anything is downloaded. @throws AttuneError WEBGPU_MISSING */
export async function refuseMissingDevice({ device }: Pick<LoadOptions, 'device'>): Promise<void> {
  const asked = typeof device === 'object' && device !== null ? Object.values(device) : [device];
  if (inNode() || !asked.includes('webgpu')) return;
  const { gpu } = navigator as { readonly gpu?: Gpu };
  if (await gpu?.requestAdapter().catch(() => undefined)) return;
  throw new AttuneError('WEBGPU_MISSING', {
    at: "device: 'webgpu'",
    found: gpu ? 'a browser that has no adapter to give' : 'a browser or an address without WebGPU',
    expected: 'navigator.gpu, which pages served by https or from localhost have in recent browsers',
    hint: "Load with device: 'wasm', which runs everywhere.",
  });
}
