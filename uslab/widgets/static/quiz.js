// Questions about images: an image, one or two questions, the kernel's confirmation, the next. At the end a page.
// It serves the self-test, where the answer follows each image, and the blinded study, where it never does.
// The kernel decides what is shown and how it is worded. A page knows no more than the current image.

const RETRY = 2000;         // milliseconds until what the kernel did not confirm is sent again
const STUCK = 10000;        // and until the page offers to load itself again

// Random hexadecimal digits; crypto.randomUUID would need https.
const nonce = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

// What the page still has to deliver, kept through a reload: one answer for each reader, whole or half given, no more.
const kept = {
  at: (seat) => `uslab-study-${seat}`,
  get(seat) { try { return JSON.parse(localStorage.getItem(this.at(seat))); } catch { return null; } },
  put(seat, message) { try { localStorage.setItem(this.at(seat), JSON.stringify(message)); } catch { /* none here */ } },
  drop(seat) { try { localStorage.removeItem(this.at(seat)); } catch { /* none here */ } },
};

const half = ({ seat }) => `${seat}-half`;

export default () => {
  // What the kernel said last, and how far the reader has come with it. Phases: wait, show (what is asked is not in sight
  // yet, or for too short a time to be answered), the name of a question, feedback, page, summary.
  const state = { item: null, phase: "wait", step: 0, reply: {}, facts: {}, feedback: null, shown: Infinity,
    open: Infinity, early: [], pending: null, trouble: 0 };
  const views = new Set();
  let model = null, ask = null, timer = 0, asked = 0, opening = 0;
  const draw = () => { for (const view of views) view.draw(); };

  function post(message) {
    try { model.send(message); } catch { /* no kernel: what matters is sent again */ }
  }

  // A server that was started anew has new kernels: then the page loads itself, and goes on where it was. Where it was not,
  // the page may have been opened in another window, and must not take over from there by itself.
  let boot = null;
  async function look() {
    if (!state.item?.alone) return;
    const said = await fetch(`${location.pathname}?health`, { cache: "no-store" }).then((reply) => reply.ok && reply.text(), () => "");
    if (said && boot && said !== boot) location.reload();
    boot ??= said || null;
  }

  // --- the line to the kernel

  // Send an answer until the kernel confirms it. It counts once, however often it comes.
  function deliver(message) {
    state.pending = message;
    const since = Date.now();
    const send = () => {
      post(message);
      timer = setTimeout(() => {
        state.trouble = Date.now() - since > STUCK ? 2 : 1;
        look();
        send();
        draw();
      }, RETRY);
    };
    clearTimeout(timer);
    send();
  }

  // Wait for what the kernel shows next, and ask for it if nothing comes.
  function wait() {
    Object.assign(state, { phase: "wait", feedback: null });
    clearTimeout(opening);
    clearTimeout(asked);
    asked = setTimeout(function again() {
      ask();
      look();
      state.trouble = 1;
      draw();
      asked = setTimeout(again, 2 * RETRY);
    }, RETRY);
    draw();
  }

  // Let the next question, or the feedback, be answered a guard after it came in sight, and not before: the second press
  // of a double click must not answer what nobody has seen. Such presses are kept with the next answer.
  function open(since, phase) {
    clearTimeout(opening);
    state.open = since + (state.item.guard_ms ?? 0);
    const now = () => { state.phase = phase; draw(); };
    const left = state.open - performance.now();
    if (left <= 0) return now();
    state.phase = "show";
    opening = setTimeout(now, left);
    draw();
  }

  // What is given so far of an answer outlives a reload.
  function keepHalf() {
    const { item, step, reply, rt, facts } = state;
    if (item.seat && !item.again) kept.put(half(item), { id: item.id, given: { step, reply, rt, facts } });
  }

  function submit() {
    const facts = { ...state.facts, epoch_ms: Date.now(), pixel_ratio: devicePixelRatio };
    if (state.early.length) facts.early = state.early.slice(-9).map((time) => Math.round(time - state.shown));
    state.early = [];
    if (state.item.seat && !state.item.again) kept.drop(half(state.item));
    const message = { type: "answer", id: state.item.id, again: Boolean(state.item.again), reply: state.reply, rt_ms: state.rt, nonce: nonce(), facts };
    if (state.item.seat) kept.put(state.item.seat, message);
    state.phase = "wait";
    deliver(message);
    draw();
  }

  function confirmed(message) {
    if (message.nonce !== state.pending?.nonce) return;
    clearTimeout(timer);
    if (state.item.seat) kept.drop(state.item.seat);
    const own = state.pending.id === state.item.id;
    Object.assign(state, { pending: null, trouble: 0 });
    if (message.feedback && own) {
      state.feedback = message.feedback;
      open(performance.now(), "feedback");
    }
    else if (own) wait();
    draw();
  }

  // The kernel may show the same thing twice. The image that is here already must not throw away a choice half made,
  // and the next one must wait until the feedback has been read.
  function received(message, buffers) {
    if (message.type === "ack") return confirmed(message);
    clearTimeout(asked);
    if (!state.pending) state.trouble = 0;
    if (state.feedback) return;
    const same = state.item?.type === message.type && state.item.id === message.id && !state.item.again === !message.again;
    if (!same) {
      clearTimeout(opening);
      Object.assign(state, { item: { ...message, buffers }, step: 0, reply: { ...message.beside }, facts: { by: [] }, shown: Infinity,
        open: Infinity });
      const begun = message.type === "item" && message.seat && !message.again && kept.get(half(message));
      if (begun && begun.id === message.id) Object.assign(state, begun.given);
    }
    const inSight = performance.now() >= state.open ? message.steps?.[state.step].name : "show";
    if (state.pending?.id !== message.id) state.phase = message.type === "item" ? inSight : message.type;
    const left = message.seat && !state.pending && kept.get(message.seat);
    if (left) {             // of this page before a reload
      if (left.id === message.id) state.phase = "wait";
      deliver(left);
    }
    draw();
    introduce();
  }

  // --- what the reader does

  function press(value, time, by) {
    const { item } = state, step = item.steps?.[state.step];
    if (item.type !== "item") return;
    if (["wait", "show"].includes(state.phase) || time < state.open) {
      state.early.push(time);
      return;
    }
    if (state.phase === "feedback") {
      post({ type: "next" });
      return wait();
    }
    if (state.step === 0) state.rt = time - state.shown;
    state.reply[step.name] = value;
    state.facts.by.push(by);
    if (++state.step === item.steps.length) return submit();
    keepHalf();
    open(time, item.steps[state.step].name);
  }

  function back() {
    if (state.phase === "wait" || state.feedback || !state.step) return;
    state.facts.changed = (state.facts.changed ?? 0) + 1;
    open(performance.now(), state.item.steps[--state.step].name);
  }

  // What the reader's screen is like, once: the refresh rate is the median of 30 frames.
  let told = false;
  function introduce() {
    if (told || !state.item.seat || state.item.type !== "item") return;
    told = true;
    look();
    const times = [];
    requestAnimationFrame(function look(time) {
      times.push(time);
      if (times.length < 31) return requestAnimationFrame(look);
      const gaps = times.slice(1).map((t, i) => t - times[i]).sort((a, b) => a - b);
      note("ready", { agent: navigator.userAgent, window: [innerWidth, innerHeight], screen: [screen.width, screen.height],
        pixel_ratio: devicePixelRatio, touch: navigator.maxTouchPoints, frame_ms: gaps[15],
        zone: Intl.DateTimeFormat().resolvedOptions().timeZone }, false);
    });
  }

  // Something that the study's record should know of; `own` counts it among the facts of the answer too.
  function note(kind, body = {}, own = true) {
    if (!state.item?.seat) return;
    if (own && state.item.type === "item") state.facts[kind] = (state.facts[kind] ?? 0) + 1;
    post({ type: "event", kind, body: { ...body, id: state.item.id, epoch_ms: Date.now() } });
  }

  const act = {
    press, back, note,
    seen(time) {
      if (time > state.shown) return;
      state.shown = time;
      if (state.phase === "show") open(time, state.item.steps[state.step].name);
    },
    fact(name, value) { state.facts[name] = value; },
    // A comment or a mark, as long as the answer is not given.
    beside(name, value) {
      if (state.item.type !== "item" || ["wait", "feedback"].includes(state.phase)) return;
      if (value === null) delete state.reply[name];
      else state.reply[name] = value;
      keepHalf();
      draw();
    },
    send(message) {
      post(message);
      wait();
    },
  };

  return {
    initialize(context) {
      model = context.model;
      ask = connect(model, received);
      const away = () => note(document.hidden ? "hidden" : "visible", {}, document.hidden);
      const blur = () => note("blur"), focus = () => note("focus", {}, false);
      document.addEventListener("visibilitychange", away);
      addEventListener("blur", blur);
      addEventListener("focus", focus);
      return () => {
        document.removeEventListener("visibilitychange", away);
        removeEventListener("blur", blur);
        removeEventListener("focus", focus);
        for (const one of [timer, asked, opening]) clearTimeout(one);
      };
    },
    render({ el }) {
      const view = mount(el, state, act);
      views.add(view);
      view.draw();
      return () => { views.delete(view); view.end(); };
    },
  };
};

function mount(el, state, act) {
  const progress = element("b"), hint = element("span"), head = element("div", { class: "head" }, progress, hint);
  const marks = element("div", { class: "marks" }), warning = element("div", { class: "warning", role: "note" });
  const stage = makeStage({ zoomed, sized: describe, marked: (mark) => act.beside("mark", mark), played }), tools = element("div", { class: "tools" }), remark = element("span", { class: "note" });
  const question = element("div", { class: "ask", "aria-live": "polite" }), buttons = element("div", { class: "buttons" });
  const trouble = element("div", { class: "trouble", role: "status" });
  const body = element("div", { class: "body" }), keys = () => root.focus({ preventScroll: true });
  const shades = makeShades(stage.node, () => drawn?.window, shaded, keys), beside = makeBeside(act, shades.node, keys);
  // JupyterLab's own keys (d d deletes a cell) rest while the focus is in here.
  const root = element("div", { class: "uslab uslab-quiz", tabindex: 0, "data-lm-suppress-shortcuts": "true",
    role: "group", "aria-label": say("about") }, warning, head, marks, body, trouble);
  // In a notebook the keys belong to the notebook until the quiz is clicked: there `r` makes the next cell raw.
  const click = element("div", { class: "click", text: say("click"), onclick: () => root.focus() });
  root.insertBefore(click, trouble);
  el.append(root);
  let offered = [], now = null, drawn = null;     // what the buttons answer, the options that they stand for, the item

  // The answer holds the zoom with which it was given, the record each at which the reader stayed for a while.
  function zoomed(level, stayed) {
    act.fact("zoom", Math.round(100 * level) / 100);
    if (stayed) act.note("zooms", { level });
  }
  function played(values) {
    for (const [name, value] of Object.entries(values)) act.fact(name, value);
  }
  // The answer holds the window and the level with which it was given.
  function shaded(values) {
    stage.shade(spread(values));
    for (const [name, value] of Object.entries(values)) act.fact(name, value);
  }
  const tool = (text, label, does) => element("button", { type: "button", "aria-label": label, title: label, onclick: does }, text);
  const further = [tool("−", say("smaller"), () => stage.zoom(-1)),
    tool("+", say("larger"), () => stage.zoom(1)), tool(say("whole"), say("whole title"), () => stage.zoom(0))];
  const clip = [tool("‹", say("earlier"), () => stage.step(-1)), tool("▶❚❚", say("hold"), () => stage.hold()),
    tool("›", say("later"), () => stage.step(1))];
  const anew = tool(say("undo"), say("undo title"), () => act.send({ type: "undo" }));
  const keep = tool(say("keep"), say("keep title"), () => act.send({ type: "next" }));
  const pause = tool(say("pause"), say("pause title"), () => { stage.say(""); act.send({ type: "pause" }); });

  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase(), typing = event.target.closest("form");
    const option = offered.find((option) => option.keys.includes(key));
    const native = ![root, stage.node].includes(event.target) && (key === "enter" || key === " ");    // presses the button in focus
    if (!typing && !native && !event.repeat) {
      if (option) act.press(option.value, event.timeStamp, "key");
      else if (key === "enter") body.querySelector(".page button:not(.quiet)")?.click();
      else if (key === "+" || key === "=" || key === "-") stage.zoom(key === "-" ? -1 : 1);
      else if (key === "0") stage.zoom(0);
      else if (drawn?.fps && key === " ") { stage.hold(); event.preventDefault(); }    // or the page scrolls
      else if (key === "," || key === ".") stage.step(key === "," ? -1 : 1);
      else if (key === "backspace") act.back();
      else if (key === "delete" && drawn?.mark) act.beside("mark", null);
      if (option || key === "backspace") event.preventDefault();
    }
    event.stopPropagation();
  });
  // The stage has its size only once it is in the page, and another one when the window has.
  function fit() {
    if (drawn?.type === "item") stage.size();
  }
  // What the size on the screen is; an image of which a part is out of sight says so.
  function describe() {
    if (drawn?.type !== "item") return;
    const each = Math.round(100 * stage.first()) / 100, level = stage.level();
    remark.textContent = say(each > 1 ? "size larger" : each < 1 ? "size smaller" : "size",
      { w: drawn.w, h: drawn.h, each, percent: Math.round(100 * each) });
    if (level > 1) remark.append(" · ", element("b", { text: say(stage.cut() ? "zoom cut" : "zoom", { zoom: Math.round(10 * level) / 10 }) }));
    act.fact("scale", each);
  }
  const resized = new ResizeObserver(fit);
  resized.observe(stage.node);

  // The keys must go on working when the button that had the focus is gone, and must not reach the notebook. Where
  // nothing else is on the page, they work from the start.
  function refocus(had) {
    if (had || state.item.alone) root.focus({ preventScroll: true });
  }
  // What was drawn before the page was in place could not take the focus; it gets its size when it is.
  const placed = new ResizeObserver(() => { if (state.item?.alone && !root.contains(document.activeElement)) refocus(false); });
  placed.observe(root);

  function offer(options) {
    if (options === now && buttons.children.length) return;
    now = options;
    buttons.classList.toggle("many", options.length > 5);
    offered = options.map((option) => ({ ...option, keys: option.keys ?? [option.key] }));
    const had = root.contains(document.activeElement);
    buttons.replaceChildren(...offered.map((option) => {
      let down = null;      // a finger or a mouse answers when it comes down, as a key does
      return element("button", { type: "button", "aria-label": option.label ?? option.text,
        onpointerdown: (event) => { down = event.timeStamp; },
        onclick: (event) => act.press(option.value, (event.pointerType && down) || event.timeStamp, event.pointerType || "key"),
      }, element("span", { text: option.text }),
      option.word ? element("small", { text: option.word }) : element("kbd", { text: option.key }));
    }));
    refocus(had);
  }

  function drawItem(item, phase) {
    const { feedback } = state;
    if (item !== drawn) {
      drawn = item;
      const more = Boolean(item.comment || item.mark || item.window);
      root.classList.toggle("more", more);
      root.classList.toggle("clip", Boolean(item.fps));
      body.replaceChildren(stage.node, tools, question, buttons, ...(more ? [beside.node] : []));
      tools.replaceChildren(remark, ...(item.fps ? clip : []), ...(item.zoom ? further : []), ...(item.undo ? [anew] : []), ...(item.again ? [keep] : []), ...(item.seat ? [pause] : []));
      stage.show(item, act.seen, (ms) => act.fact("exposure_ms", ms));
      if (item.window) shades.set(NORMAL);
      fit();
      refocus(false);
    }
    stage.mark(state.reply.mark);
    beside.draw(item, state.reply, !["wait", "feedback"].includes(phase));
    const step = item.steps[state.step];
    question.className = "ask" + (feedback ? (feedback.correct ? " right" : " wrong") : "");
    if (phase === "wait") question.textContent = say("moment");
    else if (feedback) {
      question.replaceChildren(feedback.text, ...(feedback.why ? [element("small", { text: feedback.why })] : []));
      offer(feedback.options ??= [{ value: null, text: say(feedback.last ? "go on" : "next"), key: say("enter"), keys: ["enter", " "] }]);
    } else {
      const first = item.steps[0], chosen = first.options.find((option) => option.value === state.reply[first.name]);
      const earlier = step !== first && element("button", { type: "button", class: "back", text: say("back"), onclick: act.back });
      question.replaceChildren(...(earlier ? [`${chosen.said ?? chosen.text}. `, step.ask, earlier] : [step.ask]));
      offer(step.options);
    }
    // Not `disabled`: such a button would lose the focus to the notebook, and what is pressed too early is kept.
    for (const button of buttons.children) button.setAttribute("aria-disabled", phase === "wait" || phase === "show");
  }

  function draw() {
    const { item, phase } = state;
    if (!item) {
      body.textContent = say("waiting");
      return;
    }
    root.classList.add("uslab-live");
    // A page's button that waits is disabled and would lose the focus to the notebook, and the keys with it.
    if (phase === "wait" && document.activeElement?.tagName === "BUTTON") refocus(root.contains(document.activeElement));
    root.dataset.phase = phase;
    root.dataset.name = item.name ?? "";
    root.toggleAttribute("data-teaching", Boolean(item.marks));
    const answered = item.marks && (state.feedback ? [...item.marks, state.feedback.correct] : item.marks);
    const done = (item.done ?? 0) + (state.feedback ? 1 : 0);
    root.dataset.done = done;
    root.classList.toggle("pair", item.buffers.length > 1);
    root.classList.toggle("alone", Boolean(item.alone));
    root.setAttribute("role", item.alone ? "main" : "group");
    click.hidden = item.alone || item.type !== "item";
    warning.textContent = item.warning ?? "";
    hint.textContent = item.hint ?? "";
    progress.textContent = item.type === "item" ? say("count", { label: item.label ?? say("image"), i: item.done + 1, n: item.n }) : item.heading ?? "";
    // One mark for each image while they can be told apart, else one bar.
    marks.hidden = !item.n;
    if (item.n > 60) marks.replaceChildren(element("i", { class: "bar", style: `flex: ${done}` }), element("i", { style: `flex: ${item.n - done}` }));
    else if (item.n) {
      marks.replaceChildren(...Array.from({ length: item.n }, (_, i) =>
        element("i", { class: i < done ? (answered ? (answered[i] ? "right" : "wrong") : "bar") : i === item.done ? "now" : "" })));
    }
    if (item.type === "item") drawItem(item, phase);
    else {
      if (item !== drawn) {
        drawn = item;
        offered = [];
        now = null;
        const had = root.contains(document.activeElement);
        body.replaceChildren(item.type === "summary" ? summary(item) : makePage(item, act.send));
        refocus(had);
      }
      for (const button of body.querySelectorAll("button")) button.disabled = phase === "wait";
    }
    trouble.replaceChildren();
    if (state.trouble) {
      trouble.append(...(state.pending ? ["unsaved", ...(item.seat ? ["kept"] : [])] : ["retrying"]).map((key) => `${say(key)} `));
      if (state.trouble > 1) trouble.append(`${say("elsewhere")} `,
        element("button", { type: "button", text: say("reload"), onclick: () => location.reload() }));
    }
  }

  return { draw, end: () => { resized.disconnect(); placed.disconnect(); } };
}

// The self-test's end: the accuracy as a dot with its interval on a line from 0 to 1, and the kernel's sentences.
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
