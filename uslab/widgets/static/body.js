// The body in 3-D on a canvas, turned by drag or arrow keys in the page itself. Orthographic: the plane is then an image
// under an affine map, and as it parts space in two, what lies behind it is drawn before it and the rest after.

const WIDTH = 520, HEIGHT = 420, START = { azimuth: 70, elevation: 12 };      // CSS pixels, degrees
const SHADES = 32;
const LABEL = "the body in 3-D with the probe's poses and its plane; drag it or press the arrow keys to turn it";

export default () => {
  const state = { body: null, plane: null, frames: 0 };
  const views = new Set();
  return {
    initialize({ model }) {
      connect(model, (message, buffers) => {
        if (message.whole) state.body = body(message, buffers);
        state.plane = plane(message, buffers.at(-1));
        for (const view of views) view();
      });
    },
    render({ el }) {
      const canvas = element("canvas", { role: "img", tabindex: 0, "aria-label": LABEL, "data-lm-suppress-shortcuts": true });
      const note = element("div", { class: "note", text: "drag or arrow keys: turn · Home: as it was" });
      const root = element("div", { class: "uslab uslab-live uslab-body" }, canvas, note);
      const seen = { ...START };
      let planned = 0;
      const view = () => {
        planned ||= requestAnimationFrame(() => {
          planned = 0;
          if (!state.body) return;
          paint(canvas, state, seen);
          Object.assign(root.dataset, { frames: ++state.frames, azimuth: seen.azimuth, elevation: seen.elevation });
        });
      };
      const turn = (right, down) => {
        seen.azimuth = (seen.azimuth - right + 540) % 360 - 180;
        seen.elevation = Math.max(-89, Math.min(89, seen.elevation + down));
        view();
      };
      canvas.onpointerdown = (event) => canvas.setPointerCapture(event.pointerId);
      canvas.onpointermove = (event) => event.buttons && turn(event.movementX / 2, event.movementY / 2);
      canvas.onkeydown = (event) => {
        const by = { ArrowLeft: [-5, 0], ArrowRight: [5, 0], ArrowUp: [0, -5], ArrowDown: [0, 5] }[event.key];
        if (event.key === "Home") Object.assign(seen, START);
        if (!by && event.key !== "Home") return;
        event.preventDefault();
        event.stopPropagation();
        turn(...(by ?? [0, 0]));
      };
      el.append(root);
      views.add(view);
      view();
      return () => views.delete(view);
    },
  };
};

// What is drawn: corners of the triangles and ends of the arrows about the body's middle, mm; and of each triangle its
// centre, its normal, and its organ's colours from edge-on to facing.
function body({ organs, middle, reach, arrows }, buffers) {
  const points = new Float32Array(bytes(buffers[0]).slice().buffer), count = points.length / 9 - 2 * arrows / 3;
  const centres = new Float32Array(3 * count), normals = new Float32Array(3 * count);
  for (let t = 0; t < count; t++) {
    const [p, q, r] = [0, 3, 6].map((k) => points.subarray(9 * t + k, 9 * t + k + 3));
    const normal = cross(q.map((one, i) => one - p[i]), r.map((one, i) => one - p[i]));
    const length = Math.hypot(...normal) || 1;
    for (let i = 0; i < 3; i++) {
      centres[3 * t + i] = (p[i] + q[i] + r[i]) / 3;
      normals[3 * t + i] = normal[i] / length;
    }
  }
  const colours = organs.flatMap(({ triangles, colour, alpha }) => Array(triangles).fill(shades(colour, alpha)));
  return { points, centres, normals, colours, middle, reach, arrows };
}

const shades = (colour, alpha) => Array.from({ length: SHADES }, (_, i) =>
  `rgba(${colour.map((part) => Math.round(part * (0.45 + 0.55 * i / (SHADES - 1))))},${alpha})`);

// The fan in RGBA, and where its first pixel and its next ones to the right and below lie, mm.
function plane({ height, width, corner, across, down }, buffer) {
  const canvas = element("canvas", { width, height });
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(bytes(buffer)), width, height), 0, 0);
  return { canvas, corner, across, down };
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const along = (list, i, way) => list[3 * i] * way[0] + list[3 * i + 1] * way[1] + list[3 * i + 2] * way[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

function paint(canvas, { body, plane }, seen) {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(WIDTH * ratio)) {
    Object.assign(canvas, { width: Math.round(WIDTH * ratio), height: Math.round(HEIGHT * ratio) });
    canvas.style.aspectRatio = `${WIDTH} / ${HEIGHT}`;
  }
  const pen = canvas.getContext("2d"), scale = 0.7 * Math.min(WIDTH, HEIGHT) / body.reach;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, WIDTH, HEIGHT);
  const [a, e] = [seen.azimuth * Math.PI / 180, seen.elevation * Math.PI / 180];
  const right = [-Math.sin(a), Math.cos(a), 0];
  const up = [-Math.sin(e) * Math.cos(a), -Math.sin(e) * Math.sin(a), Math.cos(e)];
  const nearer = [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
  const { points, centres, normals, colours } = body, n = points.length / 3;
  const x = new Float32Array(n), y = new Float32Array(n), depth = new Float32Array(colours.length);
  for (let i = 0; i < n; i++) {
    x[i] = WIDTH / 2 + scale * along(points, i, right);
    y[i] = HEIGHT / 2 - scale * along(points, i, up);
  }
  const { across, down } = plane, corner = plane.corner.map((mm, i) => mm - body.middle[i]);
  let normal = cross(across, down);
  if (dot(normal, nearer) < 0) normal = normal.map((one) => -one);
  const edge = dot(normal, corner), behind = [], before = [];
  for (let t = 0; t < depth.length; t++) {
    depth[t] = along(centres, t, nearer);
    (along(centres, t, normal) < edge ? behind : before).push(t);
  }
  const triangles = (which) => {
    for (const t of which.sort((i, j) => depth[i] - depth[j])) {
      const i = 3 * t;
      // Light from where it is seen.
      pen.fillStyle = colours[t][Math.round((SHADES - 1) * Math.abs(along(normals, t, nearer)))];
      pen.beginPath();
      pen.moveTo(x[i], y[i]);
      pen.lineTo(x[i + 1], y[i + 1]);
      pen.lineTo(x[i + 2], y[i + 2]);
      pen.fill();
    }
  };
  triangles(behind);
  pen.save();
  pen.transform(scale * dot(across, right), -scale * dot(across, up), scale * dot(down, right), -scale * dot(down, up),
    WIDTH / 2 + scale * dot(corner, right), HEIGHT / 2 - scale * dot(corner, up));
  pen.drawImage(plane.canvas, 0, 0);
  pen.restore();
  pen.strokeStyle = "#4a8cc7";
  pen.beginPath();
  for (let i = n - 2 * body.arrows; i < n; i += 2) {
    pen.moveTo(x[i], y[i]);
    pen.lineTo(x[i + 1], y[i + 1]);
    const turned = Math.atan2(y[i + 1] - y[i], x[i + 1] - x[i]);
    for (const side of [2.7, -2.7]) {
      pen.moveTo(x[i + 1], y[i + 1]);
      pen.lineTo(x[i + 1] + 4 * Math.cos(turned + side), y[i + 1] + 4 * Math.sin(turned + side));
    }
  }
  pen.stroke();
  triangles(before);
}
