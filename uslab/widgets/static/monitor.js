// The training board: panels of curves, a grid of samples, a line of status.

const PANELS = [
  { title: "Losses", unit: "loss" },
  { title: "Discriminator output", unit: "mean output", low: 0, high: 1, mark: 0.5 },
  { title: "GPU", unit: "%", low: 0, high: 100, optional: true },
  { title: "Distance", unit: "to unseen images", optional: true },
];

const NARROW = 760;           // width, pixels, of a board in one column, as in monitor.css
const SIDE = 96, GAP = 2;     // pixels that a sample is wide at least, where the page is; and between two

export default () => {
  // One board a page, however many views of it: points are rows of [step, curve, curve, ...].
  const board = { curves: [], n: 0, rows: new Float32Array(0), status: [], share: 0, images: null, live: false };
  const views = new Set();

  function append(message, buffer) {
    if (message.curves) board.curves = message.curves;
    const width = 1 + board.curves.length;
    const fresh = new Float32Array(bytes(buffer).slice().buffer);
    const rows = new Float32Array(message.from * width + fresh.length);
    rows.set(board.rows.subarray(0, message.from * width));
    rows.set(fresh, message.from * width);
    Object.assign(board, { rows, n: rows.length / width, status: message.status, share: message.share });
    board.live ||= message.from === 0;
  }

  return {
    initialize({ model }) {
      const ask = connect(model, (message, buffers) => {
        if (message.type === "images") {
          const { n, h, w, columns } = message, pixels = bytes(buffers[0]);
          const tiles = Array.from({ length: n }, (_, i) => grey(pixels.subarray(i * h * w, (i + 1) * h * w), w, h));
          board.images = { ...message, tiles, columns };
        } else if (message.from > board.n) {
          ask();      // points went by before this page listened
        } else {
          append(message, buffers[0]);
        }
        for (const view of views) view.draw();
      });
    },
    render({ el }) {
      const view = mount(el, board);
      views.add(view);
      return () => { views.delete(view); view.remove(); };
    },
  };
};

function mount(el, board) {
  // The smoothing at the start is that of the still, in curves.py.
  const look = { smoothing: 0.8, log: false, hidden: new Set(), hover: null };
  const status = element("div", { class: "status" }, "waiting for the first step");
  const fill = element("div");
  const share = element("output", { text: look.smoothing });
  const slider = element("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: look.smoothing,
    "aria-label": "smoothing of the curves",
    oninput: () => { look.smoothing = +slider.value; share.textContent = look.smoothing.toFixed(2); draw(); } });
  const log = element("input", { type: "checkbox", onchange: () => { look.log = log.checked; draw(); } });
  share.textContent = look.smoothing.toFixed(2);

  const panels = PANELS.map((panel) => {
    const legend = element("div", { class: "legend" });
    const canvas = element("canvas", { role: "img", "aria-label": panel.title + " against training step" });
    canvas.addEventListener("pointermove", (event) => { look.hover = event.offsetX / canvas.clientWidth; draw(); });
    canvas.addEventListener("pointerleave", () => { look.hover = null; draw(); });
    const box = element("div", { class: "panel" }, element("div", { class: "title", text: panel.title }), legend, canvas);
    return { ...panel, legend, canvas, box, entries: [] };
  });
  const samples = element("canvas", { role: "img", "aria-label": "generated samples" });
  const samplesTitle = element("div", { class: "title", text: "Samples" });
  const samplesSize = element("div", { class: "size" });

  const root = element("div", { class: "uslab uslab-monitor" },
    element("div", { class: "head" }, status,
      element("label", {}, "smoothing", slider, share), element("label", {}, log, "log losses")),
    element("div", { class: "bar" }, fill),
    element("div", { class: "panels" }, ...panels.map((panel) => panel.box),
      element("div", { class: "panel samples" }, samplesTitle, samplesSize, samples)));
  el.classList.add("uslab-monitor-frame");
  el.append(root);

  let asked = 0;
  const draw = () => { asked ||= requestAnimationFrame(() => { asked = 0; paint(); }); };
  const resized = new ResizeObserver(draw);
  resized.observe(root);
  const themed = new MutationObserver(draw);
  themed.observe(document.body, { attributes: true });

  function paint() {
    root.classList.toggle("uslab-live", board.live);
    root.dataset.points = board.n;
    if (board.status.length) {
      status.replaceChildren(element("b", { text: board.status[0] }),
        ...board.status.slice(1).map((text) => element("span", { text })));
      status.title = board.status.join(" · ");
    }
    fill.style.width = 100 * board.share + "%";
    const small = new Set(board.curves.map((curve) => curve.panel).filter((panel) => panel > 1)).size;
    root.style.setProperty("--columns", "repeat(2, minmax(200px, 1fr)) " + "170px ".repeat(small) +
      "minmax(260px, 400px)");
    panels.forEach((panel, index) => {
      const curves = board.curves.map((curve, i) => ({ ...curve, column: i + 1 })).filter((curve) => curve.panel === index);
      panel.box.hidden = panel.optional && !curves.length;
      if (panel.box.hidden) return;
      const shown = curves.filter((curve) => !look.hidden.has(curve.label));
      const at = plot(panel, shown, board, look, index === 0 && look.log);
      label(panel, curves, at);
    });
    if (board.images) {
      samplesTitle.textContent = board.images.title;
      const shown = tile(samples, board.images, root.clientWidth <= NARROW);
      samplesSize.textContent = board.images.size + (shown < board.images.n ? `, the first ${shown}` : "");
    }
  }

  // The legend: a switch for each curve, with its smoothed value under the pointer or at the end.
  function label(panel, curves, at) {
    if (panel.entries.length !== curves.length) {
      panel.entries = curves.map((curve) => {
        const value = element("b"), stroke = element("i", { style: `background:${curve.colour}` });
        const button = element("button", { title: "show or hide this curve", "aria-pressed": true, onclick: () => {
          look.hidden[look.hidden.has(curve.label) ? "delete" : "add"](curve.label);
          button.setAttribute("aria-pressed", !look.hidden.has(curve.label));
          draw();
        } }, stroke, curve.label + " ", value);
        return { button, value };
      });
      panel.legend.replaceChildren(...panel.entries.map((entry) => entry.button));
    }
    curves.forEach((curve, i) => { panel.entries[i].value.textContent = at.get(curve.label) ?? ""; });
  }

  draw();
  return { draw, remove() { resized.disconnect(); themed.disconnect(); } };
}

// Draw one panel; returns the text of each curve's value under the pointer, or at the end.
function plot(panel, curves, board, look, logarithmic) {
  const { context, width, height } = prepare(panel.canvas);
  const style = getComputedStyle(panel.canvas.closest(".uslab"));
  const quiet = style.getPropertyValue("--quiet"), line = style.getPropertyValue("--line");
  const left = 40, right = 8, top = 8, bottom = 34;
  const stride = 1 + board.curves.length, n = board.n;
  const step = (i) => board.rows[i * stride];
  const usable = (v) => Number.isFinite(v) && (!logarithmic || v > 0);

  // Smoothing is a running mean with exponential weights, not pulled to zero at the start. The weight of the past
  // falls with the distance in steps, since a thinned board has its points unevenly. As in curves.py.
  const gap = n > 1 ? (step(n - 1) - step(0)) / (n - 1) : 1;
  const lines = curves.map((curve) => {
    const raw = new Float32Array(n).fill(NaN), mean = new Float32Array(n).fill(NaN);
    let total = 0, weight = 0, previous = n && step(0);
    for (let i = 0; i < n; i++) {
      raw[i] = board.rows[i * stride + curve.column];
      if (!Number.isFinite(raw[i])) continue;
      const keep = look.smoothing ** ((step(i) - previous) / gap);
      total = keep * total + raw[i];
      weight = keep * weight + 1;
      previous = step(i);
      mean[i] = total / weight;
    }
    return { ...curve, raw, mean };
  });

  let low = panel.low ?? Infinity, high = panel.high ?? -Infinity;
  for (const { raw } of lines) for (const v of raw) if (usable(v)) { low = Math.min(low, v); high = Math.max(high, v); }
  if (!(low <= high)) { low = logarithmic ? 0.1 : 0; high = 1; }
  if (panel.low === undefined && !logarithmic) {
    const margin = 0.05 * (high - low) || 0.5;
    low = low >= 0 && low < 0.5 * high ? 0 : low - margin;
    high += margin;
  }
  if (logarithmic && high < 1.2 * low) { low /= 2; high *= 2; }
  const first = n ? Math.min(step(0), 0) : 0, last = n ? Math.max(step(n - 1), first + 1) : 1;
  const scale = logarithmic ? Math.log10 : (v) => v;
  const x = (s) => left + (s - first) / (last - first) * (width - left - right);
  const y = (v) => height - bottom - (scale(v) - scale(low)) / (scale(high) - scale(low)) * (height - top - bottom);

  context.font = "11px " + style.fontFamily;
  context.fillStyle = quiet;
  context.strokeStyle = line;
  context.lineWidth = 1;
  context.textBaseline = "middle";
  context.textAlign = "right";
  const stroke = (points) => { context.beginPath(); points(); context.stroke(); };
  for (const v of logarithmic ? decades(low, high) : ticks(low, high, 5)) {
    const at = Math.round(y(v)) + 0.5;
    stroke(() => { context.moveTo(left, at); context.lineTo(width - right, at); });
    context.fillText(short(v), left - 6, at);
  }
  context.textAlign = "center";
  for (const s of ticks(first, last, Math.min(6, width / 70))) {
    if (Number.isInteger(s)) context.fillText(count(s), Math.min(x(s), width - right - 10), height - bottom + 12);
  }
  context.textAlign = "right";
  context.fillText("step", width - right, height - 8);
  context.textAlign = "left";
  context.fillText(panel.unit, left, height - 8);
  if (panel.mark !== undefined) {
    context.strokeStyle = quiet;
    context.setLineDash([2, 3]);
    stroke(() => { context.moveTo(left, y(panel.mark)); context.lineTo(width - right, y(panel.mark)); });
    context.setLineDash([]);
  }

  context.save();
  context.beginPath();
  context.rect(left, top - 2, width - left - right + 2, height - top - bottom + 4);
  context.clip();
  context.lineJoin = "round";
  for (const pass of ["raw", "mean"]) {
    for (const curve of lines) {
      context.strokeStyle = context.fillStyle = curve.colour;
      context.globalAlpha = pass === "raw" ? (look.smoothing ? 0.25 : 0) : 1;
      context.lineWidth = pass === "raw" ? 1 : 2;
      context.setLineDash(curve.dash ? [5, 3] : []);
      let pen = false;
      stroke(() => {
        for (let i = 0; i < n; i++) {
          if (!usable(curve[pass][i])) continue;      // some are measured now and then
          context[pen ? "lineTo" : "moveTo"](x(step(i)), y(curve[pass][i]));
          pen = true;
        }
      });
      if (n === 1 && usable(curve.mean[0])) dot(context, x(step(0)), y(curve.mean[0]));
    }
  }
  context.setLineDash([]);
  context.globalAlpha = 1;

  let index = n - 1;
  if (look.hover !== null && n) {
    const wanted = first + (look.hover * width - left) / (width - left - right) * (last - first);
    for (let i = 0, best = Infinity; i < n; i++) {
      const gap = Math.abs(step(i) - wanted);
      if (gap < best) { best = gap; index = i; }
    }
    context.strokeStyle = quiet;
    stroke(() => { context.moveTo(x(step(index)), top); context.lineTo(x(step(index)), height - bottom); });
    for (const curve of lines) {
      context.fillStyle = curve.colour;
      if (usable(curve.mean[index])) dot(context, x(step(index)), y(curve.mean[index]));
    }
  }
  context.restore();
  if (look.hover !== null && n) {
    context.fillStyle = quiet;
    context.textAlign = "center";
    context.fillText("step " + step(index).toLocaleString("en"), (left + width - right) / 2, height - 8);
  }
  return new Map(lines.map((curve) => [curve.label, n && Number.isFinite(curve.mean[index]) ? value(curve.mean[index]) : "–"]));
}

// The sample grid; returns how many are shown. Each is SIDE wide at least: fewer columns then, and as many rows as fit,
// on a narrow page all. Whole device pixels a sample pixel from two on.
function tile(canvas, images, narrow) {
  const { n, h, w, tiles } = images, room = canvas.clientWidth;
  const columns = Math.max(1, Math.min(images.columns, Math.floor((room + GAP) / (SIDE + GAP))));
  const fits = Math.floor((canvas.clientHeight + GAP) / (SIDE * h / w + GAP));
  const rows = Math.min(Math.ceil(n / columns), narrow ? Infinity : Math.max(1, fits));
  const wide = (room - GAP * (columns - 1)) / columns;
  if (narrow) canvas.style.flexBasis = rows * (wide * h / w + GAP) + "px";
  else canvas.style.flexBasis = "";
  const { context, height, ratio } = prepare(canvas);
  let zoom = ratio * Math.min(wide / w, (height - GAP * (rows - 1)) / (rows * h));
  if (zoom > 2) zoom = Math.floor(zoom);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.imageSmoothingEnabled = zoom < 2;
  context.imageSmoothingQuality = "high";
  const shown = tiles.slice(0, columns * rows);
  shown.forEach((image, i) => {
    const column = i % columns, row = Math.floor(i / columns);
    context.drawImage(image, Math.round(column * (w * zoom + GAP * ratio)), Math.round(row * (h * zoom + GAP * ratio)),
      Math.round(w * zoom), Math.round(h * zoom));
  });
  canvas.dataset.side = w * zoom / ratio;
  return shown.length;
}

// Clear a canvas and fit it to the screen's pixels.
function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return { context, width, height, ratio };
}

function dot(context, x, y) {
  context.beginPath();
  context.arc(x, y, 3.5, 0, 2 * Math.PI);
  context.fill();
}

// Round values between low and high, about `wanted` of them.
function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted), power = 10 ** Math.floor(Math.log10(rough));
  const gap = power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / gap - 1e-6); k * gap <= high + 1e-6 * gap; k++) found.push(k * gap + 0);     // + 0 makes -0 a plain 0
  return found;
}

// Ticks of a logarithmic axis: the decades, with 2 and 5 between them where there is room.
function decades(low, high) {
  const found = [], between = Math.log10(high / low) > 2.5 ? [1] : [1, 2, 5];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++) {
    for (const m of between) if (m * 10 ** e >= low && m * 10 ** e <= high) found.push(m * 10 ** e);
  }
  return found;
}

const short = (v) => String(+v.toPrecision(3));
const value = (v) => Math.abs(v) >= 1000 || (v && Math.abs(v) < 0.001) ? v.toExponential(1) : v.toPrecision(3);
const count = (v) => v >= 10000 ? +(v / 1000).toPrecision(3) + "k" : v.toLocaleString("en");
