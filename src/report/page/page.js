// What a script adds to the page: charts one can zoom and hover over, the choice of a run, a filter, the theme.
(() => {
  "use strict";

  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("plots").textContent);
  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();

  // Minutes and seconds, with hours if there are any.
  const clock = (seconds) => {
    const tenths = Math.round(seconds * 10), whole = Math.floor(tenths / 10), part = tenths % 10;
    const two = (number) => String(number).padStart(2, "0");
    const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return (h ? h + ":" + two(m) : m) + ":" + two(s) + (part ? "." + part : "");
  };
  const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 }).replace(/,/g, "\u202f");

  const make = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  const announcer = make("p", { class: "hidden", "aria-live": "polite" });
  document.body.append(announcer);

  // The faults as bands behind the grid; then, before it, every entry of the timeline as a line with its name.
  const bands = (marks) => (u) => {
    const { ctx, bbox } = u;
    const ratio = window.devicePixelRatio || 1;
    const limit = (x) => Math.min(Math.max(x, bbox.left), bbox.left + bbox.width);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, 0, bbox.width, bbox.top + bbox.height);
    ctx.clip();
    ctx.font = 12 * ratio + "px " + getComputedStyle(document.body).fontFamily;
    ctx.textBaseline = "alphabetic";
    ctx.textAlign = "left";
    let free = -Infinity;
    for (const [from, until, what, fault] of data.bands) {
      const left = u.valToPos(from, "x", true), right = limit(u.valToPos(until, "x", true));
      if (right < bbox.left || left > bbox.left + bbox.width) continue;
      const start = limit(left);
      if (!marks) {
        ctx.fillStyle = colour("fault");
        if (fault && right > start) ctx.fillRect(start, bbox.top, right - start, bbox.height);
        continue;
      }
      ctx.fillStyle = colour(fault ? "bad" : "faint");
      if (left >= bbox.left) ctx.fillRect(Math.round(left), bbox.top - 4 * ratio, ratio, bbox.height + 4 * ratio);
      const width = ctx.measureText(what).width;
      const at = Math.min(start, bbox.left + bbox.width - width);
      if (at > free && width < bbox.width) {
        ctx.fillText(what, at, bbox.top - 7 * ratio);
        free = at + width + 8 * ratio;
      }
    }
    ctx.restore();
  };

  const charts = new Set();
  let zooming = false;

  // All charts of a run show the same span.
  const zoom = (run, min, max) => {
    if (zooming) return;
    zooming = true;
    for (const chart of charts) {
      const scale = chart.u.scales.x;
      if (chart.run === run && (scale.min !== min || scale.max !== max)) chart.u.setScale("x", { min, max });
    }
    zooming = false;
  };

  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];

  const options = (plot, run, width) => ({
    width,
    height: 240,
    padding: [18, 24, 0, 0],
    cursor: { sync: { key: "run-" + run, setSeries: false }, drag: { x: true, y: false, setScale: true }, y: false },
    scales: {
      x: { time: false, range: (u, min, max) => (min == null ? [0, data.end] : [Math.max(0, min), Math.min(data.end, max)]) },
      y: plot.log
        ? { distr: 3, range: (u, min, max) => (min == null ? [1, 10] : [min / 1.2, max * 1.2]) }
        : { range: (u, min, max) => [0, Math.max(max == null ? 0 : max * 1.08, plot.top || 0) || 1] },
    },
    axes: [
      {
        stroke: () => colour("ink"), grid: { stroke: () => colour("grid"), width: 1 }, size: 34,
        ticks: { stroke: () => colour("edge"), width: 1 }, incrs: steps, space: 70,
        values: (u, ticks) => ticks.map(clock), font: "12px system-ui, sans-serif",
      },
      {
        stroke: () => colour("ink"), grid: { stroke: () => colour("grid"), width: 1 }, size: 62,
        ticks: { show: false }, font: "12px system-ui, sans-serif",
        values: (u, ticks) => ticks.map((tick) => (tick == null ? null : number(tick))),
      },
    ],
    series: [
      { label: "time", value: (u, value) => (value == null ? "–" : clock(value)) },
      ...plot.lines.map((line, index) => ({
        label: line.name,
        stroke: () => colour(/^\d+$/.test(line.colour) ? "p" + (line.colour % 8) : line.colour),
        fill: plot.of === "requests" && plot.lines.length === 1
          ? () => colour(/^\d+$/.test(line.colour) ? "p" + line.colour : line.colour) + "33" : undefined,
        dash: index >= 8 ? [6, 4] : undefined,
        // Of lines that coincide, those behind are thicker.
        width: 2 + 3 * Math.min(4, plot.lines.slice(index + 1).filter((other) => String(other.values) === String(line.values)).length),
        points: { show: false },
        value: (u, value) => (value == null ? "–" : number(value) + (plot.unit === "ms" || plot.unit === "%" ? " " + plot.unit : "")),
      })),
    ],
    hooks: {
      drawClear: [bands(false)],
      drawAxes: [bands(true)],
      setScale: [(u, key) => key === "x" && zoom(run, u.scales.x.min, u.scales.x.max)],
    },
  });

  // Arrows move along the chart, + and - zoom about the cursor, 0 and Escape show all.
  const keys = (u, run, plot) => (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { min, max } = u.scales.x;
    const at = u.cursor.idx == null ? u.valToIdx((min + max) / 2) : u.cursor.idx;
    const last = u.data[0].length - 1;
    const go = (index) => {
      const to = Math.min(Math.max(index, 0), last), x = u.data[0][to];
      if (x < min || x > max) {
        const half = (max - min) / 2, centre = Math.min(Math.max(x, half), data.end - half);
        zoom(run, centre - half, centre + half);
      }
      u.setCursor({ left: u.valToPos(x, "x"), top: u.bbox.height / (window.devicePixelRatio || 1) / 2 }, true, true);
      const values = plot.lines.map((line, i) => {
        const value = u.data[i + 1][to];
        return line.name + " " + (value == null ? "none" : number(value) + " " + plot.unit);
      });
      announcer.textContent = clock(x) + ": " + values.join(", ");
    };
    const about = (factor) => {
      const x = u.data[0][at], half = Math.max(((max - min) * factor) / 2, plot.step * 3);
      zoom(run, Math.max(0, x - half), Math.min(data.end, x + half));
      go(at);
    };
    const stride = event.shiftKey ? 10 : 1;
    const actions = {
      ArrowLeft: () => go(at - stride), ArrowRight: () => go(at + stride), Home: () => go(0), End: () => go(last),
      "+": () => about(0.5), "=": () => about(0.5), "-": () => about(2), "0": () => zoom(run, 0, data.end),
      Escape: () => zoom(run, 0, data.end),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  };

  // A line's name in the legend shows and hides it, by mouse and by keyboard.
  const legend = (u) => {
    u.root.querySelectorAll(".u-series").forEach((row, index) => {
      if (index === 0) return;
      const name = row.querySelector("th");
      name.tabIndex = 0;
      name.setAttribute("role", "button");
      name.setAttribute("aria-pressed", "true");
      const tell = () => name.setAttribute("aria-pressed", String(u.series[index].show));
      name.addEventListener("click", () => setTimeout(tell));
      name.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        u.setSeries(index, { show: !u.series[index].show });
        tell();
      });
    });
  };

  const panel = (plot, run) => {
    const reset = make("button", { type: "button" }, "Show all");
    const small = make("small", {}, plot.unit + (plot.log ? ", logarithmic" : ""));
    const headline = make("div", { class: "panel-head" }, make("span", {}, plot.title + " ", small), reset);
    const stage = make("div", { class: "stage" });
    const box = make("div", { class: "panel" }, headline, stage);
    reset.addEventListener("click", () => zoom(run, 0, data.end));
    box.draw = () => {
      const count = plot.lines[0].values.length;
      const xs = Array.from({ length: count }, (_, i) => plot.first + i * plot.step);
      const ys = plot.lines.map((line) => (plot.log ? line.values.map((value) => (value > 0 ? value : null)) : line.values));
      const u = new uPlot(options(plot, run, stage.clientWidth), [xs, ...ys], stage);
      const over = u.over;
      over.tabIndex = 0;
      over.setAttribute("role", "application");
      over.setAttribute("aria-label", plot.title + ", seed " + data.runs[run].seed
        + ". Arrow keys move along time, plus and minus zoom, zero shows all.");
      over.addEventListener("keydown", keys(u, run, plot));
      legend(u);
      charts.add({ u, run, stage });
    };
    return box;
  };

  const sections = [...document.querySelectorAll(".run")];
  const waiting = new Map();
  data.runs.forEach((run, index) => {
    const section = sections[index];
    const boxes = [];
    for (const place of section.querySelectorAll(".plot")) {
      const mine = (place.dataset.of || "").split(" ");
      for (const plot of run.plots.filter((plot) => mine.includes(plot.of)).reverse()) {
        const box = panel(plot, index);
        place.prepend(box);
        place.classList.add("is-live");
        boxes.unshift(box);
      }
    }
    waiting.set(index, boxes);
  });
  root.classList.add("live");

  const draw = (index) => {
    const boxes = waiting.get(index);
    waiting.delete(index);
    if (boxes) boxes.forEach((box) => box.draw());
  };

  // One run at a time; on paper too.
  const choose = (index) => {
    sections.forEach((section, at) => { section.hidden = at !== index; });
    chooser.forEach((button, at) => button.setAttribute("aria-pressed", String(at === index)));
    draw(index);
  };
  const chooser = sections.map((section, index) => {
    const button = make("button", { type: "button", "aria-pressed": "false" }, section.querySelector("h3").textContent);
    button.addEventListener("click", () => choose(index));
    return button;
  });
  if (sections.length > 1) {
    const place = document.getElementById("chooser");
    place.setAttribute("role", "group");
    place.setAttribute("aria-label", "Run shown");
    place.append(...chooser);
  }
  const follow = () => {
    const index = sections.findIndex((section) => "#" + section.id === location.hash);
    if (index >= 0) choose(index);
  };
  if (sections.length) choose(0);
  addEventListener("hashchange", follow);
  follow();

  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    for (const { u, stage } of charts) if (stage.clientWidth) u.setSize({ width: stage.clientWidth, height: 240 });
  });

  // A filter for every long table.
  for (const place of document.querySelectorAll(".filtered")) {
    const rows = [...place.querySelectorAll("tbody tr")].map((row) => [row, row.textContent.toLowerCase()]);
    const input = make("input", { type: "search", id: "filter", placeholder: "failover region=…" });
    const count = make("span", { class: "note", "aria-live": "polite" });
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const [row, text] of rows) {
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      count.textContent = words.length ? shown + " of " + rows.length + " metrics" : "";
    });
    place.prepend(make("p", { class: "filter" }, make("label", { for: "filter" }, "Metrics with the words"), input, count));
  }

  // Light, dark, or as the system has it.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const redraw = () => charts.forEach(({ u }) => {
    u.redraw(false);
    // The legend's marks are painted once, by whoever drew the chart.
    u.root.querySelectorAll(".u-series").forEach((row, index) => {
      const mark = row.querySelector(".u-marker");
      if (index > 0 && mark) mark.style.borderColor = u.series[index].stroke(u, index);
      if (index > 0 && mark && u.series[index].fill) mark.style.background = u.series[index].fill(u, index) || "none";
    });
  });
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const toggle = make("button", { type: "button" });
  const name = () => { toggle.textContent = isDark() ? "Light theme" : "Dark theme"; };
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    name();
    redraw();
  });
  dark.addEventListener("change", () => { name(); redraw(); });
  name();
  document.getElementById("theme").append(toggle);
})();
