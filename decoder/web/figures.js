// The receiver's figures of one stream, as tiles, plots and a table.

import "./line-plot.js";

const PLOTS = {
  bits: ["Bits in, kb/s", ["on the wire", "direct HD"]],
  rate: ["Pictures a second", ["received", "restored"]],
  delay: ["Latency, ms", ["p50", "p95"]],
  loss: ["Lost and dropped, a second", ["packets lost", "pictures dropped"]],
};

const CODECS = { av1: "AV1", h264: "H.264", vp8: "VP8", vp9: "VP9" };

export class Figures {
  constructor(tiles, plots, stages, outputs) {
    Object.assign(this, { tiles, stages, outputs });
    this.before = null;
    this.plots = {};
    for (const [name, [title, lines]] of Object.entries(PLOTS)) {
      this.plots[name] = document.createElement("line-plot");
      plots.append(this.plots[name]);
      this.plots[name].setUp(title, lines);
    }
  }

  // record: an element of /api/streams; null when there is no stream.
  show(record) {
    if (!record || record.stream !== this.before?.stream) {
      this.before = null;
      Object.values(this.plots).forEach((plot) => plot.clear());
    }
    if (!record) {
      fill(this.tiles, []);
      fill(this.stages, []);
      fill(this.outputs, []);
      return;
    }
    const rates = this.ratesOf(record);
    this.plot(record, rates);
    fill(this.tiles, tilesOf(record, rates).map(tile));
    fill(this.stages, Object.entries(record.latency_ms).map(stageRow));
    fill(this.outputs, record.outputs.map(outputItem));
  }

  // What happened between two records, a second.
  ratesOf(record) {
    if (this.before?.time_ms === record.time_ms) {
      return this.rates;
    }
    const seconds = this.before ? (record.time_ms - this.before.time_ms) / 1000 : 0;
    const rate = (name) =>
      seconds > 0 ? Math.max(0, (record[name] - this.before[name]) / seconds) : null;
    this.rates = {
      received: rate("frames_in"),
      restored: rate("frames_restored"),
      dropped: rate("frames_dropped"),
      lost: rate("packets_lost"),
      isNew: true,
    };
    this.before = record;
    return this.rates;
  }

  plot(record, rates) {
    if (!rates.isNew) {
      return;
    }
    rates.isNew = false;
    const seconds = record.time_ms / 1000;
    const total = record.latency_ms.total ?? {};
    const direct = record.direct_bps;
    this.plots.bits.add(seconds, [record.wire_bps / 1000, direct ? direct / 1000 : null]);
    this.plots.rate.add(seconds, [rates.received, rates.restored]);
    this.plots.delay.add(seconds, [total.p50, total.p95]);
    this.plots.loss.add(seconds, [rates.lost, rates.dropped]);
  }
}

// [id, label, text, hint, raw value]
function tilesOf(record, rates) {
  const direct = record.direct_bps;
  const saving = direct ? 1 - record.wire_bps / direct : null;
  const viewers = record.viewers.restored?.viewers ?? 0;
  const total = record.latency_ms.total;
  const rate = (value) => (value === null ? "–" : value.toFixed(1));
  return [
    ["wire_bps", "On the wire", bits(record.wire_bps), CODECS[record.codec] ?? ""],
    ["direct_bps", "Direct HD would need", direct ? bits(direct) : "not measured",
      direct ? "by the measured ratio" : "see --direct-ratio"],
    ["saving", "Saved", saving === null ? "–" : `${Math.round(100 * saving)} %`,
      saving === null ? "" : "of the bits"],
    ["size", "Picture", record.size?.replace("x", "×") ?? "–",
      record.lr_size ? `from ${record.lr_size.replace("x", "×")}` : ""],
    ["fps", "Restored", `${rate(rates.restored)} /s`, `of ${rate(rates.received)} received`],
    ["frames_restored", "Pictures", count(record.frames_restored),
      `${count(record.frames_dropped)} dropped`],
    ["latency", "Latency", total ? `${total.p50.toFixed(0)} ms` : "–",
      total ? `p95 ${total.p95.toFixed(0)} ms` : ""],
    ["packets_lost", "Packets lost", count(record.packets_lost),
      `${count(record.frames_lost)} pictures`],
    ["model", "Model", record.model || "–", record.backend ?? "no network"],
    ["viewers", "Viewers", count(viewers), ""],
  ].map(([id, label, text, hint]) => ({ id, label, text, hint, value: record[id] ?? text }));
}

function tile({ id, label, text, hint, value }) {
  const box = document.createElement("div");
  box.dataset.figure = id;
  box.dataset.value = value;
  box.append(made("dt", label), made("dd", text), made("dd", hint, "hint"));
  return box;
}

function stageRow([stage, percentiles]) {
  const row = document.createElement("tr");
  const head = made("th", stage);
  head.scope = "row";
  row.append(head);
  for (const name of ["p50", "p95", "p99"]) {
    row.append(made("td", `${percentiles[name]?.toFixed(1) ?? "–"} ms`));
  }
  return row;
}

function outputItem({ name, state, frames_written: written, frames_dropped: dropped }) {
  return made("li", `${name} – ${state}, ${count(written)} pictures, ${count(dropped)} dropped`);
}

function bits(bps) {
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(2)} Mb/s` : `${Math.round(bps / 1000)} kb/s`;
}

function count(number) {
  return number.toLocaleString("en");
}

function made(name, text, className = "") {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}

function fill(parent, children) {
  parent.replaceChildren(...children);
}
