// The stage: one image or two on a dark ground, all enlarged alike, with zoom in whole steps, or shown for a set time.

const STEPS = 4;                        // zoom: 1, 2, 3 or 4 times the first size
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

function makeStage() {
  const node = element("div", { class: "stage" });
  let item = null, level = 1, turn = 0;     // `turn` counts what was put here, so that a late frame of an old one rests

  function canvases() {
    return Array.from({ length: item.buffers.length }, (_, i) => {
      const canvas = grey(bytes(item.buffers[i]), item.w, item.h);
      canvas.setAttribute("role", "img");
      const side = item.buffers.length > 1 ? ["left ", "right "][i] : "";
      canvas.setAttribute("aria-label", `${side}image ${item.done + 1} of ${item.n}`);
      return canvas;
    });
  }

  // Screen pixels along one pixel of the image before zooming: whole, so no pixel is interpolated or wider than another.
  function scale() {
    const n = item.buffers.length, gap = parseFloat(getComputedStyle(node).columnGap);
    const room = Math.min((node.clientWidth - gap * (n - 1)) / n / item.w, node.clientHeight / item.h);
    return Math.max(1, Math.floor(room * devicePixelRatio));
  }

  function size() {
    for (const canvas of node.querySelectorAll("canvas")) {
      canvas.style.width = item.w * scale() * level / devicePixelRatio + "px";
      canvas.style.height = item.h * scale() * level / devicePixelRatio + "px";
    }
    node.scrollLeft = (node.scrollWidth - node.clientWidth) / 2;
    node.scrollTop = (node.scrollHeight - node.clientHeight) / 2;
  }

  function put(...parts) {
    node.replaceChildren(...parts);
    size();
  }

  node.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" && event.buttons === 1) node.scrollBy(-event.movementX, -event.movementY);
  });

  return {
    node,
    // Show a new item, after a blank or a cross. `shown(time)` is called when it is on the screen, `gone(ms)` when its exposure, so long, is over.
    show(next, shown, gone) {
      item = next;
      level = 1;
      const mine = ++turn;
      const draw = () => {
        if (mine !== turn) return;
        put(...canvases());
        onScreen((start) => {
          if (mine !== turn) return;
          shown(start);
          if (!item.exposure_ms) return;
          // A mask that is drawn now is seen one frame later, so it is drawn when that frame is the nearest to the end.
          let before = start;
          const look = (time) => {
            const frame = time - before;
            before = time;
            if (mine !== turn) return;
            if (time + frame / 2 - start < item.exposure_ms - frame) return requestAnimationFrame(look);
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
    say(text) {
      turn++;
      node.textContent = text;
    },
    // Change the zoom by so many steps; returns the level.
    zoom(by) {
      level = Math.min(STEPS, Math.max(1, level + by));
      size();
      return level;
    },
    size: () => item && size(),
    scale,
  };
}
