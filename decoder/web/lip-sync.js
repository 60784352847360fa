// Holds pictures back until their sound is heard. No DOM.
//
// Where packets come unevenly, a browser delays sound by what it needs to play it without gaps, soon
// and by some hundred milliseconds; it lets the picture follow by about 20 ms a second. So this does
// it faster, by the difference that the browser itself reports.

const SHORTEST_MS = 100; // sound comes in step with the pictures, so about as unevenly
const LONGEST_MS = 1000;
const LARGEST_STEP_MS = 60; // twice a second: browsers change a delay by 100 ms a second
const UNHEARD_MS = 12; // a difference below is noise

export class LipSync {
  constructor() {
    this.targetsMs = { audio: SHORTEST_MS, video: SHORTEST_MS };
    this.differences = [];
  }

  // Adjust the delays. stats: the values of an RTCStatsReport.
  take(stats) {
    const playing = {};
    for (const { type, kind, estimatedPlayoutTimestamp } of stats) {
      if (type === "inbound-rtp" && estimatedPlayoutTimestamp) {
        playing[kind] = estimatedPlayoutTimestamp;
      }
    }
    if (!playing.audio || !playing.video) {
      this.differences = [];
      return;
    }
    this.differences = [...this.differences, playing.video - playing.audio].slice(-3);
    const ahead = middle(this.differences);
    if (Math.abs(ahead) > UNHEARD_MS) {
      // By half of it: what was asked for last time takes a while to happen.
      const step = within(-LARGEST_STEP_MS, ahead / 2, LARGEST_STEP_MS);
      this.targetsMs.video = within(SHORTEST_MS, this.targetsMs.video + step, LONGEST_MS);
    }
  }
}

function middle(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

function within(lowest, value, highest) {
  return Math.min(highest, Math.max(lowest, value));
}
