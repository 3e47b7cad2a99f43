// What every live widget needs: live.py puts this text before the widget's own module.

// Ask the kernel for the whole state until it answers, and hand every message to `receive`.
// The first request may wait behind a running cell. Soon after, JupyterLab has a second way into the kernel
// (a subshell, ipykernel 7), so a later request is answered at once; hence the repetition.
// Returns a function that asks again, for a page that finds that it missed something.
function connect(model, receive) {
  let asking = 0, wait = 0;
  const ask = () => {
    try { model.send({ type: "ready" }); } catch { /* a saved page has no kernel: it keeps its still picture */ }
    wait = Math.min(2 * wait, 60000);
    asking = setTimeout(ask, wait);
  };
  const start = () => { if (!asking) { wait = 250; ask(); } };
  model.on("msg:custom", (message, buffers) => {
    if (message.whole) { clearTimeout(asking); asking = 0; }
    receive(message, buffers);
  });
  start();
  return start;
}

// element("button", { class: "x", text: "Go", onclick: f }, child, ...) makes an element.
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// The bytes of a buffer as it came, whatever part of a larger one it is.
const bytes = (view) => new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);

// A canvas of its own pixels from 8-bit grey levels.
function grey(pixels, width, height) {
  const canvas = element("canvas", { width, height });
  const image = new ImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < words.length; i++) words[i] = 0xff000000 | (pixels[i] * 0x010101);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
