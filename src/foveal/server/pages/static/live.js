// The camera as a live view: one frame after another is answered, and the last answer is shown.

import { AnswerError, predict } from "./api.js";

// More detail than most models see, and still a small body.
const SENT_SIDE_PX = 1024;
const SENT_QUALITY = 0.9;
// Between an answer and the next frame: others may use the server too.
const PAUSE_MS = 150;
const RETRY_MS = 2000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class LiveView {
  // `say` turns an answer into text; `keep` takes a photo as a file.
  constructor(root, { say, keep }) {
    this.root = root;
    this.say = say;
    this.keep = keep;
    this.model = null;
    this.stream = null;
    this.find(".live-keep").addEventListener("click", () => this.keepFrame());
    this.find(".live-close").addEventListener("click", () => this.close());
    this.find(".live-camera").addEventListener("change", (event) => this.open(event.target.value));
  }

  // Browsers give the camera to pages on this machine and over HTTPS alone.
  static get isPossible() {
    return Boolean(navigator.mediaDevices?.getUserMedia);
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  async open(camera = "") {
    this.stop();
    this.root.hidden = false;
    this.show("", "Waiting for the camera…");
    const wanted = camera ? { deviceId: { exact: camera } } : { facingMode: "environment" };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { ...wanted, width: { ideal: 1920 } } });
    } catch (error) {
      this.show("", CAMERA_ERRORS[error.name] ?? `The camera cannot be used: ${error.message}`);
      return;
    }
    if (this.root.hidden) {
      // Closed while the browser was asking.
      stream.getTracks().forEach((track) => track.stop());
      return;
    }
    this.stream = stream;
    this.find("video").srcObject = stream;
    await this.find("video").play();
    this.find(".live-keep").disabled = false;
    await this.listCameras();
    this.answerFrames(stream);
  }

  async listCameras() {
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "videoinput");
    const select = this.find(".live-camera");
    const used = this.stream?.getVideoTracks()[0]?.getSettings().deviceId;
    select.replaceChildren(...cameras.map((one, i) => new Option(one.label || `Camera ${i + 1}`, one.deviceId)));
    select.value = used;
    this.find(".live-cameras").hidden = cameras.length < 2;
  }

  async answerFrames(stream) {
    while (this.stream === stream) {
      if (document.hidden || !this.model) {
        await pause(RETRY_MS / 4);
        continue;
      }
      const { model } = this;
      const begun = performance.now();
      try {
        const answer = await predict(model.name, await this.frame(SENT_SIDE_PX));
        if (this.stream !== stream) return;
        const took = Math.round(performance.now() - begun);
        if (model === this.model) this.show(this.say(answer, model), `${took} ms`);
        await pause(PAUSE_MS);
      } catch (error) {
        if (!(error instanceof AnswerError)) throw error;
        if (this.stream !== stream) return;
        this.show("", error.message);
        await pause(RETRY_MS);
      }
    }
  }

  async frame(side) {
    const video = this.find("video");
    const scale = Math.min(1, side / Math.max(video.videoWidth, video.videoHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
    canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", SENT_QUALITY));
  }

  async keepFrame() {
    const picture = await this.frame(Infinity);
    const time = new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
    this.keep(new File([picture], `camera-${time}.jpg`, { type: "image/jpeg" }));
  }

  show(answer, note) {
    this.find(".live-answer").textContent = answer || "…";
    this.find(".live-note").textContent = note;
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.find("video").srcObject = null;
    this.find(".live-keep").disabled = true;
  }

  close() {
    this.stop();
    this.root.hidden = true;
    this.root.dispatchEvent(new Event("closed"));
  }
}

const CAMERA_ERRORS = {
  NotAllowedError: "The browser does not let this page use the camera. Allow it in the address bar.",
  NotFoundError: "There is no camera.",
  NotReadableError: "The camera is used by another program.",
};
