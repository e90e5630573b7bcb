// Draws what a page has in data-values; drawn again when the theme or the width changes.
(() => {
  const GAP = 24;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = (label) => ({ label, stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } });
  const line = (label, name) => ({ label, stroke: colour(name), width: 2, points: { show: true, size: 5 } });
  const kinds = {
    sizes: (v) => [[v.at, v.executor, v.driver, v.failed], [
      { label: "started" }, line("executor GiB", "--link"), line("driver GiB", "--muted"),
      { label: "failed", stroke: colour("--bad"), width: 0, paths: () => null, points: { show: true, size: 11, width: 2.5, fill: colour("--bg") } },
    ], "GiB"],
    days: (v) => [[v.at, ...v.counts], [
      { label: "day" }, line("remediated", "--ok"), line("stopped", "--bad"), line("left alone", "--muted"),
    ], "failures"],
  };
  const draw = (box) => {
    const [data, series, unit] = kinds[box.dataset.chart](JSON.parse(box.dataset.values));
    box.textContent = "";
    new uPlot({
      width: Math.max(280, box.clientWidth), height: 220, series, axes: [axis(), axis(unit)],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
      padding: [12, GAP, 0, 0],
    }, data, box);
  };
  const all = () => document.querySelectorAll("[data-chart]").forEach(draw);
  let waiting = 0;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(all, 100); };
  all();
  addEventListener("resize", soon);
  new MutationObserver(soon).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
})();
