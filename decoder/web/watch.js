// The page that shows a stream, what it costs and what it saves.

import "./compare-player.js";
import { Figures } from "./figures.js";

const POLL_MS = 1000;

const $ = (id) => document.getElementById(id);
const player = $("player");
const figures = new Figures($("tiles"), $("plots"), $("stages"), $("outputs"));

let chosen = new URLSearchParams(location.search).get("stream");
let token = "";
let status = "";

function say(text) {
  if (text !== status) {
    status = text;
    $("status").textContent = text; // only when it changes: it is read out
  }
}

async function poll() {
  try {
    await update();
  } catch {
    say("The receiver does not answer");
  }
  setTimeout(poll, POLL_MS);
}

async function update() {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const reply = await fetch("/api/streams", { headers, cache: "no-store" });
  if (reply.status === 401) {
    askForToken(token ? "That token is not the right one" : "Watching takes a token");
    return;
  }
  if (!reply.ok) {
    say(`The receiver answered ${reply.status}`);
    return;
  }
  $("access").hidden = !token;
  const { streams } = await reply.json();
  list(streams);
  const record = streams.find(({ stream }) => stream === current(streams)) ?? null;
  player.play(record?.stream ?? null, token);
  figures.show(record);
  say(record ? stateOf(record) : "No stream yet");
}

function stateOf(record) {
  if (player.dataset.state === "playing") {
    return `Live: ${record.stream}`;
  }
  return record.publishing ? `Waiting for pictures of ${record.stream}`
    : `${record.stream}: its publisher is away`;
}

function current(streams) {
  const names = streams.map(({ stream }) => stream);
  if (chosen !== null && names.includes(chosen)) {
    return chosen;
  }
  return streams.find(({ publishing }) => publishing)?.stream ?? names[0] ?? null;
}

function list(streams) {
  $("no-streams").hidden = streams.length > 0;
  const shown = current(streams);
  const items = $("streams");
  const key = JSON.stringify(streams.map((each) => [each.stream, each.publishing, each.lr_size]));
  if (items.dataset.key === key + shown) {
    return; // keeps the keyboard's focus
  }
  const focused = document.activeElement?.dataset?.stream;
  items.dataset.key = key + shown;
  items.replaceChildren(...streams.map((record) => item(record, record.stream === shown)));
  if (focused !== undefined) {
    items.querySelector(`[data-stream="${CSS.escape(focused)}"]`)?.focus();
  }
}

function item({ stream, publishing, lr_size: size }, isShown) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.stream = stream;
  button.className = publishing ? "stream live" : "stream";
  button.setAttribute("aria-pressed", String(isShown));
  const name = document.createElement("strong");
  name.textContent = stream;
  const state = document.createElement("span");
  state.textContent = publishing ? `live ${size?.replace("x", "×") ?? ""}` : "away";
  button.append(name, " ", state);
  button.addEventListener("click", () => {
    chosen = stream;
    const url = new URL(location);
    url.searchParams.set("stream", stream);
    history.replaceState(null, "", url);
    update().catch(() => say("The receiver does not answer"));
  });
  const entry = document.createElement("li");
  entry.append(button);
  return entry;
}

function askForToken(reason) {
  $("access").hidden = false;
  $("no-streams").hidden = true;
  figures.show(null);
  player.play(null, "");
  say(reason);
}

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  update().catch(() => say("The receiver does not answer"));
});

$("sound").addEventListener("click", ({ currentTarget: button }) => {
  player.restored.muted = !player.restored.muted;
  button.setAttribute("aria-pressed", String(!player.restored.muted));
  button.textContent = player.restored.muted ? "Sound off" : "Sound on";
});

$("compare").addEventListener("click", ({ currentTarget: button }) => {
  player.setComparing(!player.compares);
  button.setAttribute("aria-pressed", String(player.compares));
});

$("fullscreen").hidden = !player.requestFullscreen;
$("fullscreen").addEventListener("click", () => {
  if (document.fullscreenElement) {
    document.exitFullscreen();
  } else {
    player.requestFullscreen();
  }
});

// Sessions end with the page, not some seconds later.
addEventListener("pagehide", () => player.play(null, ""));

poll();
