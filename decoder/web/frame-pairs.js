// Finds the two pictures of one moment in two streams that share their timestamps. No DOM.

const HELD = 40; // pictures of one stream: 1.6 s at 25 a second, more than restoring may take
const BEHIND = 1 << 30; // a timestamp that looks further back than this has wrapped (RFC 3550)

// Pictures have close(), as VideoFrame does; they are closed once they are not needed any more.
export class FramePairs {
  constructor() {
    this.held = { received: new Map(), restored: new Map() };
    this.last = null;
  }

  // The pair that `picture` completes, {timestamp, received, restored}, or null. The caller closes
  // neither: they stay valid until the next call.
  put(kind, timestamp, picture) {
    const { held } = this;
    if (this.last !== null && !isNewer(timestamp, this.last)) {
      picture.close();
      return null;
    }
    held[kind].get(timestamp)?.close();
    held[kind].set(timestamp, picture);
    drop(held[kind], held[kind].size - HELD);
    const received = held.received.get(timestamp);
    const restored = held.restored.get(timestamp);
    if (!received || !restored) {
      return null;
    }
    this.last = timestamp;
    for (const pictures of [held.received, held.restored]) {
      for (const [other, old] of pictures) {
        if (isNewer(timestamp, other)) {
          old.close();
          pictures.delete(other);
        }
      }
    }
    return { timestamp, received, restored };
  }

  // The newest picture of a kind, paired or not.
  newest(kind) {
    return [...this.held[kind].values()].at(-1) ?? null;
  }

  clear() {
    for (const pictures of Object.values(this.held)) {
      drop(pictures, pictures.size);
    }
    this.last = null;
  }
}

function isNewer(timestamp, than) {
  const step = (timestamp - than) >>> 0;
  return step > 0 && step < BEHIND;
}

function drop(pictures, count) {
  for (const [timestamp, picture] of pictures) {
    if (count-- <= 0) {
      return;
    }
    picture.close();
    pictures.delete(timestamp);
  }
}
