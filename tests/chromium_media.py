"""Scripts for a browser's page: publish numbered pictures, play video and read their numbers.

The pictures are those of `tests.marked_pictures`: eight bars in the lower half, one a bit.
"""

PUBLISH = """
async (mime) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [320, 180];
  const context = canvas.getContext("2d");
  let number = 0;
  const draw = () => {
    for (let x = 0; x < 320; x += 8) {
      const level = 110 + Math.round(40 * Math.sin((x + 2 * number) / 11));
      context.fillStyle = `rgb(${level}, ${level}, ${level})`;
      context.fillRect(x, 0, 8, 90);
    }
    for (let bit = 0; bit < 8; bit++) {
      context.fillStyle = (number >> bit) & 1 ? "rgb(203, 203, 203)" : "rgb(51, 51, 51)";
      context.fillRect(bit * 40, 90, 40, 90);
    }
    number = (number + 1) % 256;
  };
  draw();
  setInterval(draw, 40);
  const connection = new RTCPeerConnection();
  const track = canvas.captureStream(25).getVideoTracks()[0];
  const transceiver = connection.addTransceiver(track, { direction: "sendonly" });
  const codecs = RTCRtpSender.getCapabilities("video").codecs;
  transceiver.setCodecPreferences(codecs.filter((codec) => codec.mimeType === mime));
  await connection.setLocalDescription();
  while (connection.iceGatheringState !== "complete")
    await new Promise((done) => setTimeout(done, 10));
  window.connection = connection;
  return connection.localDescription.sdp;
}
"""
"""(MIME type) -> offer, complete with candidates; pictures number 0 to 255 over and over."""

TAKE_ANSWER = "(sdp) => window.connection.setRemoteDescription({ type: 'answer', sdp })"

POST_OFFER = """
async ([url, offer]) => {
  const headers = { "Content-Type": "application/sdp" };
  const response = await fetch(url, { method: "POST", headers, body: offer });
  const sdp = await response.text();
  if (response.status !== 201) throw new Error(`${response.status} ${sdp}`);
  window.session = new URL(response.headers.get("Location"), url).href;
  await window.connection.setRemoteDescription({ type: "answer", sdp });
}
"""
"""([WHIP URL, offer]) -> published."""

LEAVE = """
async () => {
  await fetch(window.session, { method: "DELETE" });
  window.connection.close();
}
"""

PLAY = """
async (offer) => {
  const video = document.createElement("video");
  video.muted = true;
  document.body.append(video);
  const connection = new RTCPeerConnection();
  connection.ontrack = ({ track }) => {
    video.srcObject = new MediaStream([track]);
    video.play();
  };
  window.connection = connection;
  window.seen = [];
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const look = () => {
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    context.drawImage(video, 0, 0);
    let number = 0;
    for (let bit = 0; bit < 8; bit++) {
      const x = Math.floor(((bit + 0.5) * canvas.width) / 8);
      const [level] = context.getImageData(x, Math.floor(canvas.height * 0.75), 1, 1).data;
      number |= (level > 127) << bit;
    }
    window.seen.push(number);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  await connection.setRemoteDescription({ type: "offer", sdp: offer });
  await connection.setLocalDescription();
  while (connection.iceGatheringState !== "complete")
    await new Promise((done) => setTimeout(done, 10));
  return connection.localDescription.sdp;
}
"""
"""(offer) -> answer; `window.seen` becomes the numbers of the pictures that are shown."""

DECODER = """
async () => {
  const stats = [...(await window.connection.getStats()).values()];
  const inbound = stats.find((each) => each.type === "inbound-rtp" && each.kind === "video");
  const codec = stats.find((each) => each.id === inbound?.codecId);
  return codec?.mimeType ?? null;
}
"""
"""() -> MIME type of what is being played."""
