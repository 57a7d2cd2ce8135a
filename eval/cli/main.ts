#!/usr/bin/env node
/** The attune command of the package. */
import { start } from './start.ts';

start();
