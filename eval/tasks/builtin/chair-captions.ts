/**
 * CHAIR on the 500 COCO val2014 images whose captions OPERA published (Huang et al., 2024): prompt and length are that paper's. The images
 * lie below --images.
 */
import { CAPTION_METRICS } from '../../captions/chair.ts';
import { defineTask } from '../definition.ts';

const captions = (name: string, maxTokens: number) =>
  defineTask({
    name,
    output: 'caption',
    source: {
      file: 'chair/llava-1.5-greedy.jsonl',
      join: { file: 'chair/coco_objects.json', on: 'image_id', as: 'objects' },
    },
    fields: { image_id: 'integer', objects: 'list' },
    split: 'validation',
    id: '{{ image_id }}',
    cluster: '{{ image_id }}',
    image: "COCO_val2014_{{ ('000000000000' ~ image_id)[-12:] }}.jpg",
    prompt: 'Please describe this image in detail.',
    target: '{{ objects | tojson }}',
    vocabulary: { synonyms: 'chair/synonyms.txt' },
    maxTokens,
    metrics: [...CAPTION_METRICS],
  });

export const chairCaptions = captions('chair-captions', 512);
export const chairCaptions64 = captions('chair-captions-64', 64);
