// The editor of a label image, and beside it the image that is synthesized from it.
// The page sends the pen's points; the kernel rasterises them and answers with the label, then with the image. So what
// is drawn here while the pen is down is a preview, and every pixel of the label is one of the palette.

const SIDE = 440, MARK = "#ffd23f";      // CSS pixels of each picture

export default () => {
  const state = { about: null, label: null, image: null, preview: null };
  const views = new Set();
  let model = null;
  const draw = () => { for (const view of views) view(); };
  return {
    initialize(context) {
      model = context.model;
      connect(model, (message, buffers) => {
        Object.assign(state, { about: message, label: bytes(buffers[0]) });
        // A stroke's preview stays until the kernel has made that stroke: an answer to an earlier one does not end it.
        if (state.preview?.name === message.made) state.preview = null;
        if (buffers[1]) state.image = grey(bytes(buffers[1]), message.columns, message.rows);
        draw();
      });
    },
    render({ el }) {
      const view = mount(el, state, (message) => model.send(message));
      views.add(view);
      view();
      return () => views.delete(view);
    },
  };
};

function mount(el, state, send) {
  const ui = { tool: "draw", width: 1, opacity: 0.6, marks: true };
  const tools = element("div", { class: "tools", role: "group", "aria-label": "tools" });
  const button = (text, title, act) => element("button", { type: "button", title, onclick: act }, text);
  const undo = button("Undo", "Ctrl+Z", () => send({ type: "undo" }));
  const redo = button("Redo", "Ctrl+Shift+Z", () => send({ type: "redo" }));
  const reset = button("Reset", "the label as it was loaded", () => send({ type: "reset" }));
  const slider = (name, min, max, step) => element("label", {}, name, element("input", { type: "range", min, max, step,
    value: ui[name], "aria-label": name, oninput: (e) => { ui[name] = Number(e.target.value); view(); } }));
  const marks = element("label", {}, element("input", { type: "checkbox", checked: true,
    onchange: (e) => { ui.marks = e.target.checked; view(); } }), "mark edits");
  const row = element("div", { class: "row" }, undo, redo, reset, slider("width", 1, 9, 1),
    slider("opacity", 0, 1, 0.05), marks);
  const board = element("canvas", { class: "board", role: "img", "aria-label": "label image, to be edited" });
  const result = element("canvas", { role: "img", "aria-label": "synthesized image" });
  const note = element("div", { class: "note", "aria-live": "polite" }, "waiting for the kernel");
  const legend = element("div", { class: "legend" }), took = element("div", { class: "legend" });
  // JupyterLab's own keys (d d deletes a cell) rest while the focus is in here.
  const root = element("div", { class: "uslab uslab-sketch", tabindex: 0, "data-lm-suppress-shortcuts": "true",
    role: "group", "aria-label": "sketch editor" }, tools, row,
    element("div", { class: "pictures" }, element("div", {}, board, legend), element("div", {}, result, took)), note);
  el.append(root);

  root.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y")) {
      event.preventDefault();
      send({ type: key === "y" || event.shiftKey ? "redo" : "undo" });
    }
    event.stopPropagation();
  });

  let stroke = null;
  const at = (event) => {
    const box = board.getBoundingClientRect(), { width, height } = state.about;
    const inside = (v, most) => Math.round(10 * Math.min(most, Math.max(0, v))) / 10;
    return [inside((event.clientX - box.left) / box.width * width - 0.5, width - 1),
            inside((event.clientY - box.top) / box.height * height - 0.5, height - 1)];
  };
  board.addEventListener("pointerdown", (event) => {
    if (!state.about || stroke || event.button > 0 && !(event.buttons & 32)) return;
    event.preventDefault();
    root.focus({ preventScroll: true });
    board.setPointerCapture(event.pointerId);
    const tool = event.buttons & 32 ? "erase" : ui.tool;      // the other end of a pen
    stroke = { id: event.pointerId, tool, points: [at(event)], width: ui.width };
    if (tool === "move" || tool === "grow") stroke.body = body(state, stroke.points[0]);
    state.preview = stroke;
    view();
  });
  board.addEventListener("pointermove", (event) => {
    if (stroke?.id !== event.pointerId) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      const point = at(each), last = stroke.points.at(-1);
      if (point[0] !== last[0] || point[1] !== last[1]) stroke.points.push(point);
    }
    view();
  });
  const end = (event) => {
    if (stroke?.id !== event.pointerId) return;
    const { tool, points, width } = stroke, name = Math.random();
    stroke.name = name;
    stroke = null;
    send({ type: "stroke", tool, points, width, name });
  };
  board.addEventListener("pointerup", end);
  board.addEventListener("pointercancel", () => { stroke = state.preview = null; view(); });

  function view() {
    const { about, label, image } = state;
    if (!about) return;
    root.classList.add("uslab-live");
    if (!tools.children.length)
      tools.append(...Object.entries(about.tools).map(([name, help]) => element("button", { type: "button", title: help,
        "data-tool": name, onclick: () => { ui.tool = name; view(); } }, name)));
    for (const each of tools.children) each.setAttribute("aria-pressed", each.dataset.tool === ui.tool);
    undo.disabled = !about.undo;
    redo.disabled = !about.redo;
    const scale = SIDE / Math.max(about.width, about.height);
    const zoom = scale > 1 ? Math.floor(scale) : scale;
    const width = Math.round(about.width * zoom), height = Math.round(about.height * zoom);
    const pens = [board, result].map((canvas) => {
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      const pen = canvas.getContext("2d");
      pen.imageSmoothingEnabled = false;
      pen.clearRect(0, 0, width, height);
      if (image) pen.drawImage(image, 0, 0, width, height);
      return pen;
    });
    pens[0].globalAlpha = ui.opacity;
    pens[0].drawImage(coloured(label, about, () => true), 0, 0, width, height);
    pens[0].globalAlpha = 1;
    // From here on, whole numbers are the middles of pixels.
    for (const pen of pens) pen.setTransform(zoom, 0, 0, zoom, zoom / 2, zoom / 2);
    if (ui.marks) pens.forEach((pen) => outline(pen, about.marks, 1.5 / zoom));
    if (state.preview) preview(pens[0], state.preview, about, zoom);
    for (const pen of pens) pen.resetTransform();
    legend.replaceChildren(...about.names.slice(1).map((name, i) => element("span", {},
      element("i", { style: `background:${about.colours[i + 1]}` }), name)));
    took.textContent = about.busy ? "synthesizing…" : `synthesized in ${about.seconds.toFixed(2)} s`;
    note.textContent = about.note;
    Object.assign(root.dataset, { undo: about.undo, redo: about.redo, busy: about.busy });
  }
  return view;
}

// A canvas of the label's own pixels in the palette's colours, clear where `shown` says no.
function coloured(label, about, shown) {
  const canvas = element("canvas", { width: about.width, height: about.height });
  const picture = new ImageData(about.width, about.height), words = new Uint32Array(picture.data.buffer);
  const colours = about.colours.map((text) => {
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
    return (0xff000000 | b << 16 | g << 8 | r) >>> 0;
  });
  for (let i = 0; i < words.length; i++) if (shown(i)) words[i] = colours[label[i]];
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

// What a move or a growth takes along: the follicle under the point, or the ovary with its follicles.
function body({ about, label }, point) {
  const { width, height } = about, [x, y] = point.map(Math.round), value = label[y * width + x];
  if (value !== 1 && value !== 2) return null;
  const part = new Set([y * width + x]);
  for (const i of part) {                 // a Set hands out what is added while it is walked through
    const near = [i % width ? i - 1 : i, (i + 1) % width ? i + 1 : i, i - width, i + width];
    for (const j of near) if (label[j] === value || value === 1 && label[j] === 2) part.add(j);
  }
  let sx = 0, sy = 0;
  for (const i of part) { sx += i % width; sy += Math.floor(i / width); }
  return { canvas: coloured(label, about, (i) => part.has(i)), x: sx / part.size, y: sy / part.size,
    radius: Math.sqrt(part.size / Math.PI) };
}

function preview(pen, { tool, points, width, body }, about, zoom) {
  const [first, last] = [points[0], points.at(-1)];
  const colour = { draw: 3, erase: 3, follicle: 2, ovary: 1 }[tool];
  pen.strokeStyle = pen.fillStyle = tool === "erase" ? MARK : about.colours[colour] ?? MARK;
  pen.lineWidth = 1.5 / zoom;
  pen.beginPath();
  if (tool === "draw" || tool === "erase") {
    Object.assign(pen, { lineWidth: width, lineCap: "round", lineJoin: "round" });
    pen.globalAlpha = tool === "erase" ? 0.5 : 1;
    pen.moveTo(...first);
    for (const point of points) pen.lineTo(...point);
    if (points.length === 1) pen.lineTo(first[0] + 0.01, first[1]);
    pen.stroke();
  } else if (colour) {
    pen.ellipse((first[0] + last[0]) / 2, (first[1] + last[1]) / 2, Math.abs(last[0] - first[0]) / 2,
      Math.abs(last[1] - first[1]) / 2, 0, 0, 2 * Math.PI);
    pen.stroke();
  } else if (body) {
    const from = ([x, y]) => Math.hypot(x - body.x, y - body.y);
    const grow = tool === "grow" ? Math.max(0.25, Math.min(4, 1 + (from(last) - from(first)) / body.radius)) : 1;
    const by = tool === "move" ? [last[0] - first[0], last[1] - first[1]] : [body.x * (1 - grow), body.y * (1 - grow)];
    pen.globalAlpha = 0.7;
    pen.drawImage(body.canvas, by[0] - 0.5 * grow, by[1] - 0.5 * grow, about.width * grow, about.height * grow);
  }
  pen.globalAlpha = 1;
}

function outline(pen, marks, width) {
  Object.assign(pen, { strokeStyle: MARK, lineWidth: width });
  for (const mark of marks) {
    pen.beginPath();
    mark.forEach(([x, y]) => pen.lineTo(x, y));
    pen.closePath();
    pen.stroke();
  }
}
