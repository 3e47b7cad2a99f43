// A grey picture with a ruler in millimetres at its left; of the pictures that arrive between two frames of the
// screen only the last is drawn.

const SIDE = 480, RULER = 44, EDGE = 8;      // CSS pixels

export default () => {
  const state = { about: null, pixels: null, frames: 0 };
  const views = new Set();
  let planned = 0;
  const draw = () => { planned = 0; state.frames++; for (const view of views) view(); };
  return {
    initialize({ model }) {
      connect(model, (message, buffers) => {
        Object.assign(state, { about: message, pixels: bytes(buffers[0]) });
        planned ||= requestAnimationFrame(draw);
      });
    },
    render({ el }) {
      const canvas = element("canvas", { role: "img", "aria-label": "simulated ultrasound picture" });
      const note = element("div", { class: "note", "aria-live": "polite" });
      const root = element("div", { class: "uslab uslab-live uslab-screen" }, canvas, note);
      el.append(root);
      const view = () => {
        if (!state.about) return;
        paint(canvas, state);
        note.textContent = state.about.note;
        root.dataset.frames = state.frames;
      };
      views.add(view);
      view();
      return () => views.delete(view);
    },
  };
};

function paint(canvas, { about, pixels }) {
  const ratio = window.devicePixelRatio || 1, width = RULER + SIDE, height = SIDE + 2 * EDGE;
  if (canvas.width !== Math.round(width * ratio)) {
    Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  }
  const pen = canvas.getContext("2d"), style = getComputedStyle(canvas);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.drawImage(grey(pixels, about.width, about.height), RULER, EDGE, SIDE, SIDE);
  const mm = SIDE / (about.height * about.pixel_mm), bottom = about.top_mm + SIDE / mm;
  const at = (depth) => EDGE + (depth - about.top_mm) * mm;
  const step = bottom > 60 ? 20 : 10;
  pen.fillStyle = pen.strokeStyle = style.getPropertyValue("color");
  pen.font = `11px ${style.fontFamily}`;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  pen.beginPath();
  for (let depth = 0; depth <= bottom + 1e-6; depth += 5) {
    const long = depth % step === 0;
    pen.moveTo(RULER - (long ? 10 : 5), at(depth));
    pen.lineTo(RULER - 1, at(depth));
    if (long) pen.fillText(depth === 0 ? "0 mm" : depth, RULER - 13, at(depth));
  }
  pen.stroke();
  // The focus, as scanners mark it.
  const y = at(about.focus_mm);
  if (about.focus_mm > bottom) return;
  pen.fillStyle = "#fff";
  pen.beginPath();
  pen.moveTo(RULER + 3, y);
  pen.lineTo(RULER + 12, y - 6);
  pen.lineTo(RULER + 12, y + 6);
  pen.fill();
}
