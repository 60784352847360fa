// The page that makes this browser's camera a sender.

import { Refused, WhipSession } from "./signalling.js";

const STATS_MS = 1000;
const RETRY_MS = 2000;

const $ = (id) => document.getElementById(id);
const preview = $("preview");

let media = null;
let session = null;
let wanted = false;
let before = null;

function say(text) {
  $("status").textContent = text;
}

function constraints() {
  const camera = $("camera").value;
  const microphone = $("microphone").value;
  const device = (id) => (id ? { deviceId: { exact: id } } : {});
  return {
    video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 },
      ...device(camera) },
    audio: microphone === "none" ? false : device(microphone),
  };
}

async function openCamera() {
  closeCamera();
  media = await navigator.mediaDevices.getUserMedia(constraints());
  preview.srcObject = media;
  await listDevices();
}

function closeCamera() {
  media?.getTracks().forEach((track) => track.stop());
  media = preview.srcObject = null;
}

// Names are known once the user has agreed.
async function listDevices() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const [id, kind] of [["camera", "videoinput"], ["microphone", "audioinput"]]) {
    const select = $(id);
    for (const { deviceId, label } of devices.filter((each) => each.kind === kind)) {
      const isNew = deviceId && ![...select.options].some(({ value }) => value === deviceId);
      if (isNew && label) {
        select.add(new Option(label, deviceId));
      }
    }
  }
}

async function start() {
  wanted = true;
  showState();
  say("Asking for the camera");
  try {
    await openCamera();
    await connect();
  } catch (error) {
    stop(reasonOf(error));
  }
}

async function connect() {
  say("Connecting");
  const url = new URL(`/whip/${encodeURIComponent($("stream").value)}`, location).href;
  session = new WhipSession(url, $("token").value.trim(), {
    media,
    maxBitrate: Number($("bitrate").value),
    maxHeight: Number($("height").value),
  });
  session.onlost = () => reconnect();
  before = null;
  await session.open();
  say(`Publishing as ${$("stream").value}`);
}

function reconnect() {
  say("The connection broke; trying again");
  session?.close();
  session = null;
  setTimeout(async () => {
    if (!wanted) {
      return;
    }
    try {
      await connect();
    } catch (error) {
      const isFinal = error instanceof Refused && error.status < 500 && error.status !== 409;
      isFinal ? stop(reasonOf(error)) : reconnect();
    }
  }, RETRY_MS);
}

function stop(reason = "Not publishing") {
  wanted = false;
  session?.close();
  session = null;
  closeCamera();
  showState();
  $("tiles").replaceChildren();
  say(reason);
}

function reasonOf(error) {
  const reasons = {
    NotAllowedError: "The camera was not allowed",
    NotFoundError: "There is no such camera or microphone",
    NotReadableError: "The camera is in use by another program",
    TypeError: "The receiver does not answer",
  };
  return error instanceof Refused ? `Refused: ${error.message}` : reasons[error.name] ?? String(error);
}

function showState() {
  $("start").disabled = wanted;
  $("stop").disabled = !wanted;
  $("mute").disabled = !wanted;
  for (const field of $("settings").querySelectorAll("input, select")) {
    field.disabled = wanted;
  }
}

async function showFigures() {
  if (!session?.connection) {
    return;
  }
  const report = await session.connection.getStats();
  const sent = [...report.values()].find(
    ({ type, kind }) => type === "outbound-rtp" && kind === "video",
  );
  if (!sent) {
    return;
  }
  const codec = report.get(sent.codecId)?.mimeType?.split("/")[1] ?? "";
  const seconds = before ? (sent.timestamp - before.timestamp) / 1000 : 0;
  const bps = seconds > 0 ? (8 * (sent.bytesSent - before.bytesSent)) / seconds : 0;
  before = sent;
  const tiles = [
    ["Sent", `${Math.round(bps / 1000)} kb/s`],
    ["Picture", sent.frameWidth ? `${sent.frameWidth}×${sent.frameHeight}` : "–"],
    ["Pictures a second", `${sent.framesPerSecond ?? "–"}`],
    ["Codec", codec],
  ];
  $("tiles").replaceChildren(...tiles.map(([label, text]) => {
    const box = document.createElement("div");
    const term = document.createElement("dt");
    const value = document.createElement("dd");
    term.textContent = label;
    value.textContent = text;
    box.append(term, value);
    return box;
  }));
}

$("settings").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
$("stop").addEventListener("click", () => stop());
$("mute").addEventListener("click", ({ currentTarget: button }) => {
  const isMuted = button.getAttribute("aria-pressed") !== "true";
  media?.getAudioTracks().forEach((track) => {
    track.enabled = !isMuted;
  });
  button.setAttribute("aria-pressed", String(isMuted));
  button.textContent = isMuted ? "Muted" : "Mute";
});
addEventListener("pagehide", () => stop());

if (!navigator.mediaDevices) {
  $("insecure").hidden = false;
  $("start").disabled = true;
}
setInterval(() => showFigures().catch(() => {}), STATS_MS);
