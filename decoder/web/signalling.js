// WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep-04): one session each, from offer to end.

import { LipSync } from "./lip-sync.js";

const GATHERING_MS = 1500; // host candidates take some milliseconds; do not wait for dead servers

const RECOVERY_MS = 4000; // a connection that broke off for longer is opened anew

export class Refused extends Error {
  constructor(status, text) {
    super(text.trim() || `the receiver answered ${status}`);
    this.status = status;
  }
}

class Session {
  constructor(url, token) {
    this.url = url;
    this.token = token;
    this.location = null;
    this.etag = null;
    this.connection = null;
  }

  // Resolves when the session stands, rejects with Refused or a network error.
  async open() {
    this.connection = this.newConnection();
    try {
      await this.offer();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  newConnection() {
    const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    connection.addEventListener("connectionstatechange", () => {
      const { connectionState: state } = connection;
      clearTimeout(this.losing);
      if (connection === this.connection && (state === "failed" || state === "disconnected")) {
        this.losing = setTimeout(() => this.onlost?.(), state === "failed" ? 0 : RECOVERY_MS);
      }
    });
    this.prepare(connection);
    return connection;
  }

  async offer() {
    const offer = await this.connection.createOffer();
    const local = { type: offer.type, sdp: withStereo(offer.sdp) };
    await this.connection.setLocalDescription(local);
    await gathered(this.connection);
    const reply = await this.send("POST", this.url, this.connection.localDescription.sdp);
    const sdp = await reply.text();
    if (reply.status !== 201 && !(reply.status === 406 && sdp.startsWith("v=0"))) {
      throw new Refused(reply.status, sdp);
    }
    this.location = new URL(reply.headers.get("Location"), this.url).href;
    this.etag = reply.headers.get("ETag");
    if (reply.status === 201) {
      await this.connection.setRemoteDescription({ type: "answer", sdp });
    } else {
      await this.answer(sdp);
    }
  }

  // The receiver could not use our offer and sent its own.
  async answer(sdp) {
    this.connection.close();
    this.connection = this.newConnection();
    await this.connection.setRemoteDescription({ type: "offer", sdp });
    await this.connection.setLocalDescription(await this.connection.createAnswer());
    await gathered(this.connection);
    const { sdp: ours } = this.connection.localDescription;
    const reply = await this.send("PATCH", this.location, ours);
    if (!reply.ok) {
      throw new Refused(reply.status, await reply.text());
    }
  }

  send(method, url, sdp) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    if (sdp !== undefined) {
      headers["Content-Type"] = "application/sdp";
    }
    if (method === "PATCH" && this.etag) {
      headers["If-Match"] = this.etag;
    }
    // keepalive: the DELETE of a page that is being left must still go out.
    return fetch(url, { method, headers, body: sdp, keepalive: method === "DELETE" });
  }

  close() {
    this.onlost = null;
    clearTimeout(this.losing);
    const { connection, location } = this;
    this.connection = this.location = null;
    if (!location) {
      connection?.close();
      return;
    }
    // In this order: the receiver would not know the session any more if it saw media end first.
    this.send("DELETE", location)
      .catch(() => {}) // it ends by itself as well
      .finally(() => connection?.close());
  }
}

export class WhepSession extends Session {
  constructor(url, token, { withAudio = true } = {}) {
    super(url, token);
    this.stream = new MediaStream();
    this.lipSync = withAudio ? new LipSync() : null;
  }

  prepare(connection) {
    connection.addEventListener("track", ({ track, receiver }) => {
      this.stream.addTrack(track);
      this.delay(receiver);
    });
    if (this.location) {
      return; // a counter-offer brings its own
    }
    connection.addTransceiver("video", { direction: "recvonly" });
    if (this.lipSync) {
      connection.addTransceiver("audio", { direction: "recvonly" });
    }
  }

  // Keep the picture in step with its sound; to be called twice a second.
  async syncLips() {
    const { connection, lipSync } = this;
    if (!connection || !lipSync) {
      return;
    }
    lipSync.take((await connection.getStats()).values());
    connection.getReceivers().forEach((receiver) => this.delay(receiver));
  }

  delay(receiver) {
    if (this.lipSync && "jitterBufferTarget" in receiver) {
      receiver.jitterBufferTarget = this.lipSync.targetsMs[receiver.track.kind];
    }
  }
}

export class WhipSession extends Session {
  // media: MediaStream; maxBitrate in bits a second; maxHeight in lines, 0 for as it is.
  constructor(url, token, { media, maxBitrate, maxHeight }) {
    super(url, token);
    Object.assign(this, { media, maxBitrate, maxHeight });
  }

  prepare(connection) {
    for (const track of this.media.getTracks()) {
      const encoding = track.kind === "video" ? this.encodingOf(track) : {};
      const transceiver = connection.addTransceiver(track, {
        direction: "sendonly",
        streams: [this.media],
        sendEncodings: [encoding],
      });
      if (track.kind === "video") {
        preferH264(transceiver);
      }
    }
  }

  encodingOf(track) {
    const { height = 0 } = track.getSettings();
    const shrink = this.maxHeight && height > this.maxHeight ? height / this.maxHeight : 1;
    return { maxBitrate: this.maxBitrate, scaleResolutionDownBy: shrink };
  }
}

function preferH264(transceiver) {
  const { codecs } = RTCRtpSender.getCapabilities("video");
  const isH264 = (codec) => codec.mimeType.toLowerCase() === "video/h264";
  // Not every browser has the method, and not every one has H.264.
  transceiver.setCodecPreferences?.([
    ...codecs.filter(isH264),
    ...codecs.filter((codec) => !isH264(codec)),
  ]);
}

// Opus is decoded as mono unless the receiving side asks for stereo (RFC 7587 section 6.1).
function withStereo(sdp) {
  const opus = /a=rtpmap:(\d+) opus\/48000\/2/i.exec(sdp);
  return opus
    ? sdp.replace(new RegExp(`(a=fmtp:${opus[1]} [^\r\n]*)`), "$1;stereo=1")
    : sdp;
}

function gathered(connection) {
  return new Promise((resolve) => {
    const check = () => connection.iceGatheringState === "complete" && resolve();
    connection.addEventListener("icegatheringstatechange", check);
    setTimeout(resolve, GATHERING_MS);
    check();
  });
}
