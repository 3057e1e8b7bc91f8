/**
 * Turns a photo of any size into the input of a model, as keras_lite does it in training.
 *
 * The photo is scaled, its middle is cut out, and each level from 0 to 255 becomes (level / 255 - mean) / std. What a
 * canvas does with drawImage is another filter, which costs accuracy. This file needs no browser: a photo is an object
 * with width, height and rows(first, count), which returns the RGBA levels of some rows.
 */

const CHANNELS = 3;
// Weights are fixed-point numbers and each pass rounds to 8 bits, as on the machine that trained.
const FRACTION_BITS = 22;
const HALF = 1 << (FRACTION_BITS - 1);
const BICUBIC_RADIUS = 2;
// Pixels that are read at once: a photo of 48 megapixels need not be in memory as a whole.
const STRIP_PIXELS = 1 << 20;

/** Filters that grow with what they scale down, so that every pixel counts: their radius, and height at a distance. */
const FILTERS = {
  bilinear: {radius: 1, height: (x) => Math.max(0, 1 - Math.abs(x))},
  bicubic: {radius: BICUBIC_RADIUS, height: bicubic},
  box: {radius: 0.5, height: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)},
};
const INTERPOLATIONS = [...Object.keys(FILTERS), "nearest", "bilinear_no_antialias"];

/** The preprocessing of a model. */
export class Preprocessing {
  /** @param fields the entry "preprocessing" of the model's JSON file */
  constructor(fields) {
    const {image_size, mean, std, resize = image_size, keep_aspect = true, interpolation = "bilinear"} = fields;
    if (!INTERPOLATIONS.includes(interpolation)) {
      throw new Error(`Expected interpolation to be one of ${INTERPOLATIONS.join(", ")}, received ${interpolation}`);
    }
    [this.height, this.width] = image_size;
    [this.resizeHeight, this.resizeWidth] = resize;
    this.keepAspect = keep_aspect;
    this.interpolation = interpolation;
    this.mean = mean;
    this.std = std;
    this.channels = mean.length;
  }

  /** Returns the scaled photo's middle as levels from 0 to 255, row by row; gray for a model with one channel. */
  levels(photo) {
    const levels = this.#middle(photo);
    if (this.channels === CHANNELS) return levels;
    const gray = new Uint8Array(levels.length / CHANNELS);
    for (let i = 0; i < gray.length; i++) {
      const [red, green, blue] = levels.subarray(i * CHANNELS, (i + 1) * CHANNELS);
      gray[i] = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
    }
    return gray;
  }

  /**
   * Returns the input of a model.
   *
   * @param levels what levels() returned
   * @param tensor the entry "input_tensor" of the model's JSON file: dtype, and for uint8 scale and zero_point
   */
  toInput(levels, tensor) {
    const values = tensor.dtype === "uint8" ? new Uint8Array(levels.length) : new Float32Array(levels.length);
    const tables = this.mean.map((_, channel) => this.#table(channel, tensor));
    for (let i = 0; i < levels.length; i++) values[i] = tables[i % this.channels][levels[i]];
    return values;
  }

  /** Returns the input for each level of a channel, computed with 32 bits as the training side does. */
  #table(channel, {dtype, scale, zero_point}) {
    const factor = Math.fround(1 / (255 * this.std[channel]));
    const offset = Math.fround(this.mean[channel] / this.std[channel]);
    return Array.from({length: 256}, (_, level) => {
      const value = Math.fround(Math.fround(level * factor) - offset);
      if (dtype === "float32") return value;
      const step = halfToEven(Math.fround(value / Math.fround(scale))) + zero_point;
      return Math.max(0, Math.min(255, step));
    });
  }

  #middle(photo) {
    const {height, width} = this;
    let [scaledHeight, scaledWidth] = [this.resizeHeight, this.resizeWidth];
    if (this.keepAspect && photo.height * scaledWidth <= photo.width * scaledHeight) {
      scaledWidth = Math.floor((photo.width * scaledHeight) / photo.height); // the height decides
    } else if (this.keepAspect) {
      scaledHeight = Math.floor((photo.height * scaledWidth) / photo.width);
    }
    const top = halfToEven((scaledHeight - height) / 2);
    const left = halfToEven((scaledWidth - width) / 2);
    if (!this.keepAspect) {
      const down = {start: 0, end: photo.height, count: scaledHeight, skip: top, kept: height};
      const across = {start: 0, end: photo.width, count: scaledWidth, skip: left, kept: width};
      return scale(photo, down, across, this.interpolation);
    }
    // Cut out before scaling, to a border that may lie within a pixel.
    const down = side(photo.height, scaledHeight, top, height);
    const across = side(photo.width, scaledWidth, left, width);
    return scale(photo, down, across, this.interpolation);
  }
}

/** Returns one side of the part of a photo that becomes the result. */
function side(size, scaledSize, skip, count) {
  const step = size / scaledSize;
  return {start: skip * step, end: Math.min(size, (skip + count) * step), count, skip: 0, kept: count};
}

/**
 * Scales a part of a photo and returns its levels.
 *
 * @param down where the part begins and ends in the photo's rows, how many rows it is scaled to, and how many of these
 *     are left out at the start and kept
 * @param across the same of the columns
 */
function scale(photo, down, across, interpolation) {
  const reader = new RowReader(photo);
  if (interpolation === "nearest") return nearest(reader, photo, down, across);
  if (interpolation === "bilinear_no_antialias") return fourNeighbors(reader, photo, down, across);
  const kind = FILTERS[interpolation];
  const columns = cut(filterOf(kind, photo.width, across), across);
  if (interpolation === "bicubic") {
    // Along the rows first, always: it overshoots, and what overshoots is cut off after each pass.
    const reach = BICUBIC_RADIUS * Math.max(1, (down.end - down.start) / down.count) + 1;
    const first = Math.max(0, Math.floor(down.start - reach));
    const last = Math.min(photo.height, Math.ceil(down.end + reach));
    const part = {...down, start: down.start - first, end: down.end - first};
    const rows = cut(filterOf(kind, last - first, part), down);
    rows.first = rows.first.map((row) => row + first);
    return acrossThenDown(reader, rows, columns);
  }
  const rows = cut(filterOf(kind, photo.height, down), down);
  // Pillow (from 13 on) scales along the columns first where that leaves less to do; each pass rounds.
  const [higher, wider] = [photo.height - down.count, photo.width - across.count];
  return higher > 0 && higher > 2 * wider
    ? downThenAcross(reader, rows, columns)
    : acrossThenDown(reader, rows, columns);
}

/** Returns what each pixel of the result takes from one side of the photo: the first pixel that counts, and weights. */
function filterOf({radius, height}, size, {start, end, count}) {
  // Pillow holds the part's borders in 32 bits.
  const begin = Math.fround(start);
  const scale = Math.fround(Math.fround(end) - begin) / count;
  const support = radius * Math.max(scale, 1);
  const shrink = 1 / Math.max(scale, 1);
  const filter = {first: [], weights: []};
  for (let i = 0; i < count; i++) {
    const center = begin + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const stop = Math.min(size, Math.trunc(center + support + 0.5));
    const shares = [];
    let sum = 0;
    for (let j = first; j < stop; j++) {
      shares.push(height((j - center + 0.5) * shrink));
      sum += shares[j - first];
    }
    filter.first.push(first);
    filter.weights.push(Int32Array.from(shares, (share) => fixedPoint(sum === 0 ? share : share / sum)));
  }
  return filter;
}

function cut({first, weights}, {skip, kept}) {
  return {first: first.slice(skip, skip + kept), weights: weights.slice(skip, skip + kept)};
}

function fixedPoint(share) {
  const scaled = share * (1 << FRACTION_BITS);
  return Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

function toLevel(sum) {
  return Math.max(0, Math.min(255, sum >> FRACTION_BITS));
}

function acrossThenDown(reader, rows, columns) {
  const [height, width] = [rows.first.length, columns.first.length];
  const begin = rows.first[0];
  const end = rows.first[height - 1] + rows.weights[height - 1].length;
  const stride = width * CHANNELS;
  const narrow = new Uint8Array((end - begin) * stride);
  for (let y = begin; y < end; y++) {
    acrossOne(reader.row(y), columns, narrow.subarray((y - begin) * stride, (y - begin + 1) * stride));
  }
  const levels = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const from = (row) => narrow.subarray((row - begin) * stride, (row - begin + 1) * stride);
    downOne(from, rows.first[y], rows.weights[y], levels.subarray(y * stride, (y + 1) * stride));
  }
  return levels;
}

function downThenAcross(reader, rows, columns) {
  const [height, width] = [rows.first.length, columns.first.length];
  const levels = new Uint8Array(height * width * CHANNELS);
  const line = new Uint8Array(reader.photo.width * CHANNELS);
  for (let y = 0; y < height; y++) {
    downOne((row) => reader.row(row), rows.first[y], rows.weights[y], line);
    acrossOne(line, columns, levels.subarray(y * width * CHANNELS, (y + 1) * width * CHANNELS));
  }
  return levels;
}

/** Scales one row. */
function acrossOne(line, {first, weights}, result) {
  for (let x = 0; x < first.length; x++) {
    let red = HALF;
    let green = HALF;
    let blue = HALF;
    let index = first[x] * CHANNELS;
    for (const weight of weights[x]) {
      red += weight * line[index];
      green += weight * line[index + 1];
      blue += weight * line[index + 2];
      index += CHANNELS;
    }
    result[x * CHANNELS] = toLevel(red);
    result[x * CHANNELS + 1] = toLevel(green);
    result[x * CHANNELS + 2] = toLevel(blue);
  }
}

/** Computes one row of the result from several rows. */
function downOne(rowAt, first, weights, result) {
  const sums = new Int32Array(result.length).fill(HALF);
  for (let j = 0; j < weights.length; j++) {
    const line = rowAt(first + j);
    for (let i = 0; i < sums.length; i++) sums[i] += weights[j] * line[i];
  }
  for (let i = 0; i < sums.length; i++) result[i] = toLevel(sums[i]);
}

function nearest(reader, photo, down, across) {
  const at = (centers, size) => centers.map((center) => Math.min(Math.trunc(center), size - 1));
  const columns = at(centersOf(across), photo.width);
  const levels = [];
  for (const y of at(centersOf(down), photo.height)) {
    const line = reader.row(y);
    for (const x of columns) levels.push(...line.subarray(x * CHANNELS, (x + 1) * CHANNELS));
  }
  return Uint8Array.from(levels);
}

function fourNeighbors(reader, photo, down, across) {
  const columns = centersOf(across).map((center) => neighbors(center, photo.width));
  const levels = new Uint8Array(down.kept * across.kept * CHANNELS);
  let index = 0;
  for (const row of centersOf(down).map((center) => neighbors(center, photo.height))) {
    const [above, below] = [reader.row(row.before).slice(), reader.row(row.behind)];
    for (const {before, behind, share} of columns) {
      for (let channel = 0; channel < CHANNELS; channel++) {
        const [left, right] = [before * CHANNELS + channel, behind * CHANNELS + channel];
        const upper = above[left] * (1 - share) + above[right] * share;
        const lower = below[left] * (1 - share) + below[right] * share;
        levels[index++] = Math.floor(upper * (1 - row.share) + lower * row.share + 0.5);
      }
    }
  }
  return levels;
}

/** Returns where the middles of the new pixels lie on the photo, counted from its border. */
function centersOf({start, end, count, skip, kept}) {
  const step = (end - start) / count;
  return Array.from({length: kept}, (_, i) => start + (skip + i + 0.5) * step);
}

/** Returns the pixels whose middles lie before and behind, and the share of the one behind. */
function neighbors(center, size) {
  const place = Math.max(0, Math.min(size - 1, center - 0.5));
  const before = Math.trunc(place);
  return {before, behind: Math.min(before + 1, size - 1), share: place - before};
}

/** Reads a photo in strips. */
class RowReader {
  constructor(photo) {
    this.photo = photo;
    this.first = 0;
    this.count = 0;
    this.levels = new Uint8Array(0);
  }

  /** Returns one row as red, green, blue, ...; what is transparent shows white. Valid until the next call. */
  row(y) {
    const {width, height} = this.photo;
    if (y < this.first || y >= this.first + this.count) {
      this.first = y;
      this.count = Math.min(height - y, Math.max(1, Math.floor(STRIP_PIXELS / width)));
      this.levels = onWhite(this.photo.rows(this.first, this.count));
    }
    const stride = width * CHANNELS;
    return this.levels.subarray((y - this.first) * stride, (y - this.first + 1) * stride);
  }
}

function onWhite(rgba) {
  const levels = new Uint8Array((rgba.length / 4) * CHANNELS);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += CHANNELS) {
    const alpha = rgba[from + 3];
    for (let channel = 0; channel < CHANNELS; channel++) {
      const level = rgba[from + channel];
      levels[to + channel] = alpha === 255 ? level : Math.floor((level * alpha + 255 * (255 - alpha) + 127) / 255);
    }
  }
  return levels;
}

function bicubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

function halfToEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}
