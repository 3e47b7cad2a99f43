// Window and level, as on a scanner's screen: grey levels of that width around that middle are spread from black to white.

const NORMAL = { window: 256, level: 128 };     // each grey level is shown as it is
const LIMITS = { window: [16, 512], level: [0, 255] };

// The grey level that is shown for each of the 256.
const spread = ({ window, level }) => Uint8ClampedArray.from({ length: 256 }, (_, grey) => (grey - level + window / 2) * 256 / window);

// Sliders, and a drag with the right button on `stage` while `used()`: to the right widens, upwards brightens. `changed(shades)`
// is called with both values; `done()` gives the keys back to the questions.
function makeShades(stage, used, changed, done) {
  const now = { ...NORMAL };
  const sliders = Object.entries(LIMITS).map(([name, [min, max]]) => element("input", { type: "range", min, max, "aria-label": say(name),
    oninput: (event) => set({ [name]: event.target.valueAsNumber }), onpointerup: done }));
  const reset = element("button", { type: "button", text: say("reset"), title: say("reset title"), onclick: () => { set(NORMAL); done(); } });

  function set(values) {
    Object.entries(LIMITS).forEach(([name, [least, most]], i) => {
      sliders[i].value = now[name] = Math.round(Math.min(most, Math.max(least, values[name] ?? now[name])));
    });
    changed({ ...now });
  }

  let from = null;
  stage.addEventListener("contextmenu", (event) => used() && event.preventDefault());
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 2 || !used()) return;
    from = { x: event.clientX, y: event.clientY, ...now };
    stage.setPointerCapture(event.pointerId);       // it may leave the image
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from || !(event.buttons & 2)) { from = null; return; }
    set({ window: from.window + event.clientX - from.x, level: from.level + event.clientY - from.y });
  });
  return { set, node: element("span", { class: "shades" },
    ...sliders.map((slider, i) => element("label", {}, say(Object.keys(LIMITS)[i]), slider)), reset) };
}
