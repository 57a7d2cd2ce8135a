// node --import: points the application's transformers.js at the Hub of HUB_ADDRESS, and its cache into CACHE_FOLDER.
import { env } from '@huggingface/transformers';

env.remoteHost = process.env.HUB_ADDRESS;
env.cacheDir = process.env.CACHE_FOLDER;
env.allowLocalModels = false;
