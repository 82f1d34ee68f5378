import { BASE_CSS } from '../../report/page-style.ts';

/** The style of all pages. */
export const PAGE_CSS = `${BASE_CSS}#facts { display: flex; flex-wrap: wrap; gap: .1rem 1rem; flex: 1; color: var(--dim) } #facts b { color: var(--ink); font-weight: 600 }
#live { color: var(--dim) } #live.stale { color: var(--failing); font-weight: 600 }
.badge.notEnabled, .badge.noData { color: var(--off); border-color: var(--line) }
.overview { display: flex; flex-wrap: wrap; gap: .75rem; margin-bottom: .75rem } .overview > :first-child { flex: 3 1 28rem } .overview > section { flex: 2 1 24rem }
.tiles { display: grid; grid-template-columns: repeat(5, 1fr); gap: .5rem; height: 100% }
.tile { display: block; height: 100%; background: var(--card); border: 1px solid var(--line); border-top: 3px solid var(--line); border-radius: .4rem; padding: .35rem .75rem .45rem; color: var(--dim); text-decoration: none }
.tile b { display: block; font-size: 1.6rem; line-height: 1.25; font-weight: 650 } .tile:hover { border-color: currentcolor }
.tile.failing { color: var(--failing); background: var(--failing-tint); border-top-color: var(--failing) } .tile.drifted { color: var(--drifted); border-top-color: var(--drifted) } .tile.pending { color: var(--pending); border-top-color: var(--pending) } .tile.ready { color: var(--ready); border-top-color: var(--ready) }
.tile[aria-current] { box-shadow: inset 0 0 0 1px currentcolor; border-color: currentcolor } .tile[aria-current] > span { text-decoration: underline; text-underline-offset: .2em }
.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: 1px; height: 100%; background: var(--card); border: 1px solid var(--line); border-radius: .4rem; overflow: hidden }
.totals > div { box-shadow: 0 0 0 1px var(--line); padding: .4rem .75rem } .totals b { font-size: 1.15rem; font-weight: 650 } .totals dt { font-size: .8rem }
svg { display: block; overflow: visible } svg.line { fill: none; stroke: var(--dim); stroke-width: 1.5; stroke-linecap: round; stroke-linejoin: round } svg .bar { fill: var(--failing) } svg .base { stroke: var(--line) }
.totals:has(> :nth-child(4)) small { display: block } .chart { margin-top: .2rem } .chart svg { max-width: 100% } .axis { display: flex; justify-content: space-between; max-width: 240px; color: var(--dim); font-size: .75rem }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: .75rem; align-items: start } .columns:has(.wide), .columns:not(:has(.regions)) { grid-template-columns: minmax(0, 1fr) }
.filter { display: flex; flex-wrap: wrap; gap: .4rem .75rem; align-items: center; margin-bottom: .5rem } .filter label { display: flex; gap: .35rem; align-items: center; color: var(--dim) } .filter .search { flex: 1 1 14rem }
.pairs, .conditions { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line); border-radius: .4rem }
.pairs th, .pairs td, .conditions th, .conditions td { text-align: left; vertical-align: top; padding: .2rem .6rem; border-top: 1px solid var(--line); font-weight: 400; white-space: nowrap }
.pairs thead th, .conditions thead th { color: var(--dim); font-size: .8rem; border-top: 0 }
.pairs { table-layout: fixed } .pairs thead th:nth-child(1) { width: 7.2rem } .pairs thead th:nth-child(3) { width: 8.6rem } .pairs thead th:nth-child(4) { width: 8.2rem } .pairs thead th:nth-child(5) { width: 10.6rem } .pairs thead th:nth-child(6) { width: 6.4rem }
.pairs tbody th { overflow: hidden; text-overflow: ellipsis } .pairs tbody th > a { font-weight: 600 } .pairs tbody tr:hover > * { background: color-mix(in srgb, var(--line) 25%, transparent) }
.pairs td { overflow: hidden } .pairs td svg { float: right; margin-left: .4rem } .value { font-weight: 600 }
.route { color: var(--dim) } .route > span + span { margin-left: .4rem; font-size: .8rem } .pairs .why td { border-top: 0; padding-top: 0; text-overflow: ellipsis }
.pairs .group th { background: var(--page); padding-top: .5rem; white-space: normal } .pairs .group a { font-weight: 650; margin-right: .4rem } .pairs .more td { border-top: 0 }
.pages { display: flex; gap: 1rem; justify-content: flex-end; padding: .5rem 0; color: var(--dim) } .pages > :first-child { margin-right: auto }
.empty { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: 1.5rem; text-align: center }
.regions, .card { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .75rem } .regions:not(.wide) { max-width: 24rem } .scroll { overflow-x: auto }
.matrix { border-collapse: separate; border-spacing: 2px } .matrix caption { caption-side: bottom; text-align: left; color: var(--dim); font-size: .8rem; padding-top: .3rem } .matrix th { font-weight: 400; font-size: .8rem; color: var(--dim); white-space: nowrap }
.matrix thead th { vertical-align: bottom; height: 7rem; padding: 0 } .matrix thead span { writing-mode: vertical-rl; transform: rotate(180deg); display: inline-block; max-height: 7rem } .matrix tbody th { text-align: right; padding-right: .4rem; position: sticky; left: 0; background: var(--card) }
.matrix td { padding: 0; min-width: 2.6rem; height: 2.4rem; text-align: center; background: var(--page); border-radius: .25rem } .matrix thead td { background: none }
.matrix td a { display: flex; flex-direction: column; justify-content: center; height: 100%; padding: 0 .3rem; border-radius: .25rem; text-decoration: none; font-weight: 600; line-height: 1.15 } .matrix small { color: inherit } .matrix a:hover, .matrix a[aria-current] { box-shadow: inset 0 0 0 2px currentcolor }
.matrix a.failing { background: var(--failing-tint) } .matrix a.drifted { background: var(--drifted-tint) } .matrix a.pending { background: var(--pending-tint) } .matrix a.ready { background: var(--ready-tint) }
.problems { background: var(--failing-tint); border-left: .3rem solid var(--failing); border-radius: .25rem; padding: .5rem .8rem; margin-bottom: .75rem; overflow-wrap: anywhere } .problems h2 { color: var(--failing) }
.reason { border-left: .3rem solid currentcolor; padding: .4rem .8rem; background: var(--card); overflow-wrap: anywhere }
.facts > div { display: flex; gap: .5rem; padding: .15rem 0 } .facts dt { flex: 0 0 6.5rem } .facts dd { min-width: 0; overflow-wrap: anywhere }
.conditions .message { white-space: normal; overflow-wrap: anywhere; width: 100% }
.burst, .change { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .75rem; margin: .4rem 0 } .burst { border-left: .3rem solid var(--line) } .failing-burst { border-left-color: var(--failing) } .proof li, .jobs li { padding: .2rem 0; overflow-wrap: anywhere }
progress { accent-color: var(--pending); width: 12rem; max-width: 100%; vertical-align: middle } summary { cursor: pointer; overflow-wrap: anywhere } pre { overflow-x: auto; margin: .4rem 0 0 }
.doc { max-width: 52rem; background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .75rem 1.25rem 1.25rem; overflow-wrap: anywhere } .doc h2 { font-size: 1.3rem } .doc h3 { font-size: 1.1rem } .doc h4 { font-size: 1rem; margin-top: 1rem } .doc p, .doc li { line-height: 1.55 } .doc ul, .doc ol { padding-left: 1.2rem } .doc ul { list-style: disc }
.doc pre { background: var(--page); border-radius: .3rem; padding: .5rem .7rem } .doc table { border-collapse: collapse } .doc th, .doc td { text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); padding: .25rem .6rem .25rem 0; min-width: 6rem }
@media (max-width: 64rem) { .columns { grid-template-columns: minmax(0, 1fr) } .regions:not(.wide) { max-width: none } }
@media (max-width: 52rem) {
  #facts { order: 3; flex-basis: 100% } #live { margin-left: auto } .tile { padding: .3rem .45rem } .tiles { gap: .3rem } .tile b { font-size: 1.2rem } .tile > span { font-size: .75rem } .tile [aria-hidden] { display: none }
  .totals { grid-template-columns: repeat(3, 1fr) } .totals > div { padding: .3rem .5rem } .totals small { display: block } .overview > section { flex-basis: 100% }
  .filter { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)) } .filter .search { grid-column: 1 / -1 } .filter label > span { flex: 0 0 3.8rem } .filter label > :last-child { flex: 1; max-width: none } .filter .search input { width: 100% }
  .pairs thead, .conditions thead { position: absolute; clip-path: inset(50%); height: 1px; overflow: hidden } .pairs, .pairs tbody, .conditions, .conditions tbody { display: block }
  .pairs tr, .conditions tr { border-top: 1px solid var(--line); padding: .35rem .6rem; display: flex; flex-wrap: wrap; gap: 0 .9rem } .pairs tbody:first-of-type tr:first-child { border-top: 0 }
  .pairs th, .pairs td, .conditions th, .conditions td { border: 0; padding: 0 } .pairs tbody th { flex: 1 1 calc(100% - 7rem); order: -1; white-space: normal; overflow-wrap: anywhere } .pairs .group th { order: 0; padding: .3rem 0 }
  .route > span:first-child, .pairs small { display: none } .route > span + span { margin-left: 0 } .pairs tr.why { border-top: 0; padding-top: 0; margin-top: -.2rem } .pairs .why td { white-space: normal; overflow-wrap: anywhere; display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical } .pairs .why td:empty { display: none } .pairs td[data-label] { display: flex; align-items: center; gap: .35rem } .pairs td[data-label]::before { content: attr(data-label); color: var(--dim); font-size: .8rem } .pairs td svg { float: none; margin: 0; order: 3 } .pairs tr:has(.ready.badge) td:last-child { display: none } .pairs td svg.line { display: none } .pairs td svg:not(:has(.bar)) { display: none }
  .conditions .message { flex-basis: 100% } .facts > div { flex-wrap: wrap; gap: 0 .5rem }
}
@media (max-width: 30rem) { .totals:has(> :nth-child(4)) { grid-template-columns: 1fr 1fr } }
`;
