// The self-test: one image, the answer, its quality, feedback, the next; at the end a summary.
// The kernel decides what is shown. A page knows no more than the current image and what was answered.

const CHOICES = [{ value: "real", text: "Real", key: "r" }, { value: "synthetic", text: "Synthetic", key: "s" }];
const QUALITY = ["poor", "fair", "good", "very good", "excellent"].map((word, i) =>
  ({ value: i + 1, text: String(i + 1), key: String(i + 1), word }));

export default () => {
  // What the kernel said last, and how far the current image has come: choice, rate, wait, feedback.
  const state = { item: null, phase: "wait", reply: {}, feedback: null, shown: 0 };
  const views = new Set();
  let model = null, retry = 0;
  const draw = () => { for (const view of views) view(); };

  // Sent again until the kernel confirms it, which counts an answer once however often it comes.
  function submit() {
    state.phase = "wait";
    const message = { type: "answer", item: state.item.done + 1, quality: null, ...state.reply };
    let wait = 1000;
    const send = () => { model.send(message); retry = setTimeout(send, wait = Math.min(2 * wait, 60000)); };
    send();
    draw();
  }

  function press(value, time) {
    if (state.phase === "choice") {
      if (time < state.shown) return;     // not on the screen yet
      state.reply = { answer: value, rt_ms: time - state.shown };
      if (state.item.quality) state.phase = "rate"; else return submit();
    } else if (state.phase === "rate") {
      state.reply.quality = value;
      return submit();
    } else if (state.phase === "feedback") {
      state.phase = "wait";
      model.send({ type: "next" });
    }
    draw();
  }

  // The kernel may answer a request twice. The image that is here already must not throw away a choice half made, and
  // the next one must wait until the feedback has been read.
  function fresh({ done }) {
    if (!state.item) return true;
    return done !== state.item.done && !(state.phase === "feedback" && done === state.item.done + 1);
  }

  return {
    initialize(context) {
      model = context.model;
      connect(model, (message, buffers) => {
        if (message.type === "feedback") {
          clearTimeout(retry);
          if (state.item?.done === message.item - 1) Object.assign(state, { feedback: message, phase: "feedback" });
        } else if (fresh(message)) {
          clearTimeout(retry);
          const phase = message.type === "summary" ? "summary" : "choice";
          Object.assign(state, { item: { ...message, pixels: buffers[0] && bytes(buffers[0]) }, phase, shown: Infinity });
        }
        draw();
      });
    },
    render({ el }) {
      const view = mount(el, state, press);
      views.add(view);
      view();
      return () => views.delete(view);
    },
  };
};

function mount(el, state, press) {
  const progress = element("b"), hint = element("span", { text: "self-test: the answer follows each image" });
  const marks = element("div", { class: "marks" });
  const stage = element("div", { class: "stage" }), note = element("div", { class: "note" });
  const ask = element("div", { class: "ask", "aria-live": "polite" }), buttons = element("div", { class: "buttons" });
  const head = element("div", { class: "head" }, progress, hint);
  // JupyterLab's own keys (d d deletes a cell) rest while the focus is in here.
  const root = element("div", { class: "uslab uslab-quiz", tabindex: 0, "data-lm-suppress-shortcuts": "true",
    role: "group", "aria-label": "quiz: real or synthetic" }, head, marks, stage, note, ask, buttons);
  el.append(root);
  let offered = [], drawn = null;

  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const option = offered.find((option) => option.keys.includes(event.key.toLowerCase()));
    const native = event.target !== root && (event.key === "Enter" || event.key === " ");    // presses the button in focus
    if (option && !native && !event.repeat) {
      event.preventDefault();
      press(option.value, event.timeStamp);
    }
    event.stopPropagation();
  });

  function offer(options) {
    offered = options.map((option) => ({ ...option, keys: option.keys ?? [option.key] }));
    const had = root.contains(document.activeElement);
    buttons.replaceChildren(...offered.map((option) => element("button", { type: "button",
      "aria-label": option.word ? `quality ${option.value}, ${option.word}` : option.text,
      onclick: (event) => press(option.value, event.timeStamp) }, option.text,
      option.word ? element("small", { text: option.word }) : element("kbd", { text: option.key }))));
    // A button that had the focus is gone now; the keys must go on working, and must not reach the notebook.
    if (had) root.focus({ preventScroll: true });
  }

  return () => {
    const { item, phase, feedback } = state;
    if (!item) {
      stage.textContent = "waiting for the kernel";
      return;
    }
    root.classList.add("uslab-live");
    root.dataset.phase = phase;
    const answered = phase === "feedback" ? [...item.marks, feedback.correct] : item.marks;
    root.dataset.done = answered.length;
    marks.replaceChildren(...Array.from({ length: item.n }, (_, i) =>
      element("i", { class: i < answered.length ? (answered[i] ? "right" : "wrong") : i === item.done ? "now" : "" })));
    if (phase === "summary") {
      progress.textContent = item.lines[0];
      stage.replaceWith(summary(item));
      for (const part of [note, ask, buttons, hint]) part.remove();
      offered = [];
      return;
    }
    progress.textContent = `Image ${item.done + 1} of ${item.n}`;
    if (item !== drawn) {
      drawn = item;
      // Whole enlargement without interpolation: what is seen are the image's own pixels.
      const zoom = Math.max(1, Math.floor(384 / Math.max(item.w, item.h)));
      const canvas = grey(item.pixels, item.w, item.h);
      canvas.style.width = item.w * zoom + "px";
      canvas.style.height = item.h * zoom + "px";
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `image ${item.done + 1} of ${item.n}`);
      stage.replaceChildren(canvas);
      note.textContent = `${item.w}×${item.h} pixels` + (zoom > 1 ? `, each shown as ${zoom}×${zoom}, not smoothed` : "");
      // The second frame after the drawing is the first in which the image is surely on the screen.
      requestAnimationFrame(() => requestAnimationFrame((time) => { state.shown = Math.min(state.shown, time); }));
    }
    ask.className = "ask" + (phase === "feedback" ? (feedback.correct ? " right" : " wrong") : "");
    if (phase === "choice") {
      ask.textContent = "Is this image real or synthetic?";
      offer(CHOICES);
    } else if (phase === "rate") {
      ask.textContent = `You say ${state.reply.answer}. How good is the image? (keys 1 to 5)`;
      offer(QUALITY);
    } else if (phase === "feedback") {
      ask.textContent = `${feedback.correct ? "Right" : "Wrong"}: this image is ${feedback.truth}.`;
      offer([{ value: null, text: item.done + 1 < item.n ? "Next image" : "Summary", key: "Enter", keys: ["enter", " "] }]);
    } else {
      ask.textContent = "waiting for the kernel…";
      for (const button of buttons.children) button.disabled = true;
      offered = [];
    }
  };
}

// The end: the accuracy as a dot with its interval on a line from 0 to 1, and the kernel's sentences.
function summary(item) {
  const [low, high] = item.interval.map((v) => 100 * v), at = 100 * item.right / item.n;
  const box = element("div", { class: "summary" }, element("p", { class: "figure", text: `${item.right} of ${item.n} right` }));
  box.insertAdjacentHTML("beforeend", `<svg role="img" aria-label="accuracy with its interval">
    <line x1="0" x2="100%" y1="30" y2="30" stroke="var(--line)" stroke-width="2"/>
    <line x1="50%" x2="50%" y1="14" y2="46" stroke="var(--quiet)" stroke-dasharray="2 3"/>
    <line x1="${low}%" x2="${high}%" y1="30" y2="30" stroke="var(--accent)" stroke-width="4" stroke-linecap="round"/>
    <circle cx="${at}%" cy="30" r="7" fill="var(--accent)"/>
    <text x="0" y="60">0 right</text><text x="50%" y="60" text-anchor="middle">chance</text>
    <text x="100%" y="60" text-anchor="end">all right</text></svg>`);
  box.append(...item.lines.slice(1).map((text) => element("p", { text })));
  return box;
}
