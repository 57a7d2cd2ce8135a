/** The tasks that come with attune, by name. Their files are those of the data sets' own releases. */
import type { Task } from '../definition.ts';
import { amber } from './amber.ts';
import { arcChallenge, arcEasy } from './arc.ts';
import { bbh } from './bbh.ts';
import { blimp } from './blimp.ts';
import { boolq } from './boolq.ts';
import { chairCaptions, chairCaptions64 } from './chair-captions.ts';
import { clinc150Domains } from './clinc150.ts';
import { bigbenchOperators, lambada } from './continuation.ts';
import { copa } from './copa.ts';
import { functionVectors } from './function-vectors.ts';
import { gsm8k } from './gsm8k.ts';
import { hellaswag } from './hellaswag.ts';
import { llmbar, pandalm } from './judging.ts';
import { kvRetrieval10, kvRetrieval75 } from './kv-retrieval.ts';
import { commonsenseQa, mathQa, siqa } from './lettered.ts';
import { mmlu } from './mmlu.ts';
import { mtBench } from './mt-bench.ts';
import { nqOpen10, nqOpenOracle } from './nq-open.ts';
import { openbookQa } from './openbook-qa.ts';
import { piqa } from './piqa.ts';
import { pope } from './pope.ts';
import { relations } from './relations.ts';
import { tinyshakespeare, tinyshakespeareStream, wikitext2, wikitext2Stream } from './running-text.ts';
import { truthfulqaMc1, truthfulqaMc2 } from './truthfulqa.ts';
import { uciSentiment } from './uci-sentiment.ts';
import { winogrande } from './winogrande.ts';
import { worlds } from './worlds.ts';
import { worldsPictures } from './worlds-pictures.ts';
import { xquadEn } from './xquad.ts';

export const builtinTasks: ReadonlyMap<string, Task> = new Map(
  [
    uciSentiment,
    boolq,
    copa,
    arcEasy,
    arcChallenge,
    hellaswag,
    commonsenseQa,
    openbookQa,
    siqa,
    piqa,
    winogrande,
    mmlu,
    truthfulqaMc1,
    truthfulqaMc2,
    mathQa,
    ...bbh,
    blimp,
    lambada,
    bigbenchOperators,
    clinc150Domains,
    gsm8k,
    xquadEn,
    kvRetrieval75,
    kvRetrieval10,
    nqOpenOracle,
    nqOpen10,
    llmbar,
    pandalm,
    wikitext2,
    tinyshakespeare,
    wikitext2Stream,
    tinyshakespeareStream,
    ...functionVectors,
    relations,
    mtBench,
    ...worlds,
    ...worldsPictures,
    ...pope,
    chairCaptions,
    chairCaptions64,
    ...amber,
  ].map((task) => [task.name, task]),
);
