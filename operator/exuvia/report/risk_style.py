"""How the page of the risk report looks: light and dark, on screen and on paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1b1f24; --dim: #5b6570; --rule: #d8dee4; --card: #f5f7f9;
  --c1: #0b62c4; --c2: #b3530c; --c3: #7a3fa8; --c4: #a01432; --c5: #1d7a4c;
  --none: #8b949e; --low: #2f8f5b; --medium: #c29100; --high: #d0610d; --critical: #b3122f }
@media (prefers-color-scheme: dark) { :root { --bg: #12161b; --fg: #e4e8ec; --dim: #9aa5b1; --rule: #313942;
  --card: #1b2128; --c1: #6cb1ff; --c2: #ffa657; --c3: #cf9bff; --c4: #ff7b8c; --c5: #5fd097;
  --none: #7d8590; --low: #4cc38a; --medium: #e3b341; --high: #ff9248; --critical: #ff6b7d } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1000px; padding: 32px 24px 64px; background: var(--bg); color: var(--fg);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif }
h1 { font-size: 28px; margin: 0 0 4px }
h2 { font-size: 19px; margin: 40px 0 4px }
p { margin: 6px 0 12px }
.dim { color: var(--dim) }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 12px; margin: 20px 0 }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 14px }
.card b { display: block; font-size: 26px; line-height: 1.2; overflow-wrap: anywhere }
.card span { color: var(--dim); font-size: 14px }
.first { font-size: 18px }
figure { margin: 0 }
.plot { overflow-x: auto }
.plot:focus-visible, summary:focus-visible { outline: 2px solid var(--c1); outline-offset: 2px }
svg { width: 100%; min-width: 640px; height: auto; display: block }
svg text { fill: var(--dim); font-size: 12px }
svg .axis { fill: var(--fg) }
details { margin: 8px 0 }
summary { cursor: pointer; color: var(--dim); font-size: 14px }
.grid { stroke: var(--rule) }
.line { fill: none; stroke-width: 2; stroke-linejoin: round }
.line.now { stroke: var(--c1) }
.line.then { stroke: var(--c2); stroke-dasharray: 6 4 }
.line.rescore { stroke: var(--c3) }
.line.undead { stroke: var(--c4) }
.line.liveonly { stroke: var(--c5); stroke-dasharray: 2 3 }
.bar { display: block; height: 18px; border-radius: 2px; print-color-adjust: exact }
.bar.now, .bar.plain { background: var(--c1) }
.bar.then { background: var(--c2) }
.bar.rescore { background: var(--c3) }
.bar.undead { background: var(--c4) }
.bar.liveonly { background: var(--c5) }
.bar.none { background: var(--none) }
.bar.low { background: var(--low) }
.bar.medium { background: var(--medium) }
.bar.high { background: var(--high) }
.bar.critical { background: var(--critical) }
.legend span { display: inline-block; margin-right: 20px; font-size: 14px }
.legend i { display: inline-block; width: 22px; margin: 0 6px 4px 0; border-top: 3px solid var(--c1) }
.legend .then { border-top: 3px dashed var(--c2) }
.legend .rescore { border-color: var(--c3) }
.legend .undead { border-color: var(--c4) }
.legend .liveonly { border-top: 3px dotted var(--c5) }
table { border-collapse: collapse; width: 100%; font-size: 15px }
caption { text-align: left; color: var(--dim); font-size: 14px; padding: 4px 0 }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top;
  font-weight: normal }
thead th { color: var(--dim); font-size: 14px }
td, .plot th { font-variant-numeric: tabular-nums }
td.n { white-space: nowrap }
.plot td.n { text-align: right }
.plot th { white-space: nowrap }
.bars .room { width: 60%; vertical-align: middle }
.figures td { overflow-wrap: anywhere }
@media (max-width: 600px) { body { padding: 20px 14px 48px } .bars .room { width: 34% } td, th { padding-right: 8px }
  .figures thead { display: none } .figures tr { display: block; border-bottom: 1px solid var(--rule); padding: 6px 0 }
  .figures th, .figures td { display: block; border: 0; padding: 0 } .figures th { color: var(--dim) }
  .figures td:last-child { color: var(--dim); font-size: 14px } }
@media print { body { max-width: none; padding: 0 } h2 { break-after: avoid } svg, .card { break-inside: avoid } }
"""
