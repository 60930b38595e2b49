// Passports of pictures that the browser makes: texts in PNG files, as ganlib/passport.py writes and reads them.

const PNG_HEAD = 33;  // bytes of the signature and of the first chunk, IHDR

/** @param {Uint8Array} bytes @returns {number} the checksum of a chunk */
function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc >>> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** @param {string} text in ASCII @returns {Uint8Array} a chunk that holds it */
function textChunk(keyword, text) {
  const content = new TextEncoder().encode(`tEXt${keyword}\0${text}`), chunk = new Uint8Array(content.length + 8);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, content.length - 4);
  chunk.set(content, 4);
  view.setUint32(content.length + 4, crc32(content));
  return chunk;
}

/** @returns {string} JSON in ASCII */
function asciiJson(values) {
  return JSON.stringify(values).replace(/[\u007f-\uffff]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** @param {Blob} png @param {Object<string, *>} state the values of a link to this stage @returns {Promise<Blob>} */
async function withPassport(png, state) {
  const bytes = new Uint8Array(await png.arrayBuffer());
  const passport = asciiJson({ganlib: PAGE.version, tab: PAGE.tab, ...state});
  return new Blob([bytes.subarray(0, PNG_HEAD), textChunk("ganlib", passport),
                   textChunk("Software", `ganlib ${PAGE.version}`), bytes.subarray(PNG_HEAD)], {type: "image/png"});
}
