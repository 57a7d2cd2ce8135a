/** Verification against golden values. */
export { type EndToEndOptions, verifyEndToEnd } from './end-to-end.ts';
export { type CaseState, reportOf, type VerifiedCase, type VerifyReport } from './report.ts';
