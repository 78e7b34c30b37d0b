// Camera and microphone, sent as raw pixels and samples, one beat at a time: the next leaves when the last was answered.
const WIDTH = 320, HEIGHT = 240;
const FRAME_EVERY = 150, SOUND_EVERY = 400;  // ms between beats with and without a camera
const PATIENCE = 4000;  // ms until an unanswered beat is given up
const find = (name) => element.querySelector(`[data-part="${name}"]`);
const parts = Object.fromEntries(
  ["camera", "mic", "pause", "video", "box", "level", "state", "pace", "off", "heard"].map((name) => [name, find(name)]));
const canvas = document.createElement("canvas");
canvas.width = WIDTH;
canvas.height = HEIGHT;
const pencil = canvas.getContext("2d", { willReadFrequently: true });
let camera = null, mic = null, sounding = null;
let chunks = [], rate = 0, timer = null, waiting = 0, number = 0, mark = 0;
let turn = 1;  // counts how often all was turned off: a beat on its way then is of a turn that has ended
let spans = [], answered = [];
element.spans = spans;  // ms from frame to bars, for whoever measures
element.streams = [];   // every stream that was ever opened, so that a test can see that its tracks have ended

function base64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode.apply(null, bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

function picture() {
  const { videoWidth: w, videoHeight: h } = parts.video;
  if (!camera || !w || !h) return null;
  const scale = Math.max(WIDTH / w, HEIGHT / h), sw = WIDTH / scale, sh = HEIGHT / scale;
  pencil.drawImage(parts.video, (w - sw) / 2, (h - sh) / 2, sw, sh, 0, 0, WIDTH, HEIGHT);
  const rgba = pencil.getImageData(0, 0, WIDTH, HEIGHT).data, rgb = new Uint8Array(WIDTH * HEIGHT * 3);
  for (let i = 0, j = 0; j < rgb.length; i += 4) {
    rgb[j++] = rgba[i];
    rgb[j++] = rgba[i + 1];
    rgb[j++] = rgba[i + 2];
  }
  return base64(rgb);
}

function sound() {
  const length = chunks.reduce((sum, c) => sum + c.length, 0), all = new Int16Array(length);
  let at = 0;
  for (const chunk of chunks) for (const value of chunk) all[at++] = Math.max(-1, Math.min(1, value)) * 32767;
  chunks = [];
  return length ? base64(new Uint8Array(all.buffer)) : null;
}

function beat() {
  timer = null;
  if (!camera && !mic) return;
  const now = performance.now();
  if (waiting && now - waiting < PATIENCE) return later(PATIENCE);
  if (waiting) tell("The computer is busy; readings come more slowly.");
  const sent = { number: ++number, turn, rate, width: WIDTH, height: HEIGHT };
  mark = waiting = now;
  if (camera) sent.frame = picture();
  if (mic) sent.sound = sound();
  trigger("beat", sent);
  later(PATIENCE);
}

function later(ms) {
  clearTimeout(timer);
  timer = setTimeout(beat, ms);
}

watch("value", () => {
  const answer = props.value || {};
  if (answer.number !== number) return;
  waiting = 0;
  if (camera || mic) later(Math.max(0, mark + (camera ? FRAME_EVERY : SOUND_EVERY) - performance.now()));
  if (answer.wrong) tell(answer.wrong);
  if (answer.heard) parts.heard.textContent = `Heard: ${answer.heard}`;
  requestAnimationFrame(() => {
    spans.push(performance.now() - mark);
    if (spans.length > 2000) spans.shift();
    answered = [...answered.slice(-20), performance.now()];
    showPace();
  });
  frameFace(answer.box);
});

function showPace() {
  const last = spans.slice(-20).sort((a, b) => a - b);
  const span = answered[answered.length - 1] - answered[0];
  if (last.length < 3 || !(camera || mic)) return;
  const pace = (1000 * (answered.length - 1)) / span;
  parts.pace.textContent = `${pace.toFixed(1)} readings a second, ${Math.round(last[last.length >> 1])} ms each`;
}

function frameFace(box) {
  parts.box.hidden = !box || !camera;
  if (!box) return;
  // the picture that was sent is the middle of what is shown, at 4:3 as the preview; the preview is mirrored
  const [x, y, w, h] = box.map((v) => 100 * v);
  Object.assign(parts.box.style, { left: `${100 - x - w}%`, top: `${y}%`, width: `${w}%`, height: `${h}%` });
}

function tell(text) {
  parts.state.textContent = text;
}

function wrong(what, error) {
  if (!navigator.mediaDevices) return `Browsers lend the ${what} only to pages on localhost or over https.`;
  return {
    NotAllowedError: `The browser may not use the ${what}. Allow it beside the address of this page, then try again.`,
    NotFoundError: `No ${what} was found. Plug one in, or upload a recording instead.`,
    NotReadableError: `The ${what} is in use by another program.`,
  }[error.name] || `The ${what} could not be started (${error.name}).`;
}

async function open(kind, constraints) {
  const stream = await navigator.mediaDevices.getUserMedia(constraints);
  element.streams.push(stream);
  stream.getTracks().forEach((track) => track.addEventListener("ended", () => close(kind)));
  return stream;
}

async function startCamera() {
  camera = await open("camera", { video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" } });
  parts.video.srcObject = camera;
  await parts.video.play();
}

const WORKLET = `registerProcessor("tap", class extends AudioWorkletProcessor {
  process(inputs) { if (inputs[0][0]) this.port.postMessage(inputs[0][0].slice()); return true; } });`;

async function startMic() {
  mic = await open("mic", { audio: { channelCount: 1, echoCancellation: false, autoGainControl: true } });
  sounding = new AudioContext();
  const url = URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" }));
  await sounding.audioWorklet.addModule(url);
  URL.revokeObjectURL(url);
  const tap = new AudioWorkletNode(sounding, "tap");
  rate = Math.round(sounding.sampleRate);
  chunks = [];
  tap.port.onmessage = ({ data }) => {
    chunks.push(data);
    while (chunks.length * data.length > rate) chunks.shift();  // a second at most, should nobody fetch it
    const loud = Math.sqrt(data.reduce((sum, v) => sum + v * v, 0) / data.length);
    if (chunks.length % 8 === 0) parts.level.style.transform = `scaleX(${Math.min(1, 6 * loud).toFixed(2)})`;
  };
  sounding.createMediaStreamSource(mic).connect(tap);
}

function close(kind) {
  if (kind === "camera" && camera) {
    camera.getTracks().forEach((track) => track.stop());
    camera = parts.video.srcObject = null;
    parts.box.hidden = true;
  }
  if (kind === "mic" && mic) {
    mic.getTracks().forEach((track) => track.stop());
    sounding?.close();
    mic = sounding = null;
    chunks = [];
    parts.level.style.transform = "scaleX(0)";
  }
  showState();
}

function showState() {
  for (const [button, on, name] of [[parts.camera, camera, "camera"], [parts.mic, mic, "microphone"]]) {
    button.setAttribute("aria-pressed", String(Boolean(on)));
    button.lastElementChild.textContent = `${on ? "Stop" : "Start"} ${name}`;
  }
  element.classList.toggle("eb-seeing", Boolean(camera));
  element.classList.toggle("eb-hearing", Boolean(mic));
  parts.pause.disabled = !camera && !mic;
  const on = [camera && "camera", mic && "microphone"].filter(Boolean).join(" and ");
  tell(on ? `Reading from ${on}.` : "Camera and microphone are off.");
  if (!on) {
    clearTimeout(timer);
    timer = null;
    waiting = 0;
    answered = [];
    parts.pace.textContent = "";
  } else later(0);
}

async function toggle(kind, on, start, name) {
  if (on) return rest(kind);
  try {
    await start();
    showState();
  } catch (error) {
    close(kind);
    tell(wrong(name, error));
  }
}

function rest(...kinds) {
  kinds.forEach(close);
  if (!camera && !mic && number) trigger("rest", { turn: turn++ });
}

function forget() {
  ["camera", "mic"].forEach(close);
  parts.heard.textContent = "";
  if (number) trigger("rest", { turn: turn++, forgotten: true });  // what is shown then is forgetting's to say
}

parts.camera.addEventListener("click", () => toggle("camera", camera, startCamera, "camera"));
parts.mic.addEventListener("click", () => toggle("mic", mic, startMic, "microphone"));
parts.pause.addEventListener("click", () => rest("camera", "mic"));
// whoever leaves for another tab of the browser is not watched meanwhile
document.addEventListener("visibilitychange", () => document.hidden && (camera || mic) && rest("camera", "mic"));
window.addEventListener("pagehide", () => ["camera", "mic"].forEach(close));
window.addEventListener("emobraid-forget", forget);
window.addEventListener("emobraid-rest", () => (camera || mic) && rest("camera", "mic"));
