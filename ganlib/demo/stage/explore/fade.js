// Pictures between pictures: the browser mixes them pixel by pixel.

/** @param {ImageData[]} pictures @param {number[]} weights of the pictures, their sum is 1 @returns {ImageData} */
function mixed(pictures, weights) {
  const {width, height} = pictures[0], picture = new ImageData(width, height);
  for (let i = 0; i < picture.data.length; i++) {
    let sum = 0;
    for (let k = 0; k < pictures.length; k++) sum += weights[k] * pictures[k].data[i];
    picture.data[i] = sum;  // rounded
  }
  return picture;
}

/** @returns {[number, number, number]} the two whole numbers around a position, and the share of the second */
function between(position, last) {
  const first = Math.min(last - 1, Math.max(0, Math.floor(position)));
  return [first, first + 1, position - first];
}

/** A picture on a line of pictures. @param {number} position from 0 to pictures.length - 1 */
function onLine(pictures, position) {
  const [a, b, share] = between(position, pictures.length - 1);
  return mixed([pictures[a], pictures[b]], [1 - share, share]);
}

/** A picture on a square of side × side pictures. @param {[number, number]} at from 0 to 1 */
function onSquare(pictures, side, [x, y]) {
  const [left, right, across] = between(x * (side - 1), side - 1);
  const [top, bottom, down] = between(y * (side - 1), side - 1);
  return mixed([pictures[top * side + left], pictures[top * side + right], pictures[bottom * side + left],
                pictures[bottom * side + right]],
               [(1 - across) * (1 - down), across * (1 - down), (1 - across) * down, across * down]);
}
