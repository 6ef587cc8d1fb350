//! How the picture looks, light and dark.

/// Blue and orange are told apart with every kind of colour vision; what an attempt came to is also told by marks and text.
pub(in crate::picture) const STYLE: &str = "\
.stroma{--paper:#fff;--band:#f5f6f8;--ink:#1b2027;--dim:#5b6470;--line:#d9dde3;--well:#1f6aa8;--on-well:#fff;--bad:#b84a00;\
--on-bad:#fff;--cut:#6b7280;--on-cut:#fff;--keep:#1b2027;color-scheme:light dark;\
font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}
@media(prefers-color-scheme:dark){.stroma{--paper:#12161c;--band:#191f27;--ink:#e6e9ee;--dim:#9aa4b2;--line:#2e3742;\
--well:#6cb6ea;--on-well:#0b1017;--bad:#f59a5d;--on-bad:#0b1017;--cut:#9aa4b2;--on-cut:#0b1017;--keep:#e6e9ee}}
svg.stroma text{fill:var(--ink);white-space:pre}
svg.stroma .paper{fill:var(--paper)}
svg.stroma .band{fill:var(--band)}
svg.stroma .grid{stroke:var(--line);fill:none}
svg.stroma .branch{stroke:var(--dim);stroke-width:2;fill:none;stroke-linecap:round}
svg.stroma .dim{fill:var(--dim)}
svg.stroma .head{font-size:15px;font-weight:600}
svg.stroma .well{fill:var(--well)}
svg.stroma .bad{fill:var(--bad)}
svg.stroma .cut{fill:var(--cut);stroke:var(--ink);stroke-dasharray:3 2}
svg.stroma .kept{fill:var(--paper);stroke:var(--well);stroke-width:2}
svg.stroma .wait{fill:url(#stroma-wait);stroke:var(--line)}
svg.stroma .hatch{stroke:var(--dim);stroke-width:1;opacity:.55}
svg.stroma .save{stroke:var(--keep);stroke-width:2}
svg.stroma .spend{stroke:var(--well);stroke-width:1.5;fill:none}
svg.stroma .on-well{fill:var(--on-well)}
svg.stroma .on-bad{fill:var(--on-bad)}
svg.stroma .on-cut{fill:var(--on-cut)}
svg.stroma .over{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
svg.stroma a:focus{outline:none}
svg.stroma a:focus-visible .bar,svg.stroma a:hover .bar{stroke:var(--ink);stroke-width:2;stroke-dasharray:none}
";

/// What only the page has.
pub(in crate::picture) const PAGE: &str = "\
html{background:var(--paper)}
body{margin:0 auto;padding:24px;max-width:1160px;background:var(--paper);color:var(--ink);line-height:1.5;\
font-family:system-ui,sans-serif;font-size:14px}
h1{font-size:20px;margin:0;overflow-wrap:anywhere}
h2{font-size:16px;margin:28px 0 8px}
p{margin:4px 0 16px;color:var(--dim)}
.scroll{overflow-x:auto}
.scroll:focus-visible{outline:2px solid var(--well)}
.scroll svg{display:block;min-width:900px;width:100%;height:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:4px 10px;border-bottom:1px solid var(--line);vertical-align:top;\
overflow-wrap:anywhere}
th{color:var(--dim);font-weight:600;white-space:nowrap}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;overflow-wrap:normal}
td:first-child{min-width:9em}
td.o{min-width:16em}
tr:target{outline:2px solid var(--well);outline-offset:-2px;background:var(--band)}
.bad{color:var(--bad);font-weight:600}
a{color:inherit}
a:focus-visible{outline:2px solid var(--well)}
@media print{body{padding:0;max-width:none}.scroll{overflow:visible}.scroll svg{min-width:0}\
td.o,td:first-child{min-width:0}tr{break-inside:avoid}}
";
