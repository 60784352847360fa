// Finds the two pictures of one moment in two streams that share their timestamps. No DOM.

const HELD = 40; // pictures of one stream: 1.6 s at 25 a second, more than restoring may take
const JUMP = 10 * 90000; // 10 s: no picture is so late, and no stream goes on after such a step

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
    const step = this.last === null ? 1 : stepOf(timestamp, this.last);
    if (step <= 0 && step > -JUMP) {
      picture.close();
      return null;
    }
    if (Math.abs(step) >= JUMP) {
      this.clear(); // the stream was changed, while pictures of the one before still came
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
        if (stepOf(other, timestamp) < 0) {
          old.close();
          pictures.delete(other);
        }
      }
    }
    return { timestamp, received, restored };
  }

  // The newest restored picture and the received one that is nearest to it, or null: for machines
  // that show too few pictures of either for pairs.
  nearest() {
    const [timestamp, restored] = [...this.held.restored].at(-1) ?? [];
    const distance = ([other]) => Math.abs(stepOf(other, timestamp));
    const [first, ...others] = this.held.received;
    if (!restored || !first) {
      return null;
    }
    const [, received] = others.reduce((a, b) => (distance(b) < distance(a) ? b : a), first);
    return { timestamp, received, restored };
  }

  clear() {
    for (const pictures of Object.values(this.held)) {
      drop(pictures, pictures.size);
    }
    this.last = null;
  }
}

// From one timestamp to another; they have 32 bits and wrap (RFC 3550).
function stepOf(timestamp, since) {
  return (timestamp - since) | 0;
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
