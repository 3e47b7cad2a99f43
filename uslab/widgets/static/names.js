// Give each control of the panel the name that stands before it: ipywidgets' own fields and sliders have none of their own.

const TRIES = 600;      // frames until a panel that is drawn somewhere else is given up

export default {
  render({ el }) {
    el.style.display = "none";
    const name = (panel) => {
      for (const picture of panel.querySelectorAll("img.widget-image:not([alt])")) picture.alt = "what these values make";
      for (const row of panel.querySelectorAll(".widget-hbox")) {
        const text = row.querySelector(".uslab-name")?.textContent;
        for (const control of text ? row.querySelectorAll("input, select, .noUi-handle") : []) {
          if (control.getAttribute("aria-label") !== text) control.setAttribute("aria-label", text);
        }
      }
    };
    let watch = null, gone = false;
    (function start(tries) {
      const panel = el.closest(".uslab-explorer") ?? el.closest(".uslab-knobs");
      if (gone || !tries) return;
      if (!panel) return requestAnimationFrame(() => start(tries - 1));
      name(panel);
      watch = new MutationObserver(() => name(panel));      // a slider is drawn after its row
      watch.observe(panel, { childList: true, subtree: true });
    })(TRIES);
    return () => { gone = true; watch?.disconnect(); };
  },
};
