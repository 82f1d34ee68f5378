import { BASE_CSS } from './page-style.ts';

/** The style of the HTML report on a fleet. */
export const FLEET_CSS = `${BASE_CSS}
#facts { display: flex; flex-wrap: wrap; gap: .1rem 1rem; flex: 1; color: var(--dim) } #facts b { color: var(--ink); font-weight: 600 }
section { margin-bottom: 1.25rem }
.badge.error { color: var(--failing); background: var(--failing-tint) } .badge.warning { color: var(--drifted); background: var(--drifted-tint) } .badge.info { color: var(--pending); background: var(--pending-tint) } .badge.unknown, .badge.new { color: var(--dim); border-color: var(--off) }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .5rem; margin-bottom: .75rem }
.tile { display: block; background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .35rem .75rem .45rem; color: var(--dim); text-decoration: none }
.tile b { display: block; font-size: 1.4rem; line-height: 1.25; font-weight: 650 } .tile:hover, .tile[aria-current] { border-color: currentcolor } .tile[aria-current] span { text-decoration: underline; text-underline-offset: .2em }
.tile.error { color: var(--failing) } .tile.warning { color: var(--drifted) } .tile.info { color: var(--pending) }
.totals { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem } .totals > div { display: flex; gap: .4rem } .totals dd { font-weight: 600 }
.problems { background: var(--failing-tint); border-left: .3rem solid var(--failing); border-radius: .25rem; padding: .5rem .8rem; overflow-wrap: anywhere } .problems h2 { color: var(--failing) }
.filter { display: flex; flex-wrap: wrap; gap: .4rem .75rem; align-items: center; margin-bottom: .5rem } .filter label { display: flex; gap: .35rem; align-items: center; color: var(--dim) } .filter .search { flex: 1 1 14rem } .search input { width: 100% } select { max-width: 14rem }
.filter:not(.active), .more:not(.active) { display: none }
table { width: 100%; border-collapse: collapse; table-layout: fixed; background: var(--card); border: 1px solid var(--line) }
caption { text-align: left; color: var(--dim); padding-bottom: .3rem }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem; border-top: 1px solid var(--line); font-weight: 400; overflow-wrap: anywhere }
thead th { color: var(--dim); font-size: .8rem; border-top: 0 } thead button { border: 0; background: none; padding: .2rem 0; color: inherit; text-align: left } [aria-sort=ascending] button::after { content: ' ▲' } [aria-sort=descending] button::after { content: ' ▼' }
td small, th small { display: block } tbody th { font-weight: 600 } tbody th small { font-weight: 400 }
.findings .category { width: 11rem } .findings .account { width: 8.5rem } .findings .region { width: 7.5rem } .findings .bucket { width: 17rem } .findings .since { width: 6.5rem }
.number { text-align: right; width: 8rem } .changes li { padding: .15rem 0; overflow-wrap: anywhere } summary { cursor: pointer } details { margin-top: .4rem }
footer { max-width: 84rem; margin: 0 auto; padding: 0 1rem 2rem; color: var(--dim) }
@media (max-width: 52rem) {
  .filter.active { display: grid; grid-template-columns: minmax(0, 1fr) } .filter label > :last-child { flex: 1; max-width: none }
  thead { position: absolute; clip-path: inset(50%); height: 1px; overflow: hidden } table, caption, tbody, tr, th, td { display: block; width: 100% } tr { border-top: 1px solid var(--line); padding: .35rem 0 } tr[hidden] { display: none } th, td { border: 0; padding: .05rem .6rem; text-align: left }
  .findings td:not(.message, .category)::before, .accounts td::before, .healthy td::before { content: attr(data-label) ' '; color: var(--dim); font-size: .8rem } td small { display: inline; margin-left: .4rem }
}
@media print { .filter, .more { display: none !important } tr { break-inside: avoid } }
`;
