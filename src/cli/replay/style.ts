/**
 * The look of the replay's page. The colours of curves are those of Okabe and Ito, made to be told apart also by those
 * who see fewer colours; darker on light ground and lighter on dark.
 */
export const style = `
:root{color-scheme:light dark;--ink:#1b2330;--soft:#5b6675;--line:#e1e5eb;--page:#f5f6f8;--card:#fff;--bad:#b3261e;--note:#fff4d6;--note-ink:#5c4300;--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#e0a000;--c5:#56b4e9;--c6:#5d4fa2;--c7:#8a94a3}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--soft:#9fa9b8;--line:#2b323d;--page:#11151b;--card:#191f28;--bad:#ff8a80;--note:#3a2f10;--note-ink:#ffe1a0;--c0:#58b0ea;--c1:#f08a4b;--c2:#3fc79a;--c3:#e3a0c6;--c4:#f0c355;--c5:#9bd5f7;--c6:#a699ec;--c7:#7c8797}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,Segoe UI,Roboto,sans-serif}
main{max-width:1760px;margin:0 auto;padding:clamp(16px,3vw,40px) clamp(12px,3vw,40px) 64px}
h1{font-size:clamp(20px,3vw,28px);line-height:1.25;margin:0;font-weight:650;overflow-wrap:anywhere}
h2{font-size:15px;margin:0 0 8px;font-weight:620}
header p{margin:6px 0 0;color:var(--soft);overflow-wrap:anywhere}
header .note{display:inline-block;margin:12px 8px 0 0;padding:6px 12px;border-radius:8px;background:var(--note);color:var(--note-ink)}
.tiles,.figures,.tables{display:flex;flex-wrap:wrap;gap:14px;margin-top:18px}
.tiles>div{flex:1 1 150px}
.figures>figure{flex:1 1 min(100%,540px)}
.tables{align-items:flex-start}
.tables>div{flex:1 1 min(100%,340px)}
.tables>div:first-child{flex-basis:min(100%,520px)}
.tiles div,figure,.tables>div{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:clamp(11px,2vw,16px);margin:0;min-width:0}
.tiles span,.tiles small{display:block;color:var(--soft);font-size:13px}
.tiles b{font-size:22px;line-height:1.4;font-weight:620;font-variant-numeric:tabular-nums}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;color:var(--soft);margin:0 0 12px;padding:0;list-style:none}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}
.plot{position:relative;height:230px;margin:0 14px 22px 56px;font-size:12px;color:var(--soft);font-variant-numeric:tabular-nums}
.plot svg{position:absolute;inset:0;width:100%;height:100%;display:block;overflow:visible}
.plot span{position:absolute;white-space:nowrap;line-height:1}
.plot .y{right:100%;margin-right:8px;transform:translateY(50%)}
.plot .x{top:100%;margin-top:7px;transform:translateX(-50%)}
.axes{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 16px;margin:0;font-size:12px;color:var(--soft)}
.nothing{color:var(--soft)}
.tables>div{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:clamp(12.5px,3.4vw,14px)}
th,td{text-align:right;padding:5px 0 5px clamp(6px,1.5vw,16px);border-top:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:500;border-top:0}
th:first-child,td:first-child{text-align:left;padding-left:0;white-space:normal}
`
