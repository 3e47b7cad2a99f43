// The check of a reader's machine: a mark and a sentence for each row, and what they come to. The page is check.html.j2;
// Python writes WORDS, its messages, and ROOM, what the study's images take: w x h pixels, n at once.

const BESIDE = 24, GAP = 20;            // pixels of CSS around the images on the reader's page, and between two
const BELOW = ROOM.more ? 296 : 250;    // and above and below them (quiz.css)
const NARROW = 600, LOW = 520;          // a window that is smaller has its buttons on several lines, or scrolls
const SLOW_LINE = 300, LINE_LIMIT = 10000;      // milliseconds of a round trip, and until a line is given up
const COARSE = 5;                       // milliseconds of a clock's step, to which response times are held
const FLUENT = 50, SLOW = 20;           // frames a second
const FRAMES = 60, FRAMES_LIMIT = 5000; // frames that are looked at, and milliseconds until they are given up
const SIGNS = { good: "✓", look: "!", bad: "✗" };
const ROWS = ["line", "features", "window", "pixels", "clock", "frames", "greys"];
const found = {};                       // row -> its mark and what was said

const at = (id) => document.getElementById(id);
const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];

function set(row, mark, values = {}) {
  const text = say(`${row} ${mark}`, values), place = at(row), sign = place.querySelector("b");
  found[row] = { mark, text };
  place.dataset.mark = mark;
  sign.textContent = SIGNS[mark];
  sign.setAttribute("role", "img");
  sign.setAttribute("aria-label", say(mark));
  place.querySelector(".said").textContent = text;
  conclude();
}

function conclude() {
  const marks = ROWS.map((row) => found[row]?.mark);
  const verdict = say(marks.includes(undefined) ? "running" : marks.includes("bad") ? "not fit"
    : marks.includes("look") ? "nearly fit" : "fit");
  at("verdict").textContent = verdict;
  at("report").value = [verdict, "", ...ROWS.filter((row) => found[row]).map((row) =>
    `${say(row)} – ${say(found[row].mark)}: ${found[row].text}`), "", new Date().toString(), navigator.userAgent].join("\n");
}

// The middle of five round trips, in milliseconds; the first pays for what is set up.
function roundTrip() {
  return new Promise((done, failed) => {
    const socket = new WebSocket(new URL("check", location.href).href.replace(/^http/, "ws")), times = [];
    let sent = 0;
    const ask = () => { sent = performance.now(); socket.send(`${sent}`); };
    setTimeout(() => { socket.close(); failed(); }, LINE_LIMIT);
    socket.onopen = ask;
    socket.onerror = socket.onclose = failed;
    socket.onmessage = ({ data }) => {
      if (data !== `${sent}`) return failed();
      times.push(performance.now() - sent);
      if (times.length < 5) return ask();
      done(middle(times));
      socket.close();
    };
  });
}

// What the reader's page uses and an old or a locked browser lacks.
async function lacking() {
  const needs = { WebSocket: () => WebSocket, BigUint64Array: () => BigUint64Array, fetch: () => fetch,
    ResizeObserver: () => ResizeObserver, PointerEvent: () => PointerEvent,
    crypto: () => crypto.getRandomValues(new Uint8Array(1)), replaceChildren: () => document.body.replaceChildren,
    "Array.at": () => [].at, canvas: () => document.createElement("canvas").getContext("2d"),
    "CSS :is": () => CSS.supports("selector(:is(a))"), "CSS max": () => CSS.supports("height: max(1px, 2px)") };
  const absent = Object.keys(needs).filter((name) => { try { return !needs[name](); } catch { return true; } });
  const module = URL.createObjectURL(new Blob(["export default 1"], { type: "text/javascript" }));
  await import(module).catch(() => absent.push("import"));
  return absent;
}

function keeps() {
  try {
    localStorage.setItem("uslab-check", "1");
    localStorage.removeItem("uslab-check");
    return true;
  } catch { return false; }
}

// The smallest step of the clock, in milliseconds.
function step() {
  const steps = [], end = Date.now() + 500;
  let before = performance.now();
  while (steps.length < 20 && Date.now() < end) {
    const now = performance.now();
    if (now > before) steps.push(now - before);
    before = now;
  }
  return Math.min(...steps);
}

// Frames a second; 0 if there are hardly any.
function rate() {
  return new Promise((done) => {
    const times = [];
    const end = () => done(times.length < 10 ? 0 : 1000 / middle(times.slice(1).map((time, i) => time - times[i])));
    setTimeout(end, FRAMES_LIMIT);
    requestAnimationFrame(function next(time) {
      if (times.push(time) > FRAMES) end(); else requestAnimationFrame(next);
    });
  });
}

function look() {
  const dpr = devicePixelRatio, gaps = BESIDE + GAP * (ROOM.n - 1), values = { w: ROOM.n * ROOM.w, h: ROOM.h,
    width: Math.floor((innerWidth - gaps) * dpr), height: Math.max(0, Math.floor((innerHeight - BELOW) * dpr)) };
  set("window", values.width < values.w || values.height < values.h ? "bad"
    : innerWidth < NARROW || innerHeight < LOW ? "look" : "good", values);
  set("pixels", Number.isInteger(dpr) ? "good" : "look", { percent: Math.round(100 * dpr) });
}

// Sixteen steps from black to white; below, black with a square of 5 % and white with one of 95 %, as test pictures of
// displays have them (SMPTE RP 133).
function picture() {
  const w = 640, h = 200, pixels = new Uint8Array(w * h);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
    const light = x >= w / 2, square = Math.abs(x - (light ? 480 : 160)) < 30 && Math.abs(y - 140) < 30;
    pixels[y * w + x] = y < 80 ? 17 * Math.floor(x / 40) : light ? (square ? 242 : 255) : (square ? 13 : 0);
  }
  const canvas = grey(pixels, w, h);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", say("picture"));
  at("picture").append(canvas);
  const ticks = [...document.querySelectorAll("input")];
  const see = () => set("greys", ticks.every((tick) => tick.checked) ? "good" : "look");
  for (const tick of ticks) tick.addEventListener("change", see);
  see();
}

async function check() {
  picture();
  look();
  addEventListener("resize", look);
  const absent = await lacking();
  set("features", absent.length ? "bad" : keeps() ? "good" : "look", { names: absent.join(", ") });
  const ms = step();
  set("clock", ms <= COARSE ? "good" : "look", { ms: ms < 1 ? ms.toFixed(2) : Math.round(ms) });
  const hz = await rate();
  set("frames", hz >= FLUENT ? "good" : hz >= SLOW ? "look" : "bad", { hz: Math.round(hz) });
  await roundTrip().then((time) => set("line", time < SLOW_LINE ? "good" : "look", { ms: Math.max(1, Math.round(time)) }),
    () => set("line", "bad"));
}

check();
