// Bytes to headers and arrays: the format that ganlib/lab.py documents at `pack`.

/** @typedef {Uint8Array | Int16Array | Float32Array} Numbers */
/** @typedef {{header: Object, arrays: Object<string, Numbers>, shapes: Object<string, number[]>}} Pack */

const ARRAY_TYPES = {uint8: Uint8Array, int16: Int16Array, float32: Float32Array};

/** @param {boolean} ok @param {string} sentence what is wrong otherwise */
function require(ok, sentence) {
  if (!ok) throw new Error(sentence);
}

/** @param {ArrayBuffer} buffer @returns {[Object, number]} the header, and where the arrays begin */
function readHeader(buffer) {
  require(buffer.byteLength >= 4, SENTENCES.emptyFrame);
  const start = 4 + new DataView(buffer).getUint32(0, true);
  require(start % 4 === 0 && start <= buffer.byteLength, SENTENCES.cutHeader);
  let header = null;
  try {
    header = JSON.parse(new TextDecoder("utf-8", {fatal: true}).decode(new Uint8Array(buffer, 4, start - 4)));
  } catch {
    throw new Error(SENTENCES.unreadHeader);
  }
  require(header !== null && Array.isArray(header.arrays), SENTENCES.noArrays);
  return [header, start];
}

/**
 * The header and the arrays of a pack. The arrays are views of `buffer`, which is not copied.
 * @param {ArrayBuffer} buffer
 * @returns {Pack}
 * @throws {Error} a sentence that says what is wrong with the bytes
 */
function unpack(buffer) {
  const [header, start] = readHeader(buffer);
  const arrays = {}, shapes = {};
  let place = start;
  for (const [name, dtype, shape] of header.arrays) {
    require(Object.hasOwn(ARRAY_TYPES, dtype), SENTENCES.unknownType(name));
    const count = shape.reduce((product, n) => product * n, 1), kind = ARRAY_TYPES[dtype];
    require(Number.isInteger(count) && count >= 0, SENTENCES.badShape(name));
    require(place + count * kind.BYTES_PER_ELEMENT <= buffer.byteLength, SENTENCES.cutArray(name));
    arrays[name] = new kind(buffer, place, count);
    shapes[name] = shape;
    place += Math.ceil(count * kind.BYTES_PER_ELEMENT / 4) * 4;
  }
  require(place === buffer.byteLength, SENTENCES.longFrame);
  return {header, arrays, shapes};
}
