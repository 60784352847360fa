// <compare-player>: the restored picture, and at its left what was received, cut by a divider.

import { FramePairs } from "./frame-pairs.js";
import { Lanczos } from "./lanczos.js";
import { Refused, WhepSession } from "./signalling.js";

const STEP = 2; // per cent a key press moves the divider
const LARGE_STEP = 10;
const STALLED_MS = 2500;
const UNPAIRED_MS = 700; // without a pair for longer, nearly the same moment has to do
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

const CAN_COMPARE =
  "requestVideoFrameCallback" in HTMLVideoElement.prototype && "VideoFrame" in window;

class ComparePlayer extends HTMLElement {
  constructor() {
    super();
    this.restored = video("Restored picture");
    this.received = video("Received picture");
    this.received.muted = true;
    this.canvas = element("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.divider = element("div", "divider");
    this.captions = [element("span", "caption left"), element("span", "caption right")];
    this.notice = element("p", "notice");
    this.pairs = new FramePairs();
    this.pairsDrawn = 0;
    this.position = 50;
    this.compares = CAN_COMPARE;
    this.stream = null;
    this.token = "";
    this.sessions = [];
    this.failures = 0;
    this.drawnAt = 0;
  }

  connectedCallback() {
    this.classList.add("stage");
    this.append(this.restored, this.received, this.canvas, ...this.captions, this.divider,
      this.notice);
    const { divider } = this;
    divider.tabIndex = 0;
    divider.setAttribute("role", "slider");
    divider.setAttribute("aria-label", "Divider between the received and the restored picture");
    divider.setAttribute("aria-valuemin", "0");
    divider.setAttribute("aria-valuemax", "100");
    divider.addEventListener("keydown", (event) => this.onKey(event));
    this.addEventListener("pointerdown", (event) => this.onPointer(event));
    this.addEventListener("pointermove", (event) => {
      if (this.hasPointerCapture(event.pointerId)) {
        this.onPointer(event);
      }
    });
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.lanczos = Lanczos.create();
    for (const kind of ["restored", "received"]) {
      this.watch(kind);
    }
    this.move(this.position);
    this.setComparing(this.compares);
    setInterval(() => {
      this.tell();
      this.sessions.forEach((session) => session.syncLips());
    }, 500);
  }

  // Show another stream, or none.
  play(stream, token) {
    if (stream === this.stream && token === this.token) {
      return;
    }
    this.stream = stream;
    this.token = token;
    this.failures = 0;
    this.restart();
  }

  setComparing(compares) {
    const changed = this.compares !== (compares && CAN_COMPARE);
    this.compares = compares && CAN_COMPARE;
    this.classList.toggle("comparing", this.compares);
    this.divider.tabIndex = this.compares ? 0 : -1;
    if (changed && this.stream) {
      this.restart();
    }
  }

  restart() {
    clearTimeout(this.retry);
    for (const session of this.sessions) {
      session.close();
    }
    this.sessions = [];
    this.pairs.clear();
    this.restored.srcObject = this.received.srcObject = null;
    this.drawnAt = 0;
    this.classList.remove("showing");
    if (this.stream) {
      this.open().catch((error) => this.onFailure(error));
    }
  }

  async open() {
    const base = `/whep/${encodeURIComponent(this.stream)}`;
    const restored = new WhepSession(new URL(base, location).href, this.token);
    const sessions = [restored];
    this.sessions = sessions;
    this.restored.srcObject = restored.stream;
    if (this.compares) {
      const received = new WhepSession(new URL(`${base}/lr`, location).href, this.token, {
        withAudio: false,
      });
      sessions.push(received);
      this.received.srcObject = received.stream;
    }
    for (const session of sessions) {
      session.onlost = () => this.sessions === sessions && this.onFailure(null);
    }
    await Promise.all(sessions.map((session) => session.open()));
    if (this.sessions !== sessions) {
      sessions.forEach((session) => session.close());
    }
  }

  onFailure(error) {
    if (error instanceof Refused && error.status === 401) {
      this.stream = null;
      this.restart();
      this.dispatchEvent(new CustomEvent("refused", { detail: error }));
      return;
    }
    clearTimeout(this.retry);
    const wait = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
    this.failures += 1;
    this.retry = setTimeout(() => this.restart(), wait);
    this.dispatchEvent(new CustomEvent("interrupted", { detail: error }));
  }

  // Take each picture as the browser shows it, and draw when its partner is there.
  watch(kind) {
    if (!CAN_COMPARE) {
      return;
    }
    const element = this[kind];
    const take = (now, { rtpTimestamp }) => {
      element.requestVideoFrameCallback(take);
      if (kind === "restored") {
        this.failures = 0;
        this.shownAt = now;
      }
      if (!this.compares || rtpTimestamp === undefined) {
        return;
      }
      let picture;
      try {
        picture = new VideoFrame(element, { timestamp: rtpTimestamp });
      } catch {
        return; // the session has just ended, and its last picture with it
      }
      const pair = this.pairs.put(kind, rtpTimestamp, picture);
      if (pair) {
        this.pairsDrawn += 1;
        this.draw(pair);
      } else if (performance.now() - this.drawnAt > UNPAIRED_MS) {
        const nearest = this.pairs.nearest();
        if (nearest) {
          this.draw(nearest);
        }
      }
    };
    element.requestVideoFrameCallback(take);
  }

  draw({ received, restored, timestamp }) {
    const { canvas, context } = this;
    const { displayWidth: width, displayHeight: height } = restored;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      this.style.setProperty("--aspect", `${width} / ${height}`);
    }
    const cut = Math.round((width * this.position) / 100);
    if (cut < width) {
      context.drawImage(restored, cut, 0, width - cut, height, cut, 0, width - cut, height);
    }
    if (cut > 0) {
      this.drawEnlarged(received, cut, width, height);
    }
    this.drawnAt = performance.now();
    this.dataset.timestamp = timestamp;
    this.dataset.sizes = `${received.displayWidth}x${received.displayHeight} ${width}x${height}`;
    this.classList.add("showing");
  }

  drawEnlarged(picture, cut, width, height) {
    const { context } = this;
    if (this.lanczos) {
      const enlarged = this.lanczos.enlarge(picture, width, height, cut);
      context.drawImage(enlarged, 0, 0, cut, height, 0, 0, cut, height);
      return;
    }
    context.save();
    context.beginPath();
    context.rect(0, 0, cut, height);
    context.clip(); // scaling a part would blend its edge with nothing
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, width, height);
    context.restore();
  }

  redraw() {
    const received = this.pairs.held.received.get(this.pairs.last);
    const restored = this.pairs.held.restored.get(this.pairs.last);
    if (received && restored) {
      this.draw({ received, restored, timestamp: this.pairs.last });
    }
  }

  move(position) {
    this.position = Math.min(100, Math.max(0, position));
    const { divider } = this;
    const rounded = Math.round(this.position);
    this.style.setProperty("--cut", `${this.position}%`);
    divider.setAttribute("aria-valuenow", String(rounded));
    divider.setAttribute("aria-valuetext", `received ${rounded} %, restored ${100 - rounded} %`);
    this.redraw();
  }

  onKey(event) {
    const steps = {
      ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP,
      PageDown: -LARGE_STEP, PageUp: LARGE_STEP, Home: -100, End: 100,
    };
    const step = steps[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) {
      return;
    }
    event.preventDefault();
    this.move(this.position + (event.shiftKey ? Math.sign(step) * LARGE_STEP : step));
  }

  onPointer(event) {
    if (!this.compares || event.button > 0) {
      return;
    }
    this.setPointerCapture(event.pointerId);
    const box = this.getBoundingClientRect();
    this.move((100 * (event.clientX - box.left)) / box.width);
  }

  // Captions, and a word where nothing moves.
  tell() {
    const now = performance.now();
    const sizes = (this.dataset.sizes ?? "").split(" ").map((size) => size.replace("x", "×"));
    const how = this.lanczos ? "Lanczos" : "enlarged";
    this.captions[0].textContent = `received ${sizes[0]}, ${how}`;
    this.captions[1].textContent = `restored ${sizes[1] ?? ""}`;
    const shownAt = this.compares ? this.drawnAt : this.shownAt ?? 0;
    const isMoving = Boolean(shownAt) && now - shownAt < STALLED_MS;
    this.dataset.state = !this.stream ? "empty" : isMoving ? "playing" : "waiting";
    const notices = { empty: "No stream", waiting: "Waiting for pictures", playing: "" };
    this.notice.textContent = notices[this.dataset.state];
  }
}

function video(label) {
  const made = element("video");
  made.autoplay = true;
  made.muted = true;
  made.playsInline = true;
  made.setAttribute("aria-label", label);
  return made;
}

function element(name, className = "") {
  const made = document.createElement(name);
  made.className = className;
  return made;
}

customElements.define("compare-player", ComparePlayer);
