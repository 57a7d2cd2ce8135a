/** The look of a token view; the page around it gives --ink, --soft, --paper, --card and --rule. */
export const TOKEN_VIEW_STYLE = `
.tv { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem 2rem; align-items: start; }
.tv > * { min-width: 0; } .tv-readout:first-child { margin-top: 0; }
.tv-grid span { font-size: .75rem; color: var(--soft); text-align: center; }
.tv-grid { display: grid; grid-template-columns: repeat(var(--heads), minmax(2.2rem, 1fr)); gap: 4px; overflow-x: auto; }
.tv-grid button { padding: 0; border: 2px solid var(--rule); border-radius: 4px; background: var(--card); line-height: 0; cursor: pointer; }
.tv-grid button[aria-pressed=true] { border-color: #0072b2; box-shadow: 0 0 0 1px #0072b2; }
.tv-grid canvas { width: 100%; aspect-ratio: 1; image-rendering: pixelated; }
.tv-readout { margin: .8rem 0; color: var(--soft); } .tv-readout b { color: var(--ink); }
.tv-setting h3 { font-size: .95rem; margin: .9rem 0 .3rem; }
.tv-text { line-height: 1.9; }
.tv-token { font: inherit; color: inherit; white-space: pre; border: 1px solid transparent; border-radius: 3px; padding: 0 1px; margin: 0; cursor: pointer;
  background: color-mix(in srgb, #2f8fd0 var(--p, 0%), transparent); }
@media (prefers-color-scheme: dark) { .tv-token { background: color-mix(in srgb, #1f6aa5 var(--p, 0%), transparent); } }
.tv-token.tv-query { border-color: var(--ink); }
.tv-token:focus-visible, .tv-grid button:focus-visible { outline: 2px solid #d55e00; outline-offset: 1px; }
.tv-next { color: var(--soft); font-size: .88rem; margin: .3rem 0 0; font-variant-numeric: tabular-nums; }
.tv-sinks { border-collapse: collapse; margin-top: 1.2rem; font-size: .88rem; font-variant-numeric: tabular-nums; }
.tv-sinks caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
.tv-sinks th, .tv-sinks td { text-align: left; padding: .15rem 1rem .15rem 0; min-width: min(8rem, 22vw); border-top: 1px solid var(--rule); }
.tv-sinks tbody th { font-weight: 400; white-space: pre; }
.tv-bar { display: block; height: 3px; width: var(--p); max-width: 100%; background: #2f8fd0; }
`;
