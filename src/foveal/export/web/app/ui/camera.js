// The camera: which one, its frames, and letting go of it.

const IDEAL = { width: { ideal: 1280 }, height: { ideal: 720 } };

export class Camera {
  /** @param {HTMLVideoElement} video In the page, muted and inline, as phones demand. */
  constructor(video) {
    this.video = video;
    /** @type {MediaStream | null} */
    this.stream = null;
    this.canvas = document.createElement("canvas");
  }

  get isOn() {
    return this.stream !== null;
  }

  /** Which way the camera looks: `environment`, `user`, or unknown. */
  get facing() {
    return this.stream?.getVideoTracks()[0]?.getSettings().facingMode;
  }

  get deviceId() {
    return this.stream?.getVideoTracks()[0]?.getSettings().deviceId;
  }

  /**
   * Start a camera: this very one, or the one that looks this way. `exact` first: asked for `ideal`,
   * phones may give the front camera although there is a back one.
   * @param {{deviceId?: string, facing?: "environment" | "user"}} wanted
   */
  async start({ deviceId, facing = "environment" }) {
    this.stop();
    if (navigator.mediaDevices === undefined) {
      throw new Error("The camera requires HTTPS or localhost. You can still take a photo.");
    }
    const tries =
      deviceId === undefined
        ? [{ facingMode: { exact: facing }, ...IDEAL }, { facingMode: facing, ...IDEAL }, true]
        : [{ deviceId: { exact: deviceId }, ...IDEAL }, true];
    this.stream = await firstThatWorks(tries);
    this.video.srcObject = this.stream;
    // The front camera is shown as in a mirror; the network sees it as it is.
    this.video.classList.toggle("mirrored", this.facing === "user");
    await this.video.play();
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }

  /** Cameras by name; known only once one was allowed. */
  async list() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind, deviceId }) => kind === "videoinput" && deviceId !== "");
  }

  /** The current frame, never mirrored; null when there is none yet. @returns {ImageData | null} */
  frame() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (this.stream === null || width === 0) return null;
    this.canvas.width = width;
    this.canvas.height = height;
    const pen = this.canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(this.video, 0, 0);
    return pen.getImageData(0, 0, width, height);
  }
}

async function firstThatWorks(tries) {
  let last;
  for (const video of tries) {
    try {
      return await navigator.mediaDevices.getUserMedia({ video, audio: false });
    } catch (error) {
      last = error;
      // No other wish helps where cameras are not allowed at all.
      if (error.name === "NotAllowedError" || error.name === "SecurityError") break;
    }
  }
  throw new Error(WHY[last.name] ?? `The camera cannot be used: ${last.message}`);
}

const WHY = {
  NotAllowedError: "Camera access is blocked. Allow it in the browser settings, or take a photo.",
  SecurityError: "Camera access is not allowed on this page. You can still take a photo.",
  NotFoundError: "No camera was found. Choose pictures instead.",
  NotReadableError: "The camera is in use by another app. Close it and try again.",
};
