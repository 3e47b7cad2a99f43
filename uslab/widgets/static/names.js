// What ipywidgets' own controls lack: a name for each, and a word when the kernel is busy.

const TRIES = 600;      // frames until a panel that is drawn somewhere else is given up
const BUSY = 600;       // milliseconds without an answer, after which the panel waits

export default {
  render({ model, el }) {
    el.className = "uslab-waits";
    el.setAttribute("role", "status");
    const listening = new AbortController(), { signal } = listening;
    let watch = null, gone = false, asked = 0, held = false;

    // While a cell runs, a slider's latest value waits in the browser and is sent when the cell has ended, after whatever
    // was pressed meanwhile: then a Reset would be undone. So the panel asks, and waits until it is answered.
    function ask(panel) {
      if (asked) return;
      asked = setTimeout(function wait() {
        if (held) { asked = setTimeout(wait, 50); return; }     // a slider is not taken out of the hand that drags it
        el.textContent = "The kernel is busy: these values apply, and more can be changed, when its cell has ended.";
        for (const row of panel.querySelectorAll(".widget-hbox")) row.inert = true;
        panel.classList.add("uslab-busy");
      }, BUSY);
      model.send({ type: "ask" });
    }
    function answered(panel) {
      clearTimeout(asked);
      asked = 0;
      el.textContent = "";
      for (const row of panel.querySelectorAll(".widget-hbox")) row.inert = false;
      panel.classList.remove("uslab-busy");
    }

    function name(place) {
      for (const picture of place.querySelectorAll("img.widget-image:not([alt])")) picture.alt = "what these values make";
      for (const row of place.querySelectorAll(".widget-hbox")) {
        const text = row.querySelector(".uslab-name")?.textContent;
        for (const control of text ? row.querySelectorAll("input, select, .noUi-handle") : []) {
          if (control.getAttribute("aria-label") !== text) control.setAttribute("aria-label", text);
          control.setAttribute("data-lm-suppress-shortcuts", "true");   // in Notebook 7 arrow keys are the notebook's own
        }
      }
    }

    (function start(tries) {
      const panel = el.closest(".uslab-knobs"), explorer = el.closest(".uslab-explorer"), place = explorer ?? panel;
      if (gone || !tries) return;
      if (!panel) return requestAnimationFrame(() => start(tries - 1));
      name(place);
      watch = new MutationObserver(() => name(place));      // a slider is drawn after its row
      watch.observe(place, { childList: true, subtree: true });
      if (explorer) return;     // its picture takes a while after each value
      panel.addEventListener("pointerdown", () => { held = true; ask(panel); }, { capture: true, signal });
      panel.addEventListener("keydown", () => ask(panel), { capture: true, signal });
      for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { held = false; }, { signal });
      model.on("msg:custom", () => answered(panel));
    })(TRIES);
    return () => { gone = true; watch?.disconnect(); clearTimeout(asked); listening.abort(); };
  },
};
