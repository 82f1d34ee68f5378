/** The style that all HTML documents share: colours, text, badges and controls. */
export const BASE_CSS = `
:root { color-scheme: light dark; --page: #f4f6f8; --card: #fff; --ink: #1b1f24; --dim: #525b66; --line: #d5dae1; --focus: #0b57a4; --link: #0b57a4;
  --failing: #b3121d; --failing-tint: #fdeaea; --drifted: #854300; --drifted-tint: #fdf1de; --pending: #0b57a4; --pending-tint: #e6f0fb; --ready: #0f5f2a; --ready-tint: #e5f4e9; --off: #5b6570 }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --card: #151b23; --ink: #e6edf3; --dim: #9fabb8; --line: #2d353f; --focus: #79b8ff; --link: #79b8ff;
  --failing: #ff938a; --failing-tint: #3b1a1c; --drifted: #f0b35a; --drifted-tint: #33260f; --pending: #79b8ff; --pending-tint: #12263e; --ready: #62d480; --ready-tint: #12291a; --off: #98a4b1 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: .875rem/1.4 system-ui, -apple-system, 'Segoe UI', sans-serif; font-variant-numeric: tabular-nums }
header, main { max-width: 84rem; margin: 0 auto; padding: 0 1rem }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem; padding-top: .75rem; padding-bottom: .75rem }
main { padding-bottom: 2rem }
h1 { margin: 0; font-size: 1.15rem } h1 a { color: inherit; text-decoration: none }
h2 { margin: 0 0 .4rem; font-size: 1rem } h2.pair { font-size: 1.25rem; overflow-wrap: anywhere } h3 { margin: 1.25rem 0 .4rem; font-size: 1rem } h4 { margin: 0 0 .3rem; font-size: .875rem } h4 .dim { font-weight: 400 }
p { margin: .4rem 0 } a { color: var(--link) } ul { list-style: none; margin: 0; padding: 0 } dl, dd { margin: 0 }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 1px; border-radius: 2px }
.hidden { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; white-space: nowrap }
.dim, small, dt { color: var(--dim) } small { font-size: .8rem }
.failing { color: var(--failing) } .drifted { color: var(--drifted) } .pending { color: var(--pending) } .ready { color: var(--ready) } .off { color: var(--off) }
code, pre { font: .8rem/1.45 ui-monospace, monospace } code { overflow-wrap: anywhere }
.badge { display: inline-block; border-radius: 1rem; padding: 0 .5rem; font-size: .8rem; font-weight: 600; line-height: 1.15rem; white-space: nowrap; border: 1px solid transparent }
.badge.failing { background: var(--failing-tint) } .badge.drifted { background: var(--drifted-tint) } .badge.pending { background: var(--pending-tint) } .badge.ready { background: var(--ready-tint) }
input, select, button { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--off); border-radius: .3rem; padding: .2rem .45rem; min-height: 1.9rem; min-width: 0 } .search input { width: 100% } select { max-width: 11rem } button { cursor: pointer; padding: .2rem .8rem }
::placeholder { color: var(--dim); opacity: 1 }
`;
