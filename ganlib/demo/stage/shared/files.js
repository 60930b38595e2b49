// Bytes, base64 and files.

/** @param {string} text base64 @returns {ArrayBuffer} */
function fromBase64(text) {
  const characters = atob(text), bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes.buffer;
}

/** @param {Blob} blob @returns {Promise<string>} base64, without the prefix of a data address */
function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Hand a file to the visitor. */
function download(blob, name) {
  const address = URL.createObjectURL(blob), link = make("a", {href: address, download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const FILE_TYPES = {gif: "image/gif", mp4: "video/mp4", png: "image/png"};

/** Hand a file that the server made to the visitor. @param {{file: string, name: string}} answer with base64 */
function saveFile({file, name}) {
  download(new Blob([fromBase64(file)], {type: FILE_TYPES[name.split(".").at(-1)]}), name);
}

/** @returns {Promise<Blob>} */
function toBlob(canvas, type) {
  return new Promise((resolve, reject) => canvas.toBlob(
    (blob) => blob ? resolve(blob) : reject(new Error(WORDS.noPicture)), type));
}
