// The stage: one image or two on a dark ground, whole and enlarged alike, to be zoomed, or shown for a set time.

const MOST = 8;                         // zoom: 1 to 8 times the first size, at which all of the image is seen
const SETTLED = 400;                    // milliseconds after which a zoom is entered in the record
const STILL = 6;                        // pixels of CSS that a press may move and still mark a point
const MASK_BLOCKS = 24;                 // blocks along a side of the mask that ends a timed exposure

// A grid of random grey blocks. Its seed is fixed, so it is one picture for every image and says nothing of any.
function mask(width, height) {
  let seed = 1;
  const block = Math.ceil(Math.max(width, height) / MASK_BLOCKS), across = Math.ceil(width / block);
  const blocks = Array.from({ length: across * Math.ceil(height / block) },
    () => (seed = (1103515245 * seed + 12345) % 2147483648) >> 23);
  const pixels = new Uint8Array(width * height);
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = blocks[Math.floor(i / width / block) * across + Math.floor((i % width) / block)];
  }
  return grey(pixels, width, height);
}

// Calls `then(time)` with the time of the frame after the next: what was drawn before is surely on the screen then.
const onScreen = (then) => requestAnimationFrame(() => requestAnimationFrame(then));

// `zoomed(level, stayed)` is called when the reader has changed the zoom, and when it has stayed so; `sized()` whenever the
// size on the screen has changed; `marked({ x, y, side })` when a point was pressed of an image that may be marked;
// `played({ frames_shown, holds })` when a clip has shown a frame, or was stopped.
function makeStage({ zoomed, sized, marked, played }) {
  const node = element("div", { class: "stage" });
  let item = null, level = 1, turn = 0;     // `turn` counts what was put here, so that a late frame of an old one rests
  let settling = 0, mark = null, levels = null;   // what is shown for each grey level, where that is another
  let frame = 0, running = false, runs = 0, told = {};    // of a clip; `runs` counts its starts and stops, so that an old one ends

  function canvases() {
    return Array.from({ length: item.buffers.length }, (_, i) => {
      const canvas = shaded(i);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", say(side(i) ? `alt ${side(i)}` : "alt", { i: item.done + 1, n: item.n }));
      return element("div", { class: "frame" }, canvas);
    });
  }

  function shaded(i) {
    const length = item.w * item.h, at = frame * length, pixels = bytes(item.buffers[i]).subarray(at, at + length);
    return grey(levels ? pixels.map((value) => levels[value]) : pixels, item.w, item.h);
  }

  function paint() {
    node.querySelectorAll("canvas").forEach((canvas, i) => canvas.getContext("2d").drawImage(shaded(i), 0, 0));
  }

  function turnTo(next) {
    frame = (next + item.frames) % item.frames;
    node.dataset.frame = frame;
    paint();
    if (mark) place();
    told.frames_shown++;
    played({ ...told });
  }

  // A clip goes by the clock, whatever frames the screen has.
  function run(start) {
    const mine = ++runs, first = frame;
    running = true;
    requestAnimationFrame(function next(time) {
      if (mine !== runs) return;
      const due = (first + Math.max(0, Math.floor((time - start) * item.fps / 1000))) % item.frames;
      if (due !== frame) turnTo(due);
      requestAnimationFrame(next);
    });
  }

  function stop() {
    runs++;
    running = false;
  }

  function hold() {
    stop();
    told.holds++;
    played({ ...told });
  }

  const onShow = () => item?.fps && node.querySelector("canvas[role]");     // and not its mask

  const side = (i) => item.buffers.length > 1 ? ["left", "right"][i] : null;

  // A ring around the marked point, of one size whatever the zoom.
  function place() {
    node.querySelector(".point")?.remove();
    if (!mark || (item.fps && mark.frame !== frame)) return;      // in a clip it belongs to one frame
    const at = `left: ${100 * mark.x / item.w}%; top: ${100 * mark.y / item.h}%`;
    node.querySelectorAll(".frame")[mark.side === "right" ? 1 : 0]?.append(element("i", { class: "point", style: at }));
  }

  // Where the pointer is in the image, in its pixels from its upper left corner.
  function point(event, canvas) {
    const box = canvas.getBoundingClientRect(), [x, y] = [
      (event.clientX - box.left) / box.width * item.w, (event.clientY - box.top) / box.height * item.h];
    const inside = (value, most) => Math.min(most, Math.max(0, Math.round(100 * value) / 100));
    return { x: inside(x, item.w), y: inside(y, item.h), side: side([...node.querySelectorAll("canvas")].indexOf(canvas)),
      ...(item.fps && { frame }) };
  }

  // Screen pixels along one pixel of the image. Enlarged as squares, they are whole, so no pixel is wider than another;
  // what is larger than the stage is made smaller, and never cut off before the reader zooms.
  function scale(by = level) {
    const n = item.buffers.length, gap = parseFloat(getComputedStyle(node).columnGap);
    const room = Math.min((node.clientWidth - gap * (n - 1)) / n / item.w, node.clientHeight / item.h);
    const first = room * devicePixelRatio, whole = (x) => item.smooth || x < 1 ? x : Math.floor(x);
    return by === 1 ? whole(first) : whole(whole(first) * by);
  }

  function size() {
    const each = scale() / devicePixelRatio;
    for (const canvas of node.querySelectorAll("canvas")) {
      canvas.style.width = item.w * each + "px";
      canvas.style.height = item.h * each + "px";
      canvas.style.imageRendering = item.smooth || each * devicePixelRatio < 1 ? "auto" : "pixelated";
    }
    node.classList.toggle("zoomed", level > 1);
    const held = document.activeElement === node;
    node.toggleAttribute("tabindex", level > 1);     // what scrolls can be scrolled by keyboard, too
    if (level > 1) node.tabIndex = 0;
    else if (held) node.closest("[tabindex]")?.focus({ preventScroll: true });
    node.classList.toggle("marking", Boolean(item.mark));
    sized();
  }

  function put(...parts) {
    node.replaceChildren(...parts);
    size();
    node.scrollLeft = (node.scrollWidth - node.clientWidth) / 2;
    node.scrollTop = (node.scrollHeight - node.clientHeight) / 2;
  }

  // Zoom, and keep what lies under a point of the window, by default the middle of the stage, under it.
  function zoom(to, x, y) {
    if (!item?.zoom) return;
    const box = node.getBoundingClientRect(), before = level;
    x ??= box.left + box.width / 2;
    y ??= box.top + box.height / 2;
    const all = [...node.querySelectorAll("canvas")];
    const under = all.find((canvas) => x < canvas.getBoundingClientRect().right) ?? all.at(-1);
    level = Math.min(MOST, Math.max(1, to));
    if (level === before || !under) return;
    const old = under.getBoundingClientRect();
    size();
    const now = under.getBoundingClientRect();
    node.scrollBy(now.left + (x - old.left) / old.width * now.width - x, now.top + (y - old.top) / old.height * now.height - y);
    clearTimeout(settling);
    zoomed(level, false);
    settling = setTimeout(() => zoomed(level, true), SETTLED);
  }

  // A wheel zooms on a page of its own; in a notebook, which the wheel scrolls, with Ctrl, as a pinch on a touchpad does.
  node.addEventListener("wheel", (event) => {
    if (!item?.zoom || !(item.alone || event.ctrlKey)) return;
    event.preventDefault();
    zoom(level * 1.2 ** -Math.sign(event.deltaY), event.clientX, event.clientY);
  }, { passive: false });
  // Where a press marks, two must not zoom.
  node.addEventListener("dblclick", (event) => !item?.mark && zoom(level > 1 ? 1 : 2, event.clientX, event.clientY));
  // One pointer drags what is zoomed, two pinch it.
  const held = new Map();
  const apart = () => { const [a, b] = held.values(); return Math.hypot(a.x - b.x, a.y - b.y); };
  let pressed = null;       // what may become a mark: it moves no image, and no second finger comes
  node.addEventListener("pointerdown", (event) => {
    if (event.button === 2 && item?.window) return;     // it changes the window and the level
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const canvas = event.target.closest("canvas");
    pressed = item?.mark && canvas && event.button === 0 && held.size === 1 && { canvas, x: event.clientX, y: event.clientY };
  });
  node.addEventListener("pointerup", (event) => {
    const { canvas, x, y } = pressed || {};
    pressed = null;
    if (canvas?.isConnected && Math.hypot(event.clientX - x, event.clientY - y) < STILL) marked(point(event, canvas));
  });
  node.addEventListener("pointermove", (event) => {
    const from = held.get(event.pointerId);
    if (!from) return;
    const before = held.size === 2 && apart();
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (held.size === 1) node.scrollBy(from.x - event.clientX, from.y - event.clientY);
    else if (before) {
      const [a, b] = held.values();
      zoom(level * apart() / before, (a.x + b.x) / 2, (a.y + b.y) / 2);
    }
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) node.addEventListener(end, (event) => held.delete(event.pointerId));

  return {
    node,
    // Show a new item, after a blank or a cross. `shown(time)` is called when it is on the screen, `gone(ms)` when its exposure, so long, is over.
    show(next, shown, gone) {
      item = next;
      level = 1;
      levels = null;
      clearTimeout(settling);       // it was of the image before
      stop();
      frame = 0;
      told = { frames_shown: 1, holds: 0 };
      const mine = ++turn;
      const draw = () => {
        if (mine !== turn) return;
        put(...canvases());
        place();
        onScreen((start) => {
          if (mine !== turn) return;
          shown(start);
          if (item.fps) { run(start); played({ ...told }); }
          if (!item.exposure_ms) return;
          // A mask that is drawn now is seen one frame later, so it is drawn when that frame is the nearest to the end.
          let before = start;
          const look = (time) => {
            const frame = time - before;
            before = time;
            if (mine !== turn) return;
            if (time + frame / 2 - start < item.exposure_ms - frame) return requestAnimationFrame(look);
            stop();
            put(...(item.mask_ms ? item.buffers.map(() => mask(item.w, item.h)) : []));
            requestAnimationFrame((end) => gone(end - start));
            if (item.mask_ms) setTimeout(() => mine === turn && put(), item.mask_ms);
          };
          requestAnimationFrame(look);
        });
      };
      const before = item.fixation_ms || item.blank_ms;
      if (!before) return draw();
      put(...(item.fixation_ms ? [element("span", { class: "fixation", text: "+" })] : []));
      setTimeout(draw, before);
    },
    shade(table) {
      levels = table;
      paint();
    },
    mark(next) {
      mark = next ?? null;
      place();
    },
    say(text) {
      turn++;
      stop();
      node.textContent = text;
    },
    // Stop the clip, or let it run on; step through it by so many frames.
    hold() {
      if (!onShow()) return;
      if (running) hold(); else run(performance.now());
    },
    step(by) {
      if (!onShow()) return;
      if (running) hold();
      turnTo(frame + by);
    },
    // Change the zoom by so many whole steps; 0: see all of the image again.
    zoom: (by) => zoom(by ? Math.round(level) + by : 1),
    size: () => item && size(),
    first: () => scale(1),
    level: () => level,
    cut: () => node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1,
  };
}
