/** Photos from files and from the camera, as preprocessing.js takes them. */

import {Problem} from "./problem.js";
import {withoutProfile} from "./profile.js";

// As the training side reads a photo: upright, by its EXIF orientation, and without regard to its color profile.
const OPTIONS = {imageOrientation: "from-image", colorSpaceConversion: "none"};

/** Returns the photo in a file. */
export async function openPhoto(file) {
  try {
    const bytes = withoutProfile(new Uint8Array(await file.arrayBuffer()));
    return new Photo(await createImageBitmap(new Blob([bytes], {type: file.type}), OPTIONS));
  } catch {
    throw new Problem(`${file.name} is no photo that this browser can read.`);
  }
}

/** Returns what a video shows now. */
export async function grabFrame(video) {
  return new Photo(await createImageBitmap(video));
}

/** A photo whose pixels are read in strips. */
class Photo {
  #canvas = document.createElement("canvas");

  constructor(bitmap) {
    this.bitmap = bitmap;
    this.width = bitmap.width;
    this.height = bitmap.height;
  }

  /** Returns the RGBA levels of some rows. */
  rows(first, count) {
    const {width} = this;
    if (this.#canvas.width !== width || this.#canvas.height < count) Object.assign(this.#canvas, {width, height: count});
    const context = this.#canvas.getContext("2d", {willReadFrequently: true});
    context.imageSmoothingEnabled = false;
    context.globalCompositeOperation = "copy";
    context.drawImage(this.bitmap, 0, first, width, count, 0, 0, width, count);
    return context.getImageData(0, 0, width, count).data;
  }

  /** Shows the photo on a canvas, no wider or higher than so many pixels. */
  show(canvas, limit) {
    const shrink = Math.min(1, limit / Math.max(this.width, this.height));
    canvas.width = Math.max(1, Math.round(this.width * shrink));
    canvas.height = Math.max(1, Math.round(this.height * shrink));
    canvas.getContext("2d").drawImage(this.bitmap, 0, 0, canvas.width, canvas.height);
  }

  close() {
    this.bitmap.close();
  }
}
