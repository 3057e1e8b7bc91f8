/**
 * Takes color profiles out of photos, as the training side passes over them.
 *
 * createImageBitmap has an option for that, which not every browser heeds. Phones write Display P3 into JPEG files.
 */

const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const PNG_COLORS = ["iCCP", "cHRM", "gAMA", "sRGB", "cICP"];
const JPEG_PROFILE = "ICC_PROFILE\0";
const [APP2, START_OF_SCAN] = [0xe2, 0xda];

/** Returns the bytes of a JPEG or PNG file without what says how its colors are meant; those of other files as they are. */
export function withoutProfile(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let parts;
  if (bytes[0] === 0xff && bytes[1] === 0xd8) parts = jpegParts(bytes, view);
  else if (PNG.every((byte, index) => bytes[index] === byte)) parts = pngParts(bytes, view);
  else return bytes;
  return joined(parts.filter(({isProfile}) => !isProfile).map(({start, end}) => bytes.subarray(start, end)));
}

/** Returns the segments before the picture itself, and the rest as one part. */
function jpegParts(bytes, view) {
  const parts = [{start: 0, end: 2}];
  let start = 2;
  while (start + 4 <= bytes.length && bytes[start] === 0xff && bytes[start + 1] !== START_OF_SCAN) {
    const end = start + 2 + view.getUint16(start + 2);
    const isProfile = bytes[start + 1] === APP2 && textAt(bytes, start + 4, JPEG_PROFILE.length) === JPEG_PROFILE;
    parts.push({start, end, isProfile});
    start = end;
  }
  return [...parts, {start, end: bytes.length}];
}

/** Returns the chunks; what is broken at the end stays one part. */
function pngParts(bytes, view) {
  const parts = [{start: 0, end: PNG.length}];
  let start = PNG.length;
  while (start + 12 <= bytes.length) {
    const end = start + 12 + view.getUint32(start);
    parts.push({start, end, isProfile: PNG_COLORS.includes(textAt(bytes, start + 4, 4))});
    start = end;
  }
  return [...parts, {start, end: bytes.length}];
}

function textAt(bytes, start, length) {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let start = 0;
  for (const part of parts) {
    bytes.set(part, start);
    start += part.length;
  }
  return bytes;
}
